"""The ledger: what is known, durable, in SQLite or PostgreSQL.

``async_ledger`` keeps ``ports.Ledger`` for the event loop, over the ``writer_thread``; ``queries``
has the verbs, ``sql`` their statements, ``drivers`` the databases, ``migrations`` the schema. What
follows from what is known lives elsewhere. Others import this module alone, ``app`` the queries too
where it reads without an event loop. Importing it costs little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.ledger.drivers.location import location

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    import psycopg

    from artifact_sync.domain.settings import Durability
    from artifact_sync.ledger.async_ledger import AsyncLedger

__all__ = ["location", "open_ledger", "postgres_connector"]


async def open_ledger(
    url: str | Path, *, durability: Durability, create: bool = True, read_only: bool = False
) -> AsyncLedger:
    """Open a ledger; create or migrate it if needed. ``aclose`` it.

    ``url``: ``ledger.url``, or the path of an SQLite file in a folder that exists. ``create``: make
    it when there is none. ``read_only``: leave the ledger as it is, whatever is called: what is
    written about runs and passes is seen by this ledger alone and lost when it closes, which is
    what a dry run needs; writing about artifacts is ``DiskError``.

    Raises ``UsageError`` (no such ledger, or one that cannot be used as asked), ``LedgerTooNew``,
    ``DiskError``, ``NoSpace``, and ``LedgerUnreachable`` of a server.
    """
    import asyncio  # noqa: PLC0415 - slow; whoever calls this has it already

    ledger = await asyncio.to_thread(_class)
    return await ledger.open(url, durability=durability, create=create, read_only=read_only)


def postgres_connector(
    url: str | Path, **options: Any
) -> Callable[[], psycopg.Connection[Any]] | None:
    """What makes further connections to a ledger's server; None: it has none.

    ``options`` are libpq's, unless the URL has them. A connection commits by itself, and gives up a
    server that says nothing for its ``tcp_user_timeout``. Raises errors of ``domain.errors`` only.
    """
    place = location(url)
    if not place.server:
        return None
    from functools import partial  # noqa: PLC0415 - as below

    from artifact_sync.ledger.drivers.store import postgres_driver  # noqa: PLC0415 - likewise

    driver = postgres_driver()
    return partial(driver.connect, place, driver.options_of(place, **options))


def _class() -> type[AsyncLedger]:
    """Import what is needed, off the event loop."""
    from artifact_sync.ledger.async_ledger import AsyncLedger  # noqa: PLC0415 - see above

    return AsyncLedger
