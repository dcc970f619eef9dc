"""What the daemon and a worker have in common: scheduler, reload, heartbeat, web."""

from __future__ import annotations

import asyncio
import math
import os
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from artifact_sync.app.daemon_hooks import DaemonHooks
from artifact_sync.app.web_listener import WebListener
from artifact_sync.config import api_token
from artifact_sync.config.secret_file import credential
from artifact_sync.daemon.api import DaemonApi, no_fleet, status_line
from artifact_sync.daemon.background import restarting
from artifact_sync.daemon.heartbeat import Heartbeat
from artifact_sync.daemon.pass_log import PassLog
from artifact_sync.daemon.reload import Reloader, file_changes
from artifact_sync.daemon.scheduler import Scheduler
from artifact_sync.daemon.scrub.scrubber import Scrubber
from artifact_sync.daemon.watch.repair import DamageRepair
from artifact_sync.domain.errors import LedgerUnreachable, UsageError
from artifact_sync.domain.status import WatchState
from artifact_sync.runtime.logs import get_logger
from artifact_sync.web import webhook_secrets
from artifact_sync.web.context import WebContext
from artifact_sync.web.metrics import Gauges

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from artifact_sync.app.daemon_engine import LiveEngine, ReadToken
    from artifact_sync.config.difference import Changes
    from artifact_sync.daemon.context import DaemonContext
    from artifact_sync.daemon.repositories import Lags
    from artifact_sync.daemon.schedule.turn_source import TurnSource
    from artifact_sync.daemon.systemd import Supervisor
    from artifact_sync.domain.jobs import FleetState
    from artifact_sync.domain.settings import Config
    from artifact_sync.web.metrics import Metrics

_log = get_logger(__name__)

_MARGIN = 15.0
"""Seconds beyond the grace time after which everything has ended."""

_REACHING = frozenset(f"source.{key}" for key in ("base_url", "token_file", "ca_bundle", "proxy"))
"""Keys by which the service is reached: after a change, what failed is looked at again."""

_LONGEST_RESTART = 5.0
"""Seconds until a failed heartbeat is restarted, at most: a watchdog waits for it."""

_TELLING = 2.0
"""Seconds in which a scrape of the metrics hears of other workers, or does without."""

_STARTING = 60.0
"""Seconds that starting may still take, counted anew with each status line."""


@dataclass(frozen=True, slots=True)
class ProcessContext:
    """What the process gives the daemon."""

    supervisor: Supervisor
    load: Callable[[], Config]
    """Reads the configuration again. Blocking. ``ConfigError``."""
    read_token: ReadToken
    environ: Mapping[str, str]


