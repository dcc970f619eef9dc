"""Goes through a JSON object whose lists may be long. Pure.

It takes the memory of its bytes and of one entry, whatever characters are in it. Unlike ``msgspec``
it takes a lone surrogate, which JSON can tell and the name of an artifact may have.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_PART = 2**18
"""Bytes that are decoded at a time, or more where a value is larger."""
_SPACE = re.compile(r"[ \t\n\r]*")


class LargeObject:
    """A JSON object of which some lists are read an entry at a time.

    ``ValueError``: it is none, or not UTF-8, or a name stands twice in it. ``RecursionError``.
    ``lists``: the members that are not kept where they are lists.
    """

    def __init__(self, content: bytes, lists: Collection[str]) -> None:
        self._content = content
        self.members: dict[str, Any] = {}
        """All that is kept."""
        self.lists: dict[str, int] = {}
        """Where each of the others begins."""
        self._read(lists)

    def entries(self, name: str) -> Iterator[tuple[Any, int]]:
        """Each entry of a list, and how many bytes it has."""
        if name in self.lists:
            yield from _entries(_Scanner(self._content, self.lists[name]))

    def _read(self, lists: Collection[str]) -> None:
        scanner = _Scanner(self._content)
        scanner.expect("{")
        for _ in scanner.each("}"):
            name = scanner.value()
            scanner.expect(":")
            if not isinstance(name, str) or name in self.members or name in self.lists:
                raise ValueError(name)
            if name in lists and scanner.skip() == "[":
                self.lists[name] = scanner.at
                for _ in _entries(scanner):
                    pass
            else:
                self.members[name] = scanner.value()
        if scanner.skip():
            raise ValueError


def _entries(scanner: _Scanner) -> Iterator[tuple[Any, int]]:
    scanner.expect("[")
    for _ in scanner.each("]"):
        begin = scanner.at
        entry = scanner.value()
        yield entry, scanner.at - begin


def _no_number(word: str) -> NoReturn:
    raise ValueError(word)


_DECODER = json.JSONDecoder(parse_constant=_no_number)


class _Scanner:
    """Goes through a JSON text, a value at a time, and decodes a part of it at a time.

    A byte is first taken for a character, of which only those of ASCII have a meaning to JSON.
    """

    def __init__(self, content: bytes, at: int = 0) -> None:
        self._content = content
        self._from = at
        self._part = ""
        self.at = at

    def skip(self) -> str:
        """The next character that is no space; empty: there is none."""
        while True:
            space = _SPACE.match(self._part, self.at - self._from)
            self.at = self._from + space.end() if space is not None else self.at
            found = self._part[self.at - self._from : self.at - self._from + 1]
            if found or self._is_last:
                return found
            self._decode(_PART)

    def _decode(self, size: int) -> None:
        self._from = self.at
        self._part = self._content[self.at : self.at + size].decode("latin-1")

    @property
    def _is_last(self) -> bool:
        return self._from + len(self._part) >= len(self._content)

    def takes(self, char: str) -> bool:
        """Whether this character comes next; it is then behind us."""
        found = self.skip() == char
        self.at += found
        return found

    def expect(self, char: str) -> None:
        """Pass over this character. ``ValueError``."""
        if not self.takes(char):
            raise ValueError(char)

    def value(self) -> Any:
        """The value that comes next."""
        self.skip()
        size = _PART
        while (found := self._value()) is None:
            size *= 2
            self._decode(size)
        value, length = found
        begin = self.at - self._from
        piece = self._part[begin : begin + length]
        self.at += length
        return value if piece.isascii() else _DECODER.decode(piece.encode("latin-1").decode())

    def _value(self) -> tuple[Any, int] | None:
        """A value and its length; None: it may go on behind this part."""
        begin = self.at - self._from
        try:
            value, end = _DECODER.raw_decode(self._part, begin)
        except ValueError:
            if self._is_last:
                raise
            return None
        return (value, end - begin) if end < len(self._part) or self._is_last else None

    def each(self, close: str) -> Iterator[None]:
        """Stand before each item up to a closing bracket."""
        if self.takes(close):
            return
        while True:
            yield
            if self.takes(close):
                return
            self.expect(",")
