"""Rules for one component of a path, of POSIX and Windows together. Pure.

A slug always becomes a component: characters that no name may have are percent-encoded, and two
slugs never become one name. A component of a ``local_path`` stays as it is or is refused, except
for the characters of globs, which are encoded.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import TYPE_CHECKING

from artifact_sync.domain.errors import UnsafePath

if TYPE_CHECKING:
    from collections.abc import Collection

LONGEST = 255
"""Bytes of UTF-8 that a component may have (ext4, XFS, APFS, ZFS).

No more than 255 bytes are never more than 255 UTF-16 units either, the limit of NTFS.
"""

_UNPRINTABLE = "\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029"
# as text: to compile them takes longer than a pass with nothing new has
_CONTROL = f"[{_UNPRINTABLE}]"
_SURROGATE = "[\\ud800-\\udfff]"
_ILLEGAL = '[<>:"|?*]'
_NO_SLUG = f'[%/\\\\<>:"|?*{_UNPRINTABLE}\\ud800-\\udfff]'
_CUT = r"(?i)~(?=[0-9a-f]{32}\Z)"
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "clock$", "conin$", "conout$"]
    + [port + number for port in ("com", "lpt") for number in "0123456789¹²³"]
)
_IGNORABLE = (
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_SHOWN = 80


def quoted(name: str) -> str:
    """Quote a remote name for a message: escaped, not too long."""
    return repr(name if len(name) <= _SHOWN else name[:_SHOWN] + "…")


def fold(name: str) -> str:
    """Equal for two names that are one on some file system.

    Unicode's canonical caseless matching (D145), as on APFS, plus the default-ignorable characters
    that HFS+ and ext4's casefold pass over.
    """
    if name.isascii():
        return name.lower()
    decomposed = unicodedata.normalize("NFD", re.sub(_IGNORABLE, "", name))
    return unicodedata.normalize("NFC", decomposed.casefold())


def is_device(name: str) -> bool:
    """Whether Windows takes the name for a device, with or without an extension."""
    return fold(name).partition(".")[0].partition(":")[0].rstrip(" ") in _DEVICES


def slug_component(prefix: str, slug: str, suffix: str, ours: Collection[str] = ()) -> str:
    """A slug and a layout's text as one path component; injective.

    ``ours``: folded names that only this program may use here. A slug that becomes too long is cut
    and gets its hash; one that looks as if it had been cut has its ``~`` encoded.
    """
    if not slug:
        raise UnsafePath("an empty name cannot become a folder of the mirror: give it one in CI")
    pieces = _encoded(slug)
    whole = prefix + "".join(pieces) + suffix
    if is_device(whole) or fold(whole) in ours:
        if prefix:
            prefix = percent(prefix[0]) + prefix[1:]
        else:
            pieces[0] = percent(slug[0])
    return prefix + _fitting(pieces, slug, LONGEST - utf8_size(prefix + suffix)) + suffix


def _encoded(slug: str) -> list[str]:
    """A slug character by character, encoded where need be."""
    plain = slug.isascii() and slug.replace("-", "").replace("_", "").isalnum()
    pieces = list(slug) if plain else [re.sub(_NO_SLUG, _percent, char) for char in slug]
    if slug[-1] in ". ":
        pieces[-1] = percent(slug[-1])
    if "~" in slug and (cut := re.search(_CUT, slug)) is not None:
        pieces[cut.start()] = percent("~")
    return pieces


def _fitting(pieces: list[str], slug: str, room: int) -> str:
    """The pieces, or as many as leave room for the hash of the whole slug."""
    if utf8_size("".join(pieces)) <= room:
        return "".join(pieces)
    digest = hashlib.sha256(slug.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    room -= 1 + len(digest)
    kept = ""
    for piece in pieces:
        room -= utf8_size(piece)
        if room < 0:
            break
        kept += piece
    return f"{kept}~{digest}"


def percent(char: str) -> str:
    """A character as percent-encoded UTF-8 (RFC 3986, 2.1), lone surrogates included."""
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))


def _percent(found: re.Match[str]) -> str:
    return percent(found[0])


def utf8_size(text: str) -> int:
    """The bytes of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def file_component(name: str) -> str:
    """One component of a ``local_path``, with the characters of globs encoded.

    ``%`` stays as it is: two paths that become one by this are a clash, which the plan refuses.
    """
    fault = _fault(name)
    if fault:
        raise UnsafePath(f"{quoted(name)} {fault}: rename it in the CI file")
    encoded = re.sub(_ILLEGAL, _percent, name)
    if utf8_size(encoded) > LONGEST:
        raise UnsafePath(f"{quoted(name)} is longer than {LONGEST} bytes: rename it in the CI file")
    return encoded


def check_component(name: str) -> None:
    """Raise ``UnsafePath`` for a name that some system has no file of."""
    if fault := _fault(name):
        raise UnsafePath(f"{quoted(name)} {fault}")
    if utf8_size(name) > LONGEST:
        raise UnsafePath(f"{quoted(name)} is longer than {LONGEST} bytes")


def _fault(name: str) -> str:
    """What keeps a name from being a file's on every system; empty: nothing."""
    if name == "..":
        return "leads out of its folder"
    if re.search(_CONTROL, name):
        return "holds a control character"
    if re.search(_SURROGATE, name):
        return "is not valid Unicode"
    if "\\" in name:
        return "holds a backslash, which is a separator on Windows"
    if name[-1:] in {".", " "}:
        return "ends with a dot or a space, which Windows drops"
    return "is the name of a device on Windows" if is_device(name) else ""
