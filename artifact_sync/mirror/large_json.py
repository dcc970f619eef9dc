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

_SPACE = re.compile(r"[ \t\n\r]*")


class LargeObject:
    """A JSON object of which some lists are read an entry at a time.

    ``ValueError``: it is none, or not UTF-8, or a name stands twice in it. ``RecursionError``.
    ``lists``: the members that are not kept where they are lists.
    """

    def __init__(self, content: bytes, lists: Collection[str]) -> None:
        self._text = content.decode("latin-1")  # a byte for each character; see ``_Scanner.value``
        self.members: dict[str, Any] = {}
        """All that is kept."""
        self.lists: dict[str, int] = {}
        """Where each of the others begins."""
        self._read(lists)

    def entries(self, name: str) -> Iterator[tuple[Any, int]]:
        """Each entry of a list, and of how many bytes it is; nothing where there is none."""
        if name in self.lists:
            yield from _entries(_Scanner(self._text, self.lists[name]))

    def _read(self, lists: Collection[str]) -> None:
        scanner = _Scanner(self._text)
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
    """Goes through a JSON text, a value at a time."""

    def __init__(self, text: str, at: int = 0) -> None:
        self._text = text
        self.at = at

    def skip(self) -> str:
        """The next character that is no space; empty: there is none."""
        space = _SPACE.match(self._text, self.at)
        self.at = space.end() if space is not None else self.at
        return self._text[self.at : self.at + 1]

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
        """The value that comes next; of UTF-8, whose bytes the text has as characters."""
        self.skip()
        begin = self.at
        value, self.at = _DECODER.raw_decode(self._text, begin)
        piece = self._text[begin : self.at]
        return value if piece.isascii() else _DECODER.decode(piece.encode("latin-1").decode())

    def each(self, close: str) -> Iterator[None]:
        """Stand before each item up to a closing bracket."""
        if self.takes(close):
            return
        while True:
            yield
            if self.takes(close):
                return
            self.expect(",")
