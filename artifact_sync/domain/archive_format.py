"""Tells by its content what kind of archive a file is. Pure.

Its name says nothing. Few bytes are read: the first ones, and of what may be a zip the last ones.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from artifact_sync.domain.archives import NO_ARCHIVE, TAR, ZIP
from artifact_sync.domain.decompression import DamagedStream, NoDecompressor, decompressor

if TYPE_CHECKING:
    from collections.abc import Callable

    ReadAt = Callable[[int, int], bytes]
    """Bytes at an offset, so many or up to the end."""

BLOCK = 512
"""Bytes of a tar's header."""

_PACKED = 2**20
"""Bytes that are unpacked for a look: a block of bzip2 has up to 900,000."""

_MEMBERS = 16
"""Streams one behind the other that are looked into: the first ones may be empty."""

_COMPRESSED = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
)
_BZIP2 = rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"
_SKIPPED = rb"[\x50-\x5f]\x2a\x4d\x18"
"""Begins a frame that zstd passes over."""

_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
END = b"PK\x05\x06"
END_SIZE = 22
LONGEST_END = END_SIZE + 0xFFFF

_CHECKSUM = slice(148, 156)
_MAGIC_OF_TAR = slice(257, 262)


def archive_format(read: ReadAt, size: int) -> str:
    """``zip``, ``tar+gzip``, a compression alone, or ``none``."""
    head = read(0, BLOCK)
    if head.startswith(_ZIP):
        return ZIP
    if is_tar(head):
        return TAR
    if packed := _compression(head):
        return _of_packed(packed, read)
    return ZIP if ends_of_zip(read, size) else NO_ARCHIVE


def _compression(head: bytes) -> str:
    for magic, name in _COMPRESSED:
        if head.startswith(magic):
            return name
    if re.match(_BZIP2, head):
        return "bzip2"
    return "zstd" if re.match(_SKIPPED, head) else ""


def _of_packed(packed: str, read: ReadAt) -> str:
    try:
        head = first_block(packed, read)
    except (DamagedStream, NoDecompressor):
        return packed  # whoever unpacks it says so
    return f"{TAR}+{packed}" if is_tar(head) else packed


def first_block(packed: str, read: ReadAt) -> bytes:
    """What the first bytes unpack to. ``DamagedStream``, ``NoDecompressor``."""
    data, found, stream = read(0, _PACKED), b"", decompressor(packed)
    for _ in range(_MEMBERS):
        while len(found) < BLOCK and not stream.eof:
            found += stream.decompress(data, BLOCK - len(found))
            data = b""
            if stream.needs_input and not stream.eof:
                if not read(_PACKED, 1):
                    raise DamagedStream("it ends before its end")
                return found
        data = stream.unused_data
        if len(found) == BLOCK or not data:
            break
        stream = decompressor(packed)
    return found


def is_tar(head: bytes) -> bool:
    """Whether a tar begins so: by its magic, or by its checksum."""
    if len(head) < BLOCK:
        return False
    if head[_MAGIC_OF_TAR] == b"ustar":
        return True
    stored = re.fullmatch(rb" *([0-7]{1,7})[ \0]*", head[_CHECKSUM])
    return stored is not None and head[0] != 0 and int(stored[1], 8) in checksums(head)


def checksums(header: bytes) -> tuple[int, int]:
    """The checksums that a tar's header may have."""
    unsigned = sum(header[:148]) + 8 * ord(" ") + sum(header[156:BLOCK])
    high = sum(byte >= 0x80 for byte in header[:148] + header[156:BLOCK])  # noqa: PLR2004 - the sign
    return unsigned, unsigned - 256 * high


def ends_of_zip(read: ReadAt, size: int) -> list[int]:
    """Where the last record of a zip may begin."""
    length = min(size, LONGEST_END)
    begin, tail = size - length, read(size - length, length) if size >= END_SIZE else b""
    found, at = [], tail.find(END)
    while at >= 0:
        if len(tail) - at >= END_SIZE:
            comment = int.from_bytes(tail[at + 20 : at + END_SIZE], "little")
            if at + END_SIZE + comment == len(tail):
                found.append(begin + at)
        at = tail.find(END, at + 1)
    return found
