"""Periodic health check, status line and systemd watchdog ping.

The watchdog is notified only while the event loop runs, the disk threads and the ledger answer, and
running passes send events. A slow download sends one with every chunk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from artifact_sync.daemon.health import NO_ANSWER, ledger_trouble
from artifact_sync.runtime.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from artifact_sync.daemon.context import DaemonContext
    from artifact_sync.daemon.systemd import Supervisor

_log = get_logger(__name__)

_BUSY, _IDLE = 1.0, 5.0
"""Seconds between beats, with and without running passes."""

_SILENCE = 1800.0
"""Seconds without any event after which running passes count as hung: far more than any timeout,
retry or pause that the service may ask for."""


@dataclass(slots=True)
class Heartbeat:
    """Repeats its checks until cancelled."""

    context: DaemonContext
    supervisor: Supervisor
    check_health: Callable[[], Awaitable[None]]
    status_line: Callable[[], str]
    _last_line: str = ""

    async def run(self) -> None:
        """Beat; more often while passes run, or for a watchdog with a short interval."""
        while True:
            await self.beat()
            await self.context.engine.clock.sleep(self._period)

    @property
    def _period(self) -> float:
        period = _BUSY if self.context.progress.meters else _IDLE
        watchdog = self.supervisor.watchdog
        return period if watchdog is None else min(period, watchdog / 3)

    async def beat(self) -> None:
        """One beat."""
        if (line := self.status_line()) != self._last_line:
            self._last_line = line
            self.supervisor.status(line)
        if await self._is_alive():
            self.supervisor.alive()
        await self.check_health()

    async def _is_alive(self) -> bool:
        watchdog = self.supervisor.watchdog
        if watchdog is None:
            return True
        progress = self.context.progress
        silent = self.context.engine.clock.monotonic() - progress.last_event
        if progress.meters and silent > _SILENCE:
            _log.error("the running passes send no events any more", seconds=round(silent))
            return False
        return await ledger_trouble(self.context.engine, watchdog / 2) != NO_ANSWER
