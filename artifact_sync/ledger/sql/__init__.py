"""The statements, by name, as they stand in the ``.sql`` files beside this module.

``-- name: x`` begins a statement. ``:y`` is a value that a verb gives, ``IN (:these)`` a list of
them, and ``{z}`` the text of another statement. Drivers bind the values (``ledger.drivers``).
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_FILES = ("repositories", "runs", "artifacts", "archives", "outbox", "usage")
_VALUE = r":(\w+)"


class _Texts(dict[str, str]):
    """Texts by name, in which those of others are put for their names in braces."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name).format_map(self)


@cache
def _texts() -> _Texts:
    texts = _Texts()
    for file in _FILES:
        sql = Path(__file__).with_name(f"{file}.sql").read_text("utf-8")
        for block in sql.split("-- name: ")[1:]:
            name, *lines = block.splitlines()
            text = "\n".join(line for line in lines if not line.startswith("--"))
            texts[name] = text.strip().removesuffix(";")
    return texts


@cache
def statement(name: str) -> str:
    """The text of a statement. ``KeyError``: there is none of this name."""
    return _texts()[name]


@cache
def bound(name: str, mark: str) -> tuple[str, tuple[str, ...]]:
    """A statement with placeholders, and the names of its values in order."""
    sql = statement(name)
    return re.sub(_VALUE, mark, sql), tuple(re.findall(_VALUE, sql))


def names() -> frozenset[str]:
    """The names of all statements, those included that are parts of others."""
    return frozenset(_texts())
