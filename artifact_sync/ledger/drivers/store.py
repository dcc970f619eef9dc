"""The contract of a driver: an opened ledger, and a connection within a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from artifact_sync.ledger.queries.transaction import Transaction

_T = TypeVar("_T")

Row = tuple[Any, ...]


class Connection(Protocol):
    """Carries out named statements (``sql``). Values go in and come out as in the model.

    Of the values it takes those that the statement names. A statement with ``IN (:these)`` is given
    a list as ``these``.
    """

    def rows(self, name: str, **values: Any) -> list[Row]:
        """All rows."""

    def row(self, name: str, **values: Any) -> Row | None:
        """The first row."""

    def value(self, name: str, **values: Any) -> Any:
        """The first column of the first row; None, too, when there is no row."""

    def write(self, name: str, **values: Any) -> None:
        """Change something."""

    def write_many(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Change something for each of these."""

    def insert(self, name: str, **values: Any) -> int:
        """Insert a row; its id."""

    def has_table(self, name: str) -> bool:
        """Whether there is a table of this name."""

    def run(self, sql: str) -> None:
        """Carry out a statement of a migration."""


class Store(Protocol):
    """An opened ledger, for use on one thread. Raises what ``ports.Ledger`` says."""

    def commit(self, works: Sequence[Callable[[Transaction], Any]]) -> list[Any]:
        """Do all of these in one transaction, or none; what each of them returns.

        A work may be called again when the transaction had to be repeated.
        """

    def read(self, work: Callable[[Connection], _T]) -> _T:
        """Read from one state of the ledger. The work may be called again."""

    def close(self) -> None:
        """Close the connection."""
