"""The statements carried out on SQLite by the standard library alone. The verbs are elsewhere."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from artifact_sync.ledger.values import (
    read_moment,
    read_names,
    read_text,
    stored_moment,
    stored_names,
    stored_text,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from artifact_sync.ledger.statement import Row, Statement

    _Convert = Callable[[Any], Any]

_STORED: Mapping[str, _Convert] = {
    "text": stored_text,
    "moment": stored_moment,
    "names": stored_names,
}
_READ: Mapping[str, _Convert] = {
    "text": read_text,
    "moment": read_moment,
    "names": read_names,
    "flag": bool,
}
_SIZES = (1, 10, 50, 200, 500)
"""How long lists of values are made, by repeats, so that few statements differ."""


class LiteConnection:
    """``statement.Connection`` over a connection of ``sqlite3``."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self.raw = raw

    def rows(self, statement: Statement, **values: Any) -> list[Row]:
        """All rows; see ``Connection``."""
        sql, given = _filled(statement, values)
        return list(_converted(statement, self.raw.execute(sql, given)))

    def row(self, statement: Statement, **values: Any) -> Row | None:
        """The first row; see ``Connection``."""
        cursor = self.raw.execute(statement.sql, _stored(statement, values))
        found = cursor.fetchone()
        cursor.close()
        return None if found is None else next(iter(_converted(statement, [found])))

    def value(self, statement: Statement, **values: Any) -> Any:
        """The first column of the first row; see ``Connection``."""
        found = self.row(statement, **values)
        return None if found is None else found[0]

    def write(self, statement: Statement, **values: Any) -> None:
        """Change something; see ``Connection``."""
        self.raw.execute(statement.sql, _stored(statement, values))

    def write_many(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> None:
        """Change something for each of these; see ``Connection``."""
        self.raw.executemany(statement.sql, [_stored(statement, values) for values in rows])

    def make(self, statement: Statement, **values: Any) -> int:
        """Insert a row; see ``Connection``."""
        return self.raw.execute(statement.sql, _stored(statement, values)).lastrowid or 0

    def plain(self, sql: str) -> Any:
        """Some SQL; see ``Connection``."""
        found = self.raw.execute(sql).fetchone()
        return None if found is None else found[0]


@cache
def _ingoing(statement: Statement) -> tuple[tuple[str, ...], Sequence[tuple[int, _Convert]]]:
    """The names of a statement's values, and which of them are stored in another form."""
    words = [word.partition(":") for word in statement.values.split()]
    places = [(place, _STORED[kind]) for place, (_, _, kind) in enumerate(words) if kind in _STORED]
    return tuple(name for name, _, _ in words), places


@cache
def _outgoing(statement: Statement) -> Sequence[tuple[int, _Convert]]:
    """The columns that are not as they are stored, and how they are read."""
    kinds = (word.removeprefix(":") for word in statement.columns.split())
    return [(place, _READ[kind]) for place, kind in enumerate(kinds) if kind in _READ]


def _stored(statement: Statement, values: Mapping[str, Any]) -> list[Any]:
    names, conversions = _ingoing(statement)
    row = [values[name] for name in names]
    for place, convert in conversions:
        if row[place] is not None:
            row[place] = convert(row[place])
    return row


def _filled(statement: Statement, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """The statement and its values, where one of them may be a list."""
    if "these" not in values:
        return statement.sql, _stored(statement, values)
    these = list(values["these"])
    these += these[:1] * (_length(len(these)) - len(these))
    names, conversions = _ingoing(statement)
    convert = dict(conversions).get(names.index("these"), _same)
    given: list[Any] = []
    for name, value in zip(names, _stored(statement, {**values, "these": None}), strict=True):
        given += map(convert, these) if name == "these" else [value]
    return statement.sql.format(these=",".join("?" * len(these))), given


def _same(value: Any) -> Any:
    return value


def _length(number: int) -> int:
    return next((size for size in _SIZES if size >= number), number)


def _converted(statement: Statement, rows: Iterable[Row]) -> Iterable[Row]:
    conversions = _outgoing(statement)
    return (_read(row, conversions) for row in rows) if conversions else rows


def _read(row: Row, conversions: Sequence[tuple[int, _Convert]]) -> Row:
    columns = list(row)
    for place, convert in conversions:
        if columns[place] is not None:
            columns[place] = convert(columns[place])
    return tuple(columns)
