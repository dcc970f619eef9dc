"""What the verbs work with: a statement as data, and a connection that carries it out.

Every statement is written once, with SQLAlchemy, in ``statements``. ``frozen`` has the same for
SQLite as text, so that SQLAlchemy, which takes half a second to import, need not be there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Row = tuple[Any, ...]


class Statement(NamedTuple):
    """One statement: how SQLite is told, and what kinds of values go in and come out."""

    name: str
    """By which ``statements`` has it, too."""
    sql: str
    """With ``?`` for each value, and ``{these}`` for a list of values."""
    values: str
    """The names of the values in the order of their ``?``, each with its kind behind it."""
    columns: str
    """The kinds of a row's columns. Kinds: ``:text``, ``:moment``, ``:names``, ``:flag``; none, or
    a hyphen for a column, where a value is stored as it is."""


class Connection(Protocol):
    """A connection to a ledger, in a transaction. Values go in and come out as in the model."""

    def rows(self, statement: Statement, **values: Any) -> list[Row]:
        """All rows."""

    def row(self, statement: Statement, **values: Any) -> Row | None:
        """The first row."""

    def value(self, statement: Statement, **values: Any) -> Any:
        """The first column of the first row; None, too, when there is no row."""

    def write(self, statement: Statement, **values: Any) -> None:
        """Change something."""

    def write_many(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> None:
        """Change something for each of these."""

    def make(self, statement: Statement, **values: Any) -> int:
        """Insert a row; its id."""

    def plain(self, sql: str) -> Any:
        """The first column of the first row of some SQL that is no statement of a verb's."""