class Service:
    """A scheduler with what runs beside its passes; the base of ``DaemonService`` and others."""

    def __init__(
        self, engine: LiveEngine, context: DaemonContext, metrics: Metrics, process: ProcessContext
    ) -> None:
        self._engine = engine
        self._context = context
        self._process = process
        self._metrics = metrics
        self._scheduler = Scheduler(context, (PassLog(), metrics), self._must_look)
        repair, auditor = DamageRepair(engine, self._scheduler), self._scheduler.auditor
        self._scrub = Scrubber(auditor, engine.clock, repair, lambda: engine.config.verify)
        self._reloader = Reloader(self, process.supervisor, engine.clock, engine.config)
        self._status = DaemonApi(
            context,
            self._scheduler,
            engine.clock.now(),
            lambda: self._reloader.state,
            self._watch_state,
            lambda: self._scrub.state,
            no_fleet if engine.member is None else engine.member.state,
            self._planned,
        )
        parts = (engine.ledger, engine.layout, engine.clock, engine.config)
        self._hooks = DaemonHooks(*parts)
        self._web = WebListener(self._web_context(metrics))

    def _must_look(self) -> bool:
        """Whether each pass has to check the newest files, since a watch that should does not."""
        return False

    def _watch_state(self) -> WatchState:
        """The watch over the mirror's files."""
        return WatchState()

    def _planned(self) -> tuple[TurnSource, Lags]:
        """What is scheduled, and how far repositories are behind."""
        return self._context.agenda, self._context.lags

    def _web_context(self, metrics: Metrics) -> WebContext:
        context, engine = self._context, self._engine
        return WebContext(
            self._status,
            metrics,
            engine.clock,
            lambda: engine.config.web,
            self._process.environ,
            Gauges(
                lambda: self._planned()[1].since_complete(engine.clock.monotonic()),
                lambda: context.health.ledger_size,
                lambda: context.endangered.counts,
                lambda: context.endangered.displaced,
                lambda: context.endangered.verification_ages,
            ),
            threads=engine.threads,
            fleet=self._fleet_now,
        )

    async def _fleet_now(self) -> FleetState | None:
        """What all workers do, as far as it can be told at once."""
        member = self._engine.member
        if member is None:
            return None
        try:
            async with asyncio.timeout(_TELLING):
                return await member.state()
        except (LedgerUnreachable, TimeoutError):
            return None

    @property
    def killed(self) -> bool:
        """Whether it was told to stop twice."""
        return self._scheduler.killed

    async def run(self) -> None:
        """Run until ``stop``; what fails beside the passes is restarted.

        ``MirrorGone`` when another mirror was put in its place: a new process must open that.
        ``LedgerTooNew`` when a newer program has migrated the ledger.
        """
        raise NotImplementedError

    def _check_may_go_on(self) -> None:
        """Raise why this process has stopped by itself, if it has; see ``run``."""
        health = self._context.health
        if health.outdated is not None:
            raise health.outdated
        if health.replaced is not None:
            raise health.replaced

    def stop(self) -> None:
        """Shut down gracefully; called again: at once."""
        if not self._scheduler.stopping.is_set():
            _log.info("stopping (once more: at once)")
            self._process.supervisor.stopping("stopping")
            self._process.supervisor.extend(self._engine.config.daemon.grace + _MARGIN)
        self._scheduler.stop()

    def reload(self) -> None:
        """Reload the configuration, as somebody has asked for."""
        self._scheduler.spawn(self._reloader.reload(asked=True))

    def _beside(self) -> Iterator[Awaitable[None]]:
        """What runs beside the passes of any service, until it is cancelled."""
        clock, supervisor = self._engine.clock, self._process.supervisor
        check = self._scheduler.check_health
        heartbeat = Heartbeat(self._context, supervisor, check, self._status_line)
        most = min(_LONGEST_RESTART, (supervisor.watchdog or math.inf) / 3)
        yield restarting("the heartbeat", heartbeat.run, clock, most=most)
        yield restarting("the watch over the configuration", self._watch_files, clock)
        yield self._announce_ready()

    async def _announce_ready(self) -> None:
        """Tell systemd once the first pass was tried."""
        await self._scheduler.tried.wait()
        self._process.supervisor.ready(self._status_line())
        _log.info("ready", pid=os.getpid(), root=str(self._engine.config.mirror.root))

    def _status_line(self) -> str:
        if not self._scheduler.tried.is_set() and not self._scheduler.stopping.is_set():
            self._process.supervisor.extend(_STARTING)
        return status_line(self._status.live())

    async def _watch_files(self) -> None:
        watch = file_changes(self._files, self._engine.threads, self._engine.clock)
        async with aclosing(watch) as changes:
            await self._reloader.run(changes)

    def _files(self) -> Sequence[Path]:
        config = self._engine.config
        files = (config.path, config.source.token_file, *config.web.secret_files)
        names = (api_token.CREDENTIAL, webhook_secrets.CREDENTIAL)
        credentials = [credential(name, self._process.environ) for name in names]
        return [file for file in (*files, *credentials) if file is not None]

    async def load_config(self) -> Config:
        """Read the configuration. ``ConfigError``."""
        return await self._engine.threads(self._process.load)

    async def apply_config(self, config: Config, changes: Changes) -> None:
        """Use a configuration for new passes; running ones keep theirs."""
        old = self._engine.config
        await self._engine.apply(config)
        try:
            await self._web.follow()
        except UsageError:
            await self._engine.apply(old)
            await self._web.follow()
            raise
        self._scheduler.configure(config)
        self._hooks.follow(config)
        if any(key in _REACHING for key in changes.live):
            self._scheduler.look_again()
        self._config_changed()

    def _config_changed(self) -> None:
        """Have what runs beside the passes follow the configuration."""
        self._scrub.config_changed()

    async def refresh_token(self) -> None:
        """Read the token again. ``ConfigError``."""
        await self._scheduler.refresh_token()
