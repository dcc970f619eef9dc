"""Keeps lists of JSON values until they are printed, without holding them in memory."""

from __future__ import annotations

import json
from contextlib import contextmanager
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
_IN_MEMORY = 1 << 20
"""Bytes from which on a list is kept in a file."""


@contextmanager
def spooled() -> Iterator[SpooledList]:
    """An empty list, which is there to the end of the block."""
    with SpooledTemporaryFile(_IN_MEMORY, "w+", encoding="ascii") as file:
        yield SpooledList(file)


class SpooledList:
    """JSON values, a line each. Made by ``spooled``."""

    def __init__(self, file: SpooledTemporaryFile[str]) -> None:
        self._file = file
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        self._file.seek(0)
        for line in self._file:
            yield line.rstrip("\n")

    def add(self, value: str) -> None:
        """Add a value, as JSON in ASCII on one line."""
        self._file.write(value + "\n")
        self._count += 1

    def add_text(self, text: str) -> None:
        """Add a text, as a JSON string."""
        self.add(json.dumps(text))

    def texts(self) -> Iterator[str]:
        """The texts that were added."""
        return map(json.loads, self)


def json_pieces(values: Iterable[str]) -> Iterator[str]:
    """The text of a JSON array, a value at a time."""
    yield "["
    for place, value in enumerate(values):
        yield f", {value}" if place else value
    yield "]"
