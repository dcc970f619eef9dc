"""Reads a zip strictly: each byte belongs to one entry or to the directory.

Python's ``zipfile`` believes the directory alone: entries that share their bytes, local headers
that say something else, and bytes before, between and behind the entries pass unseen.
"""

from __future__ import annotations

import stat
import zlib
from struct import Struct as Layout
from typing import TYPE_CHECKING, NamedTuple

from artifact_sync.domain.archive_format import END_SIZE, ends_of_zip
from artifact_sync.domain.decompression import DamagedStream, decompressor
from artifact_sync.domain.errors import UnsafeArchive
from artifact_sync.mirror.archives.members import Member, check_count
from artifact_sync.mirror.archives.source import BLOCK
from artifact_sync.mirror.names import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from artifact_sync.domain.archives import ExtractLimits
    from artifact_sync.mirror.archives.source import ArchiveSource, OutputBudget

_END = Layout("<4s4H2LH")
_END_64 = Layout("<4sQ2H2L4Q")
_LOCATOR = Layout("<4sLQL")
_CENTRAL = Layout("<4s6H3L5H2L")
_LOCAL = Layout("<4s5H3L2H")
_EXTRA = Layout("<2H")

_SHORT, _LONG = 0xFFFF, 0xFFFFFFFF
"""What stands for a number that is too large, which then is in zip64's place."""

_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _DESCRIBED, _PATCHED, _UTF_8, _MASKED = 1 << 0, 1 << 3, 1 << 5, 1 << 11, 1 << 13
_UNIX = 3
_ZIP_64, _UNICODE_PATH = 0x0001, 0x7075
_DESCRIPTOR = b"PK\x07\x08"
_DESCRIPTORS = (0, 12, 16, 20, 24)
"""Sizes that what stands behind an entry may have: with a signature or not, of zip64 or not."""
_LONGEST_TARGET = 4096
_READ = 2**16


class _Directory(NamedTuple):
    entries: int
    size: int
    offset: int


class _Entry(NamedTuple):
    """An entry as the directory has it."""

    raw: bytes
    name: str
    offset: int
    method: int
    flags: int
    crc: int
    packed: int
    size: int
    mode: int
    """Of Unix; 0: not known."""

    def wrong(self, why: str) -> UnsafeArchive:
        """An error about it."""
        return UnsafeArchive(f"{quoted(self.name)} {why}")


def members_of_zip(
    source: ArchiveSource, budget: OutputBudget, limits: ExtractLimits
) -> Iterator[Member]:
    """Each member, in the order in which they lie there. ``UnsafeArchive``."""
    directory = _directory(source)
    check_count(directory.entries, limits)
    entries = sorted(_entries(source, directory), key=lambda it: it.offset, reverse=True)
    at = 0
    while entries:  # let go one by one: there may be many
        entry = entries.pop()
        end = entries[-1].offset if entries else directory.offset
        if entry.offset != at:
            raise entry.wrong("comes behind bytes that belong to no entry")
        begin = _check_local(source, entry, end)
        _check_descriptor(source, entry, begin + entry.packed, end)
        yield _member(source, entry, begin, budget)
        at = end
    if at != directory.offset:
        raise UnsafeArchive("there are bytes before its directory that belong to no entry")


def _directory(source: ArchiveSource) -> _Directory:
    """Where the directory is, by what stands at the end."""
    ends = ends_of_zip(source.read_at, source.size)
    if not ends:
        raise UnsafeArchive(
            "its directory is not at its end: it is cut, or has something behind it"
        )
    if len(ends) > 1:
        raise UnsafeArchive("it has two ends, by which it would be two different archives")
    (at,) = ends
    _, disk, first, here, count, size, offset, _ = _END.unpack(source.read_at(at, END_SIZE))
    if disk or first or here != count:
        raise UnsafeArchive("it is a part of a zip of several parts")
    found, end = _Directory(count, size, offset), at
    locator = source.read_at(at - _LOCATOR.size, _LOCATOR.size) if at >= _LOCATOR.size else b""
    if locator.startswith(b"PK\x06\x07"):
        found, end = _directory_64(source, at - _LOCATOR.size, found)
    elif count == _SHORT or _LONG in {size, offset}:
        raise UnsafeArchive("the end of its directory is damaged")
    if found.offset + found.size != end or found.size < found.entries * _CENTRAL.size:
        raise UnsafeArchive(
            "its directory is not where its end says, as when bytes were put before"
        )
    return found


