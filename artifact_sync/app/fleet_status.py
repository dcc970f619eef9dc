"""Reads what all workers on a mirror do."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from artifact_sync.app.locations import ledger_url
from artifact_sync.domain.errors import LedgerUnreachable
from artifact_sync.ledger import location

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from artifact_sync.domain.jobs import FleetState
    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.settings import Config
    from artifact_sync.fleet.coordination import Coordination

SEEN = 30.0
"""Seconds for which a worker without a sign of life counts as there."""


async def read_fleet(config: Config) -> FleetState | None:
    """All workers; None where the ledger is on no server. ``LedgerUnreachable``."""
    async with coordination_of(config) as database:
        if database is None:
            return None
        from artifact_sync.fleet.overview import overview  # noqa: PLC0415 - an extra

        return await overview(database, SEEN)


async def holder_in_words(config: Config, repo: RepoName) -> str:
    """Who works on a repository, as far as that can be told."""
    found = None
    with suppress(LedgerUnreachable):
        async with coordination_of(config) as database:
            if database is not None:
                from artifact_sync.fleet.overview import holder  # noqa: PLC0415 - an extra

                found = await holder(database, repo, SEEN)
    return found or "another process"


@asynccontextmanager
async def coordination_of(config: Config) -> AsyncGenerator[Coordination | None]:
    """What processes agree on by the ledger's server; None: it is on none."""
    server = location(ledger_url(config)).server
    if not server:
        yield None
        return
    from artifact_sync.fleet.coordination import Coordination  # noqa: PLC0415 - an extra

    database = Coordination(server)
    try:
        yield database
    finally:
        await database.aclose()
