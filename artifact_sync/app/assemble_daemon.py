"""Assembles the daemon: a service with a watch, a control socket, timers."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from artifact_sync.app.daemon_engine import started
from artifact_sync.app.locations import root_of
from artifact_sync.app.service import Service
from artifact_sync.daemon.background import restarting
from artifact_sync.daemon.context import DaemonContext
from artifact_sync.daemon.control.server import ControlServer
from artifact_sync.daemon.progress import EventFanout, PassProgress
from artifact_sync.daemon.prune_timer import PruneTimer
from artifact_sync.daemon.repositories import WatchedRepositories
from artifact_sync.daemon.watch.watcher import WatchSwitch
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.runtime.clock import SystemClock
from artifact_sync.runtime.tasks import running_beside
from artifact_sync.web.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Iterator

    from artifact_sync.app.daemon_engine import LiveEngine
    from artifact_sync.app.service import ProcessContext
    from artifact_sync.domain.settings import Config
    from artifact_sync.domain.status import WatchState


@asynccontextmanager
async def service(config: Config, process: ProcessContext) -> AsyncGenerator[DaemonService]:
    """A daemon, its mirror locked. ``MirrorBusy``, ``DiskError``, ``UsageError``."""
    clock = SystemClock()
    progress, repositories = PassProgress(clock), WatchedRepositories(config.repo)
    metrics = Metrics(clock, lambda: {str(repo) for repo in repositories.entries})
    observer = EventFanout([progress, metrics])
    async with started(config, observer, process.read_token) as engine:
        context = DaemonContext.of(engine, progress, repositories)
        yield DaemonService(engine, context, metrics, process)


class DaemonService(Service):
    """A daemon with everything that runs beside its passes. Made by ``service``."""

    def __init__(
        self, engine: LiveEngine, context: DaemonContext, metrics: Metrics, process: ProcessContext
    ) -> None:
        self._watch = WatchSwitch(engine, root_of(engine.config))
        self._has_given_way = False
        super().__init__(engine, context, metrics, process)

    def _must_look(self) -> bool:
        return self._watch.must_look()

    def _watch_state(self) -> WatchState:
        return self._watch.state

    def _config_changed(self) -> None:
        self._watch.config_changed()
        super()._config_changed()

    async def run(self) -> None:
        """Run until ``stop``; see ``Service``.

        ``AlreadyPlanned`` when another process plans the passes over the mirror.
        """
        member = self._engine.member
        if member is not None:
            await member.plan_alone(self._give_way)
        own, mirror = root_of(self._engine.config) / OWN_FOLDER, self._engine.mirror
        control = ControlServer(
            own,
            self._status,
            lambda: self._engine.config.source.base_url,
            check_mirror=mirror.check,
        )
        await self._scheduler.remember()
        async with (
            self._web.listening(),
            control.serving(),
            running_beside(*self._background()),
        ):
            await self._scheduler.run()
        self._check_may_go_on()
        if member is not None and self._has_given_way:
            raise await member.already_planned()

    def _give_way(self) -> None:
        """Stop, since others plan by now."""
        self._has_given_way = True
        self.stop()

    def _background(self) -> Iterator[Awaitable[None]]:
        clock = self._engine.clock
        yield from self._beside()
        watch = partial(self._watch.run, self._scheduler)
        yield restarting("the watch over the mirror", watch, clock)
        yield restarting("reading the mirror again", self._scrub.run, clock)
        pruning = PruneTimer(self._scheduler, self._engine.prune_by_schedule, clock)
        yield restarting("pruning by its schedule", pruning.run, clock)
        yield restarting("telling hooks", self._hooks.run, clock)
        if (member := self._engine.member) is not None:
            beat = member.daemon_beat(self._context)
            yield restarting("telling others of this daemon", beat.run, clock, most=5.0)
