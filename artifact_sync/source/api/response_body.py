"""Receives an API body up to a limit, unpacks gzip, and reads JSON tolerantly.

httpx's own decoders are not used: they take any number of codings, and unpack each piece whole
before anybody can look at its size, so that a kilobyte may become a gigabyte.

In JSON, missing, null or mistyped values are empty, but for lists: what is lost with one of them
would not be missed. Values stay undecoded until they are read. So a broken one spoils only itself,
and a big answer takes little more memory than its bytes.
"""

from __future__ import annotations

import math
import re
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import httpx

_PLAIN = frozenset({"", "identity"})
_GZIP = frozenset({"gzip", "x-gzip"})
"""RFC 9110, 8.4.1.3: the second is the first one's old name."""
_GZIP_FORMAT = 16 + zlib.MAX_WBITS
"""What zlib calls a gzip header and trailer (RFC 1952) around the data."""

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])
_TEXT = msgspec.json.Decoder(str)
_NUMBER = msgspec.json.Decoder(float)
_INTEGER = rb"-?[0-9]{1,100}"
_COUNT = rb'"?-?[0-9.]{1,30}"?|true'
"""A number or a switch; 64-bit numbers come as text."""
_NULL = Raw(b"null")
_BOM = b"\xef\xbb\xbf"
"""It may be ignored (RFC 8259, 8.1)."""
_DEEPEST = 3
"""Objects within objects in which a list is looked for that is not where it should be."""
_SHORT = 16
"""Bytes; an empty list, object or text written with some room is no longer."""

_ESCAPE = (
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|[^u])"
)


class UnknownCoding(Exception):
    """The body has a content coding that was not requested."""


class BrokenCoding(Exception):
    """The body does not match its content coding."""


class ResponseBody:
    """A body in pieces. ``UnknownCoding`` unless it is plain or gzip."""

    def __init__(self, headers: httpx.Headers, limit: int) -> None:
        self.content = bytearray()
        """The unpacked bytes so far; at most one more than the limit."""
        self._limit = limit
        self._came = 0
        self._gzip = zlib.decompressobj(_GZIP_FORMAT) if _packed(headers) else None

    @property
    def too_long(self) -> bool:
        """Whether the body, packed or unpacked, exceeds the limit."""
        return max(self._came, len(self.content)) > self._limit

    def take(self, data: bytes) -> None:
        """Add a piece, up to the limit. ``BrokenCoding`` when it cannot be unpacked."""
        self._came += len(data)
        room = self._limit + 1 - len(self.content)
        if room <= 0:
            return
        if self._gzip is None:
            self.content += data[:room]
            return
        try:
            self.content += self._gzip.decompress(data, room)
        except zlib.error as error:
            raise BrokenCoding from error
        if self._gzip.unused_data:
            raise BrokenCoding

    def end(self) -> None:
        """Finish. ``BrokenCoding`` when the body is incomplete."""
        if self._gzip is not None and not self._gzip.eof:
            raise BrokenCoding


def _packed(headers: httpx.Headers) -> bool:
    """Whether the body is gzip."""
    named = (it.strip().lower() for it in headers.get("content-encoding", "").split(","))
    codings = [it for it in named if it not in _PLAIN]
    if len(codings) > 1 or not _GZIP.issuperset(codings):
        raise UnknownCoding
    return bool(codings)


class Unreadable(ValueError):
    """Not JSON, or not of the required type."""


