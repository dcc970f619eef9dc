"""An opened ledger, which each driver implements, and the choice of the driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from artifact_sync.domain.errors import UsageError
from artifact_sync.ledger.drivers.location import location

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import ModuleType

    from artifact_sync.ledger.drivers.location import OpenTerms
    from artifact_sync.ledger.queries.transaction import Transaction
    from artifact_sync.ledger.sql.connection import Connection

_T = TypeVar("_T")


class Store(Protocol):
    """An opened ledger, for use on one thread. Raises what ``ports.Ledger`` says."""

    def commit(self, works: Sequence[Callable[[Transaction], Any]]) -> list[Any]:
        """Do all of these in one transaction, or none; what each of them returns.

        A work may be called again when the transaction had to be repeated.
        """

    def read(self, work: Callable[[Connection], _T], more: Callable[[], bool] | None = None) -> _T:
        """Read from one state of the ledger. The work may be called again.

        ``more``: whether something else is asked of the store at once, with which it may end.
        """

    def compact(self) -> None:
        """Give room back to the system that deleted rows have left, where that pays."""

    def close(self) -> None:
        """Close the connection."""


def open_store(url: str | Path, terms: OpenTerms) -> Store:
    """Open a ledger, making or migrating it where that is asked for and due."""
    place = location(url)
    if not place.server:
        from artifact_sync.ledger.drivers.sqlite import SqliteStore  # noqa: PLC0415 - its counterpart

        return SqliteStore.open(place, terms)
    opened: Store = postgres_driver().PostgresStore.open(place, terms)
    return opened


def postgres_driver() -> ModuleType:
    """The module for ledgers in PostgreSQL. ``UsageError``: it needs a package."""
    try:
        from artifact_sync.ledger.drivers import postgres  # noqa: PLC0415 - an extra
    except ImportError:
        raise UsageError(
            "a ledger in PostgreSQL needs psycopg: pip install 'artifact-sync[postgres]'"
        ) from None
    return postgres
