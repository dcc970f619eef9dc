"""Reads a tar strictly: ustar, pax, GNU's long names, and the tars of old.

Python's ``tarfile`` takes what is damaged for the end of an archive, and an archive without its end
for a whole one. Here either is an error.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from artifact_sync.domain.archive_format import BLOCK, checksums
from artifact_sync.domain.errors import UnsafeArchive
from artifact_sync.mirror.archives.members import Member
from artifact_sync.mirror.names import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from artifact_sync.mirror.archives.members import Kind
    from artifact_sync.mirror.archives.source import OutputBudget, Stream

_T = TypeVar("_T")

_ZEROS = bytes(BLOCK)
_LONGEST_TEXT = 2**16
"""Bytes of a long name, or of what pax tells of one member."""
_RECORD = re.compile(rb"([1-9][0-9]{0,9}) ([^=\n]+)=")
_OCTAL = re.compile(rb" *([0-7]*)[ \0]*")

_KINDS: dict[bytes, Kind] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"1": "copy",
    b"2": "link",
    b"5": "folder",
}
_REFUSED = {
    b"3": "a device",
    b"4": "a device",
    b"6": "a FIFO",
    b"S": "a sparse file, which is not supported",
    b"M": "a part of a file that begins in another archive",
    b"D": "of GNU's incremental backups",
    b"N": "of a GNU tar of old",
    b"V": "a label of a volume",
}
_ABOUT = frozenset({b"L", b"K", b"x", b"g"})
_NAMES = frozenset({"path", "linkpath", "size"})


class _Header(NamedTuple):
    name: bytes
    mode: int
    size: int
    type: bytes
    target: bytes


class _Told:
    """What the entries before a member say of it."""

    def __init__(self) -> None:
        self.name: bytes | None = None
        self.target: bytes | None = None
        self.pax: dict[str, bytes] | None = None

    @property
    def is_any(self) -> bool:
        """Whether anything was said."""
        return any(it is not None for it in (self.name, self.target, self.pax))


def members_of_tar(stream: Stream, budget: OutputBudget) -> Iterator[Member]:
    """Each member, in order. ``UnsafeArchive``."""
    told = _Told()
    while (block := stream.exactly(BLOCK)) != _ZEROS:
        header = _header(block)
        if header.type in _ABOUT:
            _hear(told, header, stream)
            continue
        member, size = _member(header, told)
        told, left = _Told(), _Content(stream, size, budget)
        yield _with(member, left)
        left.skip()
    if told.is_any:
        raise UnsafeArchive("it ends with what is said of a member that does not come")
    _check_end(stream)


class _Content:
    """The bytes of a member, and the padding behind them."""

    def __init__(self, stream: Stream, size: int, budget: OutputBudget) -> None:
        self._stream = stream
        self._padding = -size % BLOCK
        self._budget = budget
        self.pieces = self._counted(stream.pieces(size))

    def _counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._budget.count(len(piece))
            yield piece

    def skip(self) -> None:
        """Pass over what nobody has read of it."""
        for _ in self.pieces:
            pass
        if len(self._stream.exactly(self._padding)) != self._padding:
            raise UnsafeArchive("it ends in the middle of a file")


def _with(member: Member, content: _Content) -> Member:
    if member.kind != "file":
        return member
    return Member(member.name, member.kind, member.is_executable, content=content.pieces)


def _check_end(stream: Stream) -> None:
    """Check that the second block of the end is there, and nothing but zeros behind it."""
    if stream.exactly(BLOCK) != _ZEROS:
        raise UnsafeArchive("the end of the tar is not there: it is cut, or damaged")
    length = 0
    for piece in stream.rest():
        length += len(piece)
        if piece.strip(b"\0"):
            raise UnsafeArchive("there is something behind the end of the tar")
    if length % BLOCK:
        raise UnsafeArchive("the end of the tar is cut")


def _header(block: bytes) -> _Header:
    if len(block) < BLOCK:
        where = "in the middle of a header" if block else "without the end of a tar"
        raise UnsafeArchive(f"it ends {where}: it is cut")
    if _number(block[148:156], "checksum") not in checksums(block):
        raise UnsafeArchive("the checksum of a header is wrong: it is damaged")
    name, magic = _text(block[:100]), block[257:263]
    if magic == b"ustar\0" and (prefix := _text(block[345:500])):
        name = prefix + b"/" + name
    mode, size = _number(block[100:108], "mode"), _number(block[124:136], "size")
    return _Header(name, mode, size, block[156:157], _text(block[157:257]))


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes, what: str) -> int:
    """A number of a header: octal, or GNU's binary form for large ones."""
    if field[0] == 0x80:  # noqa: PLR2004 - the mark of the binary form
        return int.from_bytes(field[1:], "big")
    found = _OCTAL.fullmatch(field)
    if found is None:
        raise UnsafeArchive(f"the {what} in a header is no number: it is damaged")
    return int(found[1] or b"0", 8)


