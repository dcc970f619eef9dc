"""Parses checksum files: ``NAME.sha256``, which people ship beside ``NAME``. Pure."""

from __future__ import annotations

import codecs
import re
import unicodedata
from typing import TYPE_CHECKING

from artifact_sync.transfer.evidence import CHECKSUM_FILE, Claim

if TYPE_CHECKING:
    from collections.abc import Iterator

    from artifact_sync.domain.model import ArtifactKey

_MOST = 64 * 1024
_SUFFIX = re.compile(r"(?P<path>.*[^/])\.sha256(?:sum)?", re.DOTALL | re.IGNORECASE)
_GNU = r"(?P<hex>[0-9A-Fa-f]{64})(?:[ \t]+\*?(?P<name>.+))?"
_BSD = r"(?i)SHA(?:2-)?256 ?\((?P<name>.+)\) ?= ?(?P<hex>[0-9A-Fa-f]{64})"


def subject_of(key: ArtifactKey) -> ArtifactKey | None:
    """The artifact of a checksum file: ``x`` of the same cube for ``x.sha256``."""
    match = _SUFFIX.fullmatch(key.local_path)
    return key._replace(local_path=match["path"]) if match else None


def claim_in(content: bytes, name: str) -> Claim | None:
    """The claim of a checksum file about a name or path, or None.

    Known are a lone SHA-256 in hex, the lines of ``sha256sum`` (``HEX  NAME``, ``HEX *NAME``) and
    those of BSD and openssl (``SHA256 (NAME) = HEX``). A line that names another file is not about
    ours; lines that contradict each other say nothing. Only the first 64 KiB are looked at.
    """
    lines = [line for line in _lines(content) if line and not line.startswith("#")]
    found = [
        match for line in lines if (match := re.fullmatch(_GNU, line) or re.fullmatch(_BSD, line))
    ]
    fitting = [match for match in found if _parts(match["name"])[-1:] == _parts(name)[-1:]]
    exact = [match for match in fitting if _parts(match["name"]) == _parts(name)]
    alone = found if len(lines) == 1 and found and found[0]["name"] is None else []
    values = {match["hex"].lower() for match in exact or fitting or alone}
    if len(values) != 1:
        return None
    return Claim(f"{CHECKSUM_FILE}:sha-256", "sha-256", values.pop())


def _lines(content: bytes) -> Iterator[str]:
    """The stripped lines, without one that the limit has cut."""
    head = content[:_MOST]
    utf16 = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # PowerShell's ">"
    text = head.decode("utf-16" if utf16 else "utf-8-sig", "replace")
    lines = re.split(r"\r\n|\r|\n", text)
    return (line.strip() for line in (lines[:-1] if len(content) > _MOST else lines))


def _parts(path: str | None) -> list[str]:
    """A path's components by either kind of separator."""
    plain = unicodedata.normalize("NFC", path or "")
    return [part for part in re.split(r"[/\\]", plain) if part not in {"", "."}]
