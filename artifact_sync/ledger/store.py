"""An opened ledger as the worker's thread uses it: a Protocol. The two kinds are elsewhere.

``lite_store`` has SQLite by the standard library, ``alchemy_store`` every other database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from artifact_sync.ledger.statement import Connection
    from artifact_sync.ledger.transaction import Transaction

_T = TypeVar("_T")


class Store(Protocol):
    """Reads, and commits writes in groups. Raises what ``ports.Ledger`` says. For one thread."""

    def commit(self, works: Sequence[Callable[[Transaction], Any]]) -> list[Any]:
        """Do all of these in one transaction, or none; what each of them has to tell."""

    def read(self, work: Callable[[Connection], _T]) -> _T:
        """Read from one state of the ledger."""

    def close(self) -> None:
        """Close the connection."""
