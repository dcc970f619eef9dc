"""Protocol of a connection that executes named statements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Row = tuple[Any, ...]


class Connection(Protocol):
    """Executes named statements. Values go in and come out as in the model.

    Of the values it takes those that the statement names. A statement with ``IN (:these)`` is given
    a list as ``these``.
    """

    def rows(self, name: str, **values: Any) -> list[Row]:
        """Read all rows."""

    def row(self, name: str, **values: Any) -> Row | None:
        """Read the first row."""

    def value(self, name: str, **values: Any) -> Any:
        """Read the first column of the first row; None when there is no row."""

    def write(self, name: str, **values: Any) -> None:
        """Execute a change."""

    def write_many(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Execute a change for each row of values."""

    def insert(self, name: str, **values: Any) -> int:
        """Insert a row and return its id."""

    def has_table(self, name: str) -> bool:
        """Whether there is a table of this name."""

    def run(self, sql: str) -> None:
        """Execute a statement of a migration."""
