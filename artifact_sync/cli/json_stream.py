"""Writes one JSON object whose lists may be long, as their items come."""

from __future__ import annotations

import json
from contextlib import ExitStack, suppress
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING

import click
import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, Self

_IN_MEMORY = 1 << 20
"""Bytes of a list that waits for its turn; what is beyond goes to a temporary file."""
_PIECE = 1 << 16


class StreamedObject:
    """An object on stdout, with lists that may be long.

    The first is written as it comes; the others wait for the end. Work goes on without a reader:
    only the end raises what stdout says.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._first, *others = names
        self._files = ExitStack()
        self._waiting = {name: _Waiting(self._files) for name in others}
        self._begun = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def add(self, name: str, item: object) -> None:
        """Add an item to one of the lists."""
        text = json.dumps(msgspec.to_builtins(item))
        if name != self._first:
            self._waiting[name].add(text)
            return
        with suppress(OSError):
            click.echo(", " + text if self._begun else self._opening + text, nl=False)
        self._begun = True

    @property
    def _opening(self) -> str:
        return f"{{{json.dumps(self._first)}: ["

    def end(self, **members: Any) -> None:
        """Write the other lists and members, and the end."""
        click.echo("]" if self._begun else f"{self._opening}]", nl=False)
        for name, waiting in self._waiting.items():
            click.echo(f", {json.dumps(name)}: [", nl=False)
            for piece in waiting.pieces():
                click.echo(piece, nl=False)
            click.echo("]", nl=False)
        click.echo(f", {json.dumps(msgspec.to_builtins(members))[1:]}")


class _Waiting:
    """A list that waits for its turn."""

    def __init__(self, files: ExitStack) -> None:
        file = SpooledTemporaryFile[str](_IN_MEMORY, "w+", encoding="ascii")
        self._file = files.enter_context(file)
        self._comma = ""

    def add(self, text: str) -> None:
        """Add an item, as JSON."""
        self._file.write(self._comma + text)
        self._comma = ", "

    def pieces(self) -> Iterator[str]:
        """The items, and the commas between them; once."""
        self._file.seek(0)
        while piece := self._file.read(_PIECE):
            yield piece
