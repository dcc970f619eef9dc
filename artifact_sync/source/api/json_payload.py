"""Tolerant reading of the service's JSON: what is absent, null or of another type reads as empty.

Knows nothing of what the answers mean; that is ``wire``'s. Values stay undecoded until they are
asked for, so that a broken one spoils nothing but itself, and a big answer costs little more
memory than its bytes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])
_TEXT = msgspec.json.Decoder(str)
_INTEGER = rb"-?[0-9]{1,100}"
_SHORT = 16
"""Bytes; an empty list, object or text written with some room is no longer."""

_ESCAPE = (
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|[^u])"
)


class Unreadable(ValueError):
    """Not JSON, or not of the type that it must be."""


class Payload:
    """An object of an answer."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, Raw]) -> None:
        self._fields = fields

    @classmethod
    def parse(cls, body: bytes | bytearray) -> Payload:
        """The object that a body is. ``Unreadable`` when it is cut short, or no object."""
        try:
            return cls(_object(body))
        except Unreadable:
            return cls(_object(_without_lone_surrogates(body)))

    def text(self, name: str) -> str:
        """A text, an integer as its digits; else the empty text."""
        raw = self._fields.get(name)
        if raw is None:
            return ""
        try:
            return _TEXT.decode(raw)
        except ValueError:  # covers msgspec's own, and UTF-8 that is none
            digits = re.fullmatch(_INTEGER, memoryview(raw))
            return digits[0].decode("ascii") if digits else ""

    def child(self, name: str) -> Payload:
        """An object, empty unless there is one."""
        return _payload(self._fields.get(name, Raw(b"null"))) or Payload({})

    def objects(self, name: str) -> Iterator[Payload | None]:
        """The objects of a list; None stands for an item that is something else, but not for null.

        ``Unreadable`` when the field is neither a list nor empty in some other way.
        """
        for item in self._items(name):
            child = _payload(item)
            if child is not None or not _is_null(item):
                yield child

    def _items(self, name: str) -> list[Raw]:
        raw = self._fields.get(name)
        if raw is None:
            return []
        try:
            return _LIST.decode(raw)
        except ValueError as error:
            if _empty(raw):
                return []
            raise Unreadable(f"{name} is no list") from error

    def token(self, name: str) -> str:
        """``text``, but ``Unreadable`` when there is something that is no text."""
        text = self.text(name)
        if not text and not _empty(self._fields.get(name, Raw(b"null"))):
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
    return memoryview(raw).nbytes == len(b"null") and bytes(raw) == b"null"


def _empty(raw: Raw) -> bool:
    """Whether a value says *nothing*: null, false, 0, or an empty text, list or object."""
    if memoryview(raw).nbytes > _SHORT:
        return False
    try:
        return not msgspec.json.decode(raw)
    except ValueError:
        return False


def _without_lone_surrogates(body: bytes | bytearray) -> bytes:
    r"""The body with each ``\ud800`` that has no partner made a byte that is no UTF-8.

    msgspec refuses a whole document for one such escape (RFC 8259, 8.2, leaves it open). As a
    stray byte it spoils the one text that it stands in.
    """
    return re.sub(_ESCAPE, lambda match: b"\xff" if match["lone"] else match[0], body)
