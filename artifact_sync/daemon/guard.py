"""What is done about damage that the watch over the mirror finds: told, and restored if wanted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from artifact_sync.daemon.desk import WatchState

if TYPE_CHECKING:
    from artifact_sync.daemon.engine import Engine
    from artifact_sync.daemon.service import Daemon

_log = structlog.get_logger(__name__)


class Guard:
    def __init__(self, engine: Engine, daemon: Daemon) -> None:
        self._engine = engine
        self._daemon = daemon

    def state(self) -> WatchState:
        return WatchState(mode=self._engine.config.mirror.watch)

    async def run(self) -> None:
        await asyncio.Event().wait()

    def follow(self) -> None: ...
