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
    from pathlib import Path

    from artifact_sync.domain.settings import Durability
    from artifact_sync.ledger.async_ledger import AsyncLedger

__all__ = ["location", "open_ledger"]


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


def _class() -> type[AsyncLedger]:
    """Import what is needed, off the event loop."""
    from artifact_sync.ledger.async_ledger import AsyncLedger  # noqa: PLC0415 - see above

    return AsyncLedger
