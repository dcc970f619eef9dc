"""Drops what waits for hooks that were removed from the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.runtime.logs import get_logger

if TYPE_CHECKING:
    from artifact_sync.domain.ports import OutboxLedger

_log = get_logger(__name__)


async def drop_removed(ledger: OutboxLedger) -> None:
    """Drop what waits for removed hooks, and say so. ``DiskError``."""
    gone = await ledger.drop_unsubscribed()
    for name, count in gone.items():
        message = "deliveries were dropped: their hook is not in the configuration any more"
        _log.warning(message, hook=name, deliveries=count)
