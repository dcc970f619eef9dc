"""Stored objects behind the links: contents and headers by key.

A key says nothing of the artifact (a digest of its identity), so that no hostile name becomes part
of a URL or of an exported path.
"""

from __future__ import annotations

import hashlib
import mimetypes
import os
from base64 import b64encode
from dataclasses import dataclass
from email.utils import format_datetime
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

from artifact_sync.simulator.content import Content, content_chunks, content_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from artifact_sync.domain.model import ArtifactKey
    from artifact_sync.simulator.scenario import Files

_PART = 8 << 20
_ONE_PART_AT_MOST = 64 << 20


def object_key(key: ArtifactKey) -> str:
    """The key of an artifact's object: stable, opaque, safe in URLs and paths."""
    text = "\0".join(key).encode("utf-8", "surrogatepass")
    name = hashlib.sha256(text).hexdigest()[:34]
    return f"{name[:2]}/{name[2:]}"


@dataclass(frozen=True)
class StoredObject:
    """A stored file. Digests are computed on first use."""

    key: ArtifactKey
    content: Content
    modified: datetime
    content_type: str = ""

    @property
    def type(self) -> str:
        """The media type: as set, else guessed from the path."""
        guessed, packed = mimetypes.guess_type(self.key.local_path.rpartition("/")[2])
        octets = "application/octet-stream"
        return self.content_type or (octets if packed else guessed or octets)

    @property
    def last_modified(self) -> str:
        """The date in HTTP's form (RFC 9110, 5.6.7)."""
        return format_datetime(self.modified, usegmt=True)

    @cached_property
    def md5(self) -> bytes:
        """MD5 of the whole content."""
        return content_digest(self.content, "md5")

    @cached_property
    def sha256(self) -> bytes:
        """SHA-256 of the whole content."""
        return content_digest(self.content, "sha256")

    def etag(self, style: str) -> str:
        """A strong ETag, quoted; empty for ``none``. ``md5`` hashes the content."""
        if style == "none":
            return ""
        if style == "md5" or (style == "auto" and self.content.size <= _ONE_PART_AT_MOST):
            return f'"{self.md5.hex()}"'
        name = hashlib.md5(self.content.identity.encode(), usedforsecurity=False).hexdigest()
        return f'"{name}-{max(1, -(-self.content.size // _PART))}"'


def headers_of(stored: StoredObject, files: Files) -> dict[str, str]:
    """Headers of a 200. Not for the event loop.

    The first time it may hash gigabytes: for an ETag, or for a digest line, which is made ready.
    """
    stored.content.read(0, 1)
    headers = {
        "accept-ranges": "bytes",
        "content-type": stored.type,
        "last-modified": stored.last_modified,
    }
    if etag := stored.etag(files.etag):
        headers["etag"] = etag
    return headers | {name: _DIGESTS[name](stored) for name in files.digests}


def headers_of_part(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers of a 206, without checksums of its bytes (RFC 9530, 2)."""
    whole_only = ("content-digest", "content-md5", "x-amz-checksum-sha256")
    return {name: value for name, value in headers.items() if name not in whole_only}


def export(stored: Mapping[str, StoredObject], folder: Path) -> list[Path]:
    """Write every object below ``folder``, for another server."""
    return [_export_one(folder / key, thing) for key, thing in stored.items()]


def _export_one(path: Path, stored: StoredObject) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for piece in content_chunks(stored.content):
            file.write(piece)
    seconds = stored.modified.timestamp()
    os.utime(path, (seconds, seconds))
    return path


def _structured(stored: StoredObject) -> str:
    return f"sha-256=:{b64encode(stored.sha256).decode()}:"


_DIGESTS: Mapping[str, Callable[[StoredObject], str]] = MappingProxyType(
    {
        "repr-digest": _structured,
        "content-digest": _structured,
        "content-md5": lambda stored: b64encode(stored.md5).decode(),
        "x-amz-checksum-sha256": lambda stored: b64encode(stored.sha256).decode(),
    }
)
