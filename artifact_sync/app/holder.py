"""Opens a mirror, or finds the daemon that holds it."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from artifact_sync.app.storage import open_storage
from artifact_sync.daemon.control.client import DaemonClient, tries
from artifact_sync.domain.errors import MirrorBusy
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.runtime.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from artifact_sync.app.storage import Storage
    from artifact_sync.domain.settings import Config

_log = get_logger(__name__)


@asynccontextmanager
async def opened_or_held(
    config: Config, *, rehearse: bool = False, does: str = "does it", frees: bool = False
) -> AsyncGenerator[tuple[Storage, DaemonClient | None]]:
    """Open a mirror, locked; or, to be read, one that a daemon holds.

    ``does``: what the daemon does then, for the log. ``frees``: see ``open_storage``.
    ``MirrorBusy``, ``DiskError``, ``UsageError``, ``LedgerTooNew``.
    """
    daemon = None
    async with AsyncExitStack() as stack:
        try:
            opening = open_storage(config, rehearse=rehearse, frees=frees)
            store = await stack.enter_async_context(opening)
        except MirrorBusy as busy:
            daemon = await _daemon_of(busy, does)
            store = await stack.enter_async_context(open_storage(config, rehearse=True))
        yield store, daemon


async def _daemon_of(busy: MirrorBusy, does: str) -> DaemonClient:
    """The daemon that holds the mirror; raises ``busy`` where there is none."""
    daemon = DaemonClient(busy.root / OWN_FOLDER)
    async for _ in tries(busy):
        if (status := await daemon.status()) is not None:
            pid = status["daemon"]["pid"]
            _log.info(f"the daemon (process {pid}) holds the mirror, and {does}")
            return daemon
    raise busy
