"""Opening a ledger with the driver for its location."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.domain.errors import UsageError
from artifact_sync.ledger.drivers.location import location

if TYPE_CHECKING:
    from pathlib import Path

    from artifact_sync.ledger.drivers.location import OpenTerms
    from artifact_sync.ledger.drivers.store import Store


def open_store(url: str | Path, terms: OpenTerms) -> Store:
    """Open a ledger, making or migrating it where that is asked for and due."""
    place = location(url)
    if place.server:
        try:
            from artifact_sync.ledger.drivers.postgres import (  # noqa: PLC0415 - an extra
                PostgresStore,
            )
        except ImportError:
            raise UsageError(
                "a ledger in PostgreSQL needs psycopg: pip install 'artifact-sync[postgres]'"
            ) from None
        return PostgresStore.open(place, terms)
    from artifact_sync.ledger.drivers.sqlite import SqliteStore  # noqa: PLC0415 - its counterpart

    return SqliteStore.open(place, terms)