def _directory_64(source: ArchiveSource, place: int, short: _Directory) -> tuple[_Directory, int]:
    """Where the directory is by zip64's end, whose locator is at ``place``, right behind it."""
    _, disk, at, disks = _LOCATOR.unpack(source.read_at(place, _LOCATOR.size))
    record = source.read_at(at, _END_64.size)
    if disk or disks > 1 or len(record) < _END_64.size:
        raise UnsafeArchive("the end of its directory is damaged")
    magic, length, _, _, disk, first, here, count, size, offset = _END_64.unpack(record)
    if magic != b"PK\x06\x06" or disk or first or here != count:
        raise UnsafeArchive("the end of its directory is damaged")
    long = _Directory(count, size, offset)
    for one, other in zip(short, long, strict=True):
        if one not in {other, _SHORT, _LONG}:
            raise UnsafeArchive("it has two ends, by which it would be two different archives")
    if at + 12 + length != place:
        raise UnsafeArchive("the end of its directory is damaged")
    return long, at


def _entries(source: ArchiveSource, directory: _Directory) -> Iterator[_Entry]:
    """Read the directory, which must be filled by its entries exactly."""
    at, end = directory.offset, directory.offset + directory.size
    held, begin = b"", at
    for _ in range(directory.entries):
        if at - begin + 4 * _SHORT > len(held) and begin + len(held) < end:
            held = source.read_at(at, min(end - at, 16 * _READ))
            begin = at
        entry, size = _entry(held, at - begin)
        at += size
        yield entry
    if at != end:
        raise UnsafeArchive("its directory is damaged: its size is not that of its entries")


def _entry(data: bytes, at: int) -> tuple[_Entry, int]:
    if len(data) < at + _CENTRAL.size or data[at : at + 4] != b"PK\x01\x02":
        raise UnsafeArchive("its directory is damaged")
    values = _CENTRAL.unpack_from(data, at)
    _, made_by, _, flags, method, _, _, crc, packed, size, *lengths, disk, _, outer, offset = values
    names, extras, comments = lengths
    end = at + _CENTRAL.size + names + extras + comments
    if len(data) < end:
        raise UnsafeArchive("its directory is damaged")
    raw = data[at + _CENTRAL.size : at + _CENTRAL.size + names]
    extra = _extra(data[at + _CENTRAL.size + names : end - comments])
    name = _name(raw, flags, extra)
    size, packed, offset = _sizes(extra, (size, packed, offset))
    mode = outer >> 16 if made_by >> 8 == _UNIX else 0
    entry = _Entry(raw, name, offset, method, flags, crc, packed, size, mode)
    if disk not in {0, _SHORT}:
        raise UnsafeArchive("it is a part of a zip of several parts")
    _check(entry)
    return entry, end - at


def _check(entry: _Entry) -> None:
    if entry.flags & (_ENCRYPTED | _MASKED):
        raise entry.wrong("is encrypted")
    if entry.flags & _PATCHED or entry.method not in {_STORED, _DEFLATED}:
        raise entry.wrong(f"is packed by method {entry.method}, which is not supported")
    if entry.method == _STORED and entry.packed != entry.size:
        raise entry.wrong("is not packed, and has two sizes: it is damaged")


def _extra(data: bytes) -> dict[int, bytes]:
    """The extra fields by their number."""
    found, at = dict[int, bytes](), 0
    while at + _EXTRA.size <= len(data):
        number, length = _EXTRA.unpack_from(data, at)
        at += _EXTRA.size
        if at + length > len(data) or (number in found and number in {_ZIP_64, _UNICODE_PATH}):
            raise UnsafeArchive("an extra field of an entry is damaged")
        found[number] = data[at : at + length]
        at += length
    return found


def _name(raw: bytes, flags: int, extra: dict[int, bytes]) -> str:
    told = extra.get(_UNICODE_PATH, b"")
    try:
        if told[:1] == b"\1" and told[1:5] == zlib.crc32(raw).to_bytes(4, "little"):
            return told[5:].decode("utf-8")
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        if flags & _UTF_8 or told:
            raise UnsafeArchive(f"the name {quoted(repr(raw))} is not in UTF-8") from None
        return raw.decode("cp437")


def _sizes(extra: dict[int, bytes], numbers: tuple[int, int, int]) -> tuple[int, int, int]:
    """Size, packed size and offset, of which the large ones stand in zip64's field."""
    long, at, found = extra.get(_ZIP_64, b""), 0, []
    for number in numbers:
        if number == _LONG:
            if len(long) < at + 8:
                raise UnsafeArchive("the zip64 field of an entry is damaged")
            found.append(int.from_bytes(long[at : at + 8], "little"))
            at += 8
        else:
            found.append(number)
    return found[0], found[1], found[2]


