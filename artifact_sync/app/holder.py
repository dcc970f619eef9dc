"""Finds the daemon that holds a mirror, to ask it for work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.daemon.control.client import DaemonClient, tries
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.runtime.logs import get_logger

if TYPE_CHECKING:
    from artifact_sync.domain.errors import MirrorBusy

_log = get_logger(__name__)


async def daemon_of(busy: MirrorBusy, does: str = "does it") -> DaemonClient:
    """The daemon that holds the mirror; raises ``busy`` where there is none."""
    daemon = DaemonClient(busy.root / OWN_FOLDER)
    async for _ in tries(busy):
        if (status := await daemon.status()) is not None:
            pid = status["daemon"]["pid"]
            _log.info(f"the daemon (process {pid}) holds the mirror, and {does}")
            return daemon
    raise busy
