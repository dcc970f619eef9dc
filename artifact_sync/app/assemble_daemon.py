"""The daemon, put together: the passes and all that runs beside them. ``cli`` starts it."""

from __future__ import annotations

import math
import os
import random
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from artifact_sync.app.daemon_engine import started
from artifact_sync.app.locations import root_of
from artifact_sync.app.web_listener import Web
from artifact_sync.config import api_token
from artifact_sync.config.secret_file import credential
from artifact_sync.daemon.background import beside, kept_up
from artifact_sync.daemon.control.server import ControlServer
from artifact_sync.daemon.heartbeat import Heartbeat
from artifact_sync.daemon.pass_log import PassLog
from artifact_sync.daemon.progress import EventFanout, PassProgress
from artifact_sync.daemon.reload.file_watch import FileWatch
from artifact_sync.daemon.reload.reloader import Actions, Reload
from artifact_sync.daemon.schedule import Agenda
from artifact_sync.daemon.scheduler import Daemon
from artifact_sync.daemon.status import DaemonStatus, status_line
from artifact_sync.daemon.watch.repair import DamageRepair
from artifact_sync.domain.errors import MirrorGone, UsageError
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.runtime.clock import SystemClock
from artifact_sync.runtime.logs import get_logger
from artifact_sync.web import webhook_secrets
from artifact_sync.web.context import WebContext
from artifact_sync.web.metrics import Gauges, Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from artifact_sync.app.daemon_engine import LiveEngine, ReadToken
    from artifact_sync.config.difference import Changes
    from artifact_sync.daemon.systemd import Supervisor
    from artifact_sync.domain.settings import Config

_log = get_logger(__name__)


_MARGIN = 15.0
"""Seconds beyond the grace time in which everything has ended."""

_REACHING = frozenset(f"source.{key}" for key in ("base_url", "token_file", "ca_bundle", "proxy"))
"""Keys by which the service is reached: when one changes, what failed is worth another look."""

_HURRY = 5.0
"""Seconds that a heartbeat which has failed waits at most: a watchdog would bite."""

_STARTING = 60.0
"""Seconds that the first listing may still take, counted anew with every sign of life."""


@dataclass(frozen=True, slots=True)
class DaemonContext:
    """What the daemon is given by whoever starts it."""

    supervisor: Supervisor
    load: Callable[[], Config]
    """Reads the configuration again. Blocking. ``ConfigError``."""
    read_token: ReadToken
    environ: Mapping[str, str]


@asynccontextmanager
async def service(config: Config, around: DaemonContext) -> AsyncGenerator[DaemonService]:
    """A daemon, its mirror locked. ``MirrorBusy``, ``DiskError``, ``UsageError``."""
    clock = SystemClock()
    board, metrics = PassProgress(clock), Metrics(clock)
    async with started(config, EventFanout([board, metrics]), around.read_token) as engine:
        yield DaemonService(engine, board, metrics, around)


class DaemonService:
    """A daemon with all that belongs to it. Made by ``service``."""

    def __init__(
        self, engine: LiveEngine, board: PassProgress, metrics: Metrics, around: DaemonContext
    ) -> None:
        self._engine = engine
        self._around = around
        agenda = Agenda(random.Random())  # noqa: S311 - no secret depends on it
        self._daemon = Daemon(engine, board, agenda, (PassLog(), metrics))
        actions = Actions(around.load, self._apply, self._daemon.refresh, engine.chores)
        self._reload = Reload(actions, around.supervisor, engine.clock, engine.config)
        self._guard = DamageRepair(engine, self._daemon, root_of(engine.config))
        self._counter = DaemonStatus(
            self._daemon, board, engine.clock.now(), lambda: self._reload.state, self._guard.state
        )
        self._heart = Heartbeat(engine, board, self._daemon.ground, around.supervisor, self._line)
        self._web = Web(self._front(metrics))

    def _front(self, metrics: Metrics) -> WebContext:
        daemon, engine = self._daemon, self._engine
        gauges = Gauges(
            lambda: daemon.lags.since_complete(engine.clock.monotonic()),
            lambda: daemon.ground.ledger_size,
        )
        metrics.labels.looked_after = lambda: {str(it) for it in daemon.roster.entries}
        settings, environ = lambda: engine.config.web, self._around.environ
        chores = engine.chores
        return WebContext(
            self._counter, metrics, engine.clock, settings, environ, gauges, chores=chores
        )

    @property
    def broken_off(self) -> bool:
        """Whether it was told to stop twice."""
        return self._daemon.broken_off

    def stop(self) -> None:
        """Come to an end; called again: at once."""
        if not self._daemon.stopping.is_set():
            _log.info("stopping (once more: at once)")
            self._around.supervisor.stopping("stopping")
            self._around.supervisor.extend(self._engine.config.daemon.grace + _MARGIN)
        self._daemon.stop()

    def reload(self) -> None:
        """Read the configuration again, as somebody asks for."""
        self._daemon.attend(self._reload.again(asked=True))

    async def run(self) -> None:
        """Until ``stop``; what fails beside the passes is begun again.

        ``DiskError`` when another mirror stands at the root by now: a new process must open that.
        """
        own = root_of(self._engine.config) / OWN_FOLDER
        control = ControlServer(own, self._counter, lambda: self._engine.config.source.base_url)
        await self._daemon.remember()
        async with self._web.listening(), control.serving(), beside(*self._companions()):
            await self._daemon.run()
        if self._daemon.ground.replaced:
            raise MirrorGone(own.parent)

    def _companions(self) -> Iterator[Awaitable[None]]:
        clock = self._engine.clock
        hurry = min(_HURRY, (self._around.supervisor.watchdog or math.inf) / 3)
        yield kept_up("the heartbeat", self._heart.run, clock, most=hurry)
        works = {
            "the watch over the configuration": self._watch_files,
            "the watch over the mirror": self._guard.run,
        }
        for name, work in works.items():
            yield kept_up(name, work, clock)
        yield self._get_ready()

    async def _get_ready(self) -> None:
        """Tell systemd once the first listing was tried."""
        await self._daemon.tried.wait()
        self._around.supervisor.ready(self._line())
        _log.info("ready", pid=os.getpid(), root=str(self._engine.config.mirror.root))

    def _line(self) -> str:
        if not self._daemon.tried.is_set() and not self._daemon.stopping.is_set():
            self._around.supervisor.extend(_STARTING)
        return status_line(self._counter.live())

    async def _watch_files(self) -> None:
        async with aclosing(FileWatch(self._files).changes()) as changes:
            await self._reload.run(changes)

    def _files(self) -> Sequence[Path]:
        """What is read again when it changes."""
        config = self._engine.config
        files = (config.path, config.source.token_file, *config.web.secret_files)
        names = (api_token.CREDENTIAL, webhook_secrets.CREDENTIAL)
        credentials = [credential(name, self._around.environ) for name in names]
        return [file for file in (*files, *credentials) if file is not None]

    async def _apply(self, config: Config, changes: Changes) -> None:
        """Take a configuration up between passes; what runs keeps the one that it began with."""
        old = self._engine.config
        await self._engine.apply(config)
        try:
            await self._web.follow()
        except UsageError:
            await self._engine.apply(old)
            await self._web.follow()
            raise
        self._daemon.configure(config)
        if any(change.key in _REACHING for change in changes.live):
            self._daemon.look_again()
        self._guard.follow()