def _hear(told: _Told, header: _Header, stream: Stream) -> None:
    """Take what an entry says of the next member, or of all of them."""
    if header.size > _LONGEST_TEXT:
        raise UnsafeArchive("what it says of a member is longer than any name")
    content = b"".join(stream.pieces(header.size))
    if len(stream.exactly(-header.size % BLOCK)) != -header.size % BLOCK:
        raise UnsafeArchive("it ends in the middle of a header: it is cut")
    if header.type == b"g":
        if _NAMES & _records(content).keys():
            raise UnsafeArchive("it gives one name or size to all of its members")
    elif header.type == b"x":
        told.pax = _once(told.pax, _records(content))
    elif header.type == b"L":
        told.name = _once(told.name, _text(content))
    else:
        told.target = _once(told.target, _text(content))


def _once(old: _T | None, new: _T) -> _T:
    if old is not None:
        raise UnsafeArchive("it says something of a member twice")
    return new


def _records(content: bytes) -> dict[str, bytes]:
    """The records of a pax header: ``LENGTH KEY=VALUE`` and a line break."""
    found, at = dict[str, bytes](), 0
    while at < len(content):
        begin = _RECORD.match(content, at)
        end = at + int(begin[1]) if begin is not None else 0
        if begin is None or not begin.end() < end <= len(content) or content[end - 1] != 0x0A:  # noqa: PLR2004 - a line break
            raise UnsafeArchive("a pax header is damaged")
        key = begin[2].decode("utf-8", "replace")
        if key.startswith("GNU.sparse."):
            raise UnsafeArchive("it holds a sparse file, which is not supported")
        found[key] = content[begin.end() : end - 1]
        at = end
    return found


def _member(header: _Header, told: _Told) -> tuple[Member, int]:
    """A member without its content, and the bytes of that."""
    pax = told.pax or {}
    raw = pax.get("path", told.name if told.name is not None else header.name)
    name = _decoded(raw)
    target = _decoded(
        pax.get("linkpath", told.target if told.target is not None else header.target)
    )
    kind, size = _KINDS.get(header.type), _size(pax, header)
    if kind is None:
        what = _REFUSED.get(header.type, f"of the unknown kind {header.type!r}")
        raise UnsafeArchive(f"{quoted(name)} is {what}")
    if kind == "file" and name.endswith("/") and header.type == b"\0":
        kind = "folder"  # as the tars of old have it
    if kind != "file" and size:
        raise UnsafeArchive(f"{quoted(name)} is no file, and has a size")
    executable = kind == "file" and bool(header.mode & 0o100)
    return Member(name, kind, executable, target if kind in {"link", "copy"} else ""), size


def _size(pax: dict[str, bytes], header: _Header) -> int:
    told = pax.get("size")
    if told is None:
        return header.size
    if not re.fullmatch(rb"[0-9]{1,19}", told):
        raise UnsafeArchive("the size in a pax header is no number: it is damaged")
    return int(told)


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        name = quoted(raw.decode("utf-8", "backslashreplace"))
        raise UnsafeArchive(f"the name {name} is not in UTF-8") from None
