"""Reads what all workers on a mirror do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.app.locations import ledger_url
from artifact_sync.ledger import location

if TYPE_CHECKING:
    from artifact_sync.domain.jobs import FleetState
    from artifact_sync.domain.settings import Config

SEEN = 30.0
"""Seconds for which a worker without a sign of life counts as there."""


async def read_fleet(config: Config) -> FleetState | None:
    """All workers; None where the ledger is on no server. ``LedgerUnreachable``."""
    server = location(ledger_url(config)).server
    if not server:
        return None
    from artifact_sync.fleet.coordination import Coordination  # noqa: PLC0415 - an extra
    from artifact_sync.fleet.overview import overview  # noqa: PLC0415 - likewise

    database = Coordination(server)
    try:
        return await overview(database, SEEN)
    finally:
        await database.aclose()
