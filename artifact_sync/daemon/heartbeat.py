"""The daemon's heartbeat: a look at the ground, a line for people, and the watchdog's food.

The watchdog is fed for work that is really done: the event loop turns, the disk's threads and the
ledger answer, and of running passes something is heard. A slow download is heard with every byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from artifact_sync.daemon.health import answers
from artifact_sync.runtime.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from artifact_sync.daemon.engine import Engine
    from artifact_sync.daemon.health import MirrorHealth
    from artifact_sync.daemon.progress import PassProgress
    from artifact_sync.daemon.systemd import Supervisor

_log = get_logger(__name__)

_BUSY, _IDLE = 1.0, 5.0
"""Seconds between beats."""

_SILENCE = 1800.0
"""Seconds without a sign of life from any running pass after which they hang: far more than any
timeout, retry or pause that the service may ask for."""


@dataclass(slots=True)
class Heartbeat:
    """Beats until it is cancelled."""

    engine: Engine
    board: PassProgress
    ground: MirrorHealth
    supervisor: Supervisor
    line: Callable[[], str]
    """What the daemon does now, for people."""
    _said: str = ""

    async def run(self) -> None:
        """Beat, more often while there is work or a watchdog that is in a hurry."""
        while True:
            await self.beat()
            await self.engine.clock.sleep(self._period)

    @property
    def _period(self) -> float:
        period = _BUSY if self.board.meters else _IDLE
        watchdog = self.supervisor.watchdog
        return period if watchdog is None else min(period, watchdog / 3)

    async def beat(self) -> None:
        """Once."""
        if (line := self.line()) != self._said:
            self._said = line
            self.supervisor.status(line)
        if await self._works():
            self.supervisor.alive()
        await self.ground.look()

    async def _works(self) -> bool:
        watchdog = self.supervisor.watchdog
        if watchdog is None:
            return True
        silent = self.engine.clock.monotonic() - self.board.stirred
        if self.board.meters and silent > _SILENCE:
            _log.error("nothing is heard of the running passes any more", seconds=round(silent))
            return False
        return await answers(self.engine, watchdog / 2)