class Payload:
    """A JSON object of an answer."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, Raw]) -> None:
        self._fields = fields

    @classmethod
    def parse(cls, body: bytes | bytearray) -> Payload:
        """Parse a body. ``Unreadable`` when it is no complete object."""
        body = body.removeprefix(_BOM)
        try:
            return cls(_object(body))
        except Unreadable:
            return cls(_object(_without_lone_surrogates(body)))

    def text(self, name: str) -> str:
        """Read a text, or an integer as its digits; else the empty text."""
        raw = self._fields.get(name)
        if raw is None:
            return ""
        try:
            return _TEXT.decode(raw)
        except ValueError:  # covers msgspec's own, and UTF-8 that is none
            digits = re.fullmatch(_INTEGER, memoryview(raw))
            return digits[0].decode("ascii") if digits else ""

    def flag(self, name: str) -> bool:
        """Read a switch; anything but true is false."""
        return re.fullmatch(b'true|"true"', self._fields.get(name, _NULL)) is not None

    def content(self, name: str) -> bytes:
        """Read a text of any kind as UTF-8; what is none becomes U+FFFD.

        An absent text or null is empty. ``Unreadable`` when there is something else.
        """
        if self.lacks(name):
            return b""
        raw = memoryview(self._fields[name])
        try:
            return _TEXT.decode(raw).encode()
        except ValueError:
            pass
        try:  # not valid: rare, so it may take its time
            return _TEXT.decode(bytes(raw).decode("utf-8", "replace")).encode()
        except ValueError as error:
            raise Unreadable(f"{name} are no text") from error

    def number(self, name: str) -> float | None:
        """Read a number; None where there is no finite one."""
        try:
            found = _NUMBER.decode(self._fields.get(name, _NULL))
        except ValueError:
            return None
        return found if math.isfinite(found) else None

    def texts(self, name: str) -> Iterator[str]:
        """Read the texts of a list; leave out anything else."""
        with suppress(ValueError):
            for item in _LIST.decode(self._fields.get(name, _NULL)):
                with suppress(ValueError):
                    yield _TEXT.decode(item)

    def child(self, name: str) -> Payload:
        """Read an object; empty if there is none."""
        return _payload(self._fields.get(name, _NULL)) or Payload({})

    def objects(self, name: str) -> Iterator[Payload | None]:
        """Read the objects of a list; anything else in it is None.

        An absent list or null is an empty list. ``Unreadable`` when there is something else, or the
        list seems to stand elsewhere: under a name like this one, or in another object.
        """
        for item in self._items(name):
            yield _payload(item)

    def _items(self, name: str) -> list[Raw]:
        if self.lacks(name):
            if self._hides(name, _DEEPEST):
                raise Unreadable(f"{name} are not where they should be")
            return []
        try:
            return _LIST.decode(self._fields[name])
        except ValueError as error:
            raise Unreadable(f"{name} are no list") from error

    def lacks(self, name: str) -> bool:
        """Whether a field is absent or null."""
        return _is_null(self._fields.get(name, _NULL))

    def _hides(self, name: str, depth: int) -> bool:
        for other, raw in self._fields.items():
            if _is_like(other, name) and not _is_empty(raw):
                return True
            child = _payload(raw) if depth else None
            if child is not None and child._hides(name, depth - 1):  # noqa: SLF001 - its own kind
                return True
        return False

    def others(self, *known: str) -> list[str]:
        """Names of all other fields, but for empty ones, counts and switches."""
        return [
            name
            for name, raw in self._fields.items()
            if name not in known and not re.fullmatch(_COUNT, raw) and not _is_empty(raw)
        ]

    def token(self, name: str) -> str:
        """Read a text. ``Unreadable`` when there is something else."""
        text = self.text(name)
        if not text and not _is_empty(self._fields.get(name, _NULL)):
            raise Unreadable(f"{name} is no text")
        return text


def _object(body: bytes | bytearray | Raw) -> dict[str, Raw]:
    try:
        return _OBJECT.decode(body)
    except (ValueError, RecursionError) as error:
        raise Unreadable("no JSON object") from error


def _payload(raw: Raw) -> Payload | None:
    try:
        return Payload(_object(raw))
    except Unreadable:
        return None


def _is_null(raw: Raw) -> bool:
    return re.fullmatch(b"null", raw) is not None


def _is_like(other: str, name: str) -> bool:
    return other.replace("_", "").replace("-", "").casefold() == name


def _is_empty(raw: Raw) -> bool:
    """Whether a value is null, false, 0, or an empty text, list or object."""
    if memoryview(raw).nbytes > _SHORT:
        return False
    try:
        return not msgspec.json.decode(raw)
    except ValueError:
        return False


def _without_lone_surrogates(body: bytes | bytearray) -> bytes:
    r"""Replace each lone ``\ud800`` in a body by a byte that is not UTF-8.

    msgspec refuses a whole document for one such escape (RFC 8259, 8.2, leaves it open). As a
    stray byte it spoils the one text that it stands in.
    """
    return re.sub(_ESCAPE, lambda match: b"\xff" if match["lone"] else match[0], body)