def _check_local(source: ArchiveSource, entry: _Entry, end: int) -> int:
    """Hold an entry's own header against the directory; where its bytes begin."""
    header = source.read_at(entry.offset, _LOCAL.size)
    if len(header) < _LOCAL.size or not header.startswith(b"PK\x03\x04"):
        raise entry.wrong("is not where the directory says: it is damaged")
    _, _, flags, method, _, _, crc, packed, size, names, extras = _LOCAL.unpack(header)
    rest = source.read_at(entry.offset + _LOCAL.size, names + extras)
    if rest[:names] != entry.raw or len(rest) < names + extras:
        raise entry.wrong("has another name in its own header")
    size, packed, _ = _sizes(_extra(rest[names:]), (size, packed, 0))
    same = (flags ^ entry.flags) & (_ENCRYPTED | _DESCRIBED) == 0 and method == entry.method
    told = (crc, packed, size)
    if not same or told not in _may_say(entry):
        raise entry.wrong("is told of in two ways, by its own header and by the directory")
    begin: int = entry.offset + _LOCAL.size + names + extras
    if begin + entry.packed > end:
        raise entry.wrong("shares bytes with another entry")
    return begin


def _may_say(entry: _Entry) -> tuple[tuple[int, int, int], ...]:
    """What the header before an entry's bytes may say of them."""
    whole = (entry.crc, entry.packed, entry.size)
    return (whole, (0, 0, 0)) if entry.flags & _DESCRIBED else (whole,)


def _check_descriptor(source: ArchiveSource, entry: _Entry, at: int, end: int) -> None:
    """Check what stands between an entry's bytes and the next entry: nothing, or sizes again."""
    if not entry.flags & _DESCRIBED and at != end:
        raise entry.wrong("is followed by bytes that belong to no entry")
    if not entry.flags & _DESCRIBED or at == end:
        return
    data = source.read_at(at, min(end - at, 32))
    for size in (4, 8):
        numbers = b"".join(it.to_bytes(8, "little")[:size] for it in (entry.packed, entry.size))
        said = entry.crc.to_bytes(4, "little") + numbers
        if end - at in _DESCRIPTORS and data in {said, _DESCRIPTOR + said}:
            return
    raise entry.wrong("is followed by bytes that belong to no entry")


def _member(source: ArchiveSource, entry: _Entry, begin: int, budget: OutputBudget) -> Member:
    kind = stat.S_IFMT(entry.mode)
    content = _content(source, entry, begin, budget)
    if entry.name.endswith("/") or kind == stat.S_IFDIR:
        if entry.size or kind not in {0, stat.S_IFDIR}:
            raise entry.wrong("is a folder, and has a content")
        for _ in content:
            pass
        return Member(entry.name, "folder")
    if kind == stat.S_IFLNK:
        return Member(entry.name, "link", target=_target(entry, content))
    if kind not in {0, stat.S_IFREG}:
        raise entry.wrong("is a device, a FIFO or a socket")
    return Member(entry.name, "file", bool(entry.mode & 0o100), content=content)


def _target(entry: _Entry, content: Iterator[bytes]) -> str:
    if entry.size > _LONGEST_TARGET:
        raise entry.wrong("is a link to a name that is too long")
    try:
        return b"".join(content).decode("utf-8")
    except UnicodeDecodeError:
        raise entry.wrong("is a link to a name that is not in UTF-8") from None


def _content(
    source: ArchiveSource, entry: _Entry, begin: int, budget: OutputBudget
) -> Iterator[bytes]:
    """The bytes of an entry, which have the size and the CRC-32 that it says."""
    pieces = _stored(source, entry, begin)
    size, crc = 0, 0
    for piece in pieces if entry.method == _STORED else _inflated(pieces, entry):
        budget.count(len(piece))
        size, crc = size + len(piece), zlib.crc32(piece, crc)
        if size > entry.size:
            break
        yield piece
    if size != entry.size:
        raise entry.wrong("unpacks to another size than it says: it is damaged")
    if crc != entry.crc:
        raise entry.wrong("has a wrong CRC-32: it is damaged")


def _stored(source: ArchiveSource, entry: _Entry, begin: int) -> Iterator[bytes]:
    end = begin + entry.packed
    while begin < end:
        piece = source.read_at(begin, min(end - begin, _READ))
        if not piece:
            raise entry.wrong("is cut")
        begin += len(piece)
        yield piece


def _inflated(pieces: Iterator[bytes], entry: _Entry) -> Iterator[bytes]:
    """Unpack deflate, which must end where the entry does."""
    stream = decompressor("deflate")
    while not stream.eof:
        data = next(pieces, b"") if stream.needs_input else b""
        if stream.needs_input and not data:
            raise entry.wrong("is cut")
        try:
            piece = stream.decompress(data, BLOCK)
        except DamagedStream as error:
            raise entry.wrong(f"is damaged: {error}") from None
        if piece:
            yield piece
    if stream.unused_data or next(pieces, b""):
        raise entry.wrong("has bytes behind the end of what is packed")
