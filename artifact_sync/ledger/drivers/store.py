"""Protocol of an opened ledger, which each driver implements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from artifact_sync.ledger.queries.transaction import Transaction
    from artifact_sync.ledger.sql.connection import Connection

_T = TypeVar("_T")


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
