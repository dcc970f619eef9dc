"""The watchdog is notified only while the daemon really works."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from daemon_kit import FakeEngine, settle

from artifact_sync.daemon.context import DaemonContext
from artifact_sync.daemon.heartbeat import Heartbeat
from artifact_sync.daemon.progress import PassProgress
from artifact_sync.daemon.scheduler import Scheduler
from artifact_sync.domain.events import BytesArrived
from artifact_sync.domain.model import ArtifactKey
from artifact_sync.domain.settings import Config
from artifact_sync.runtime.tasks import running_beside

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = ArtifactKey("acme", "rocket", "7", "ci", "build", "build", "a.bin")


@dataclass
class Listener:
    """A supervisor that remembers what it was told."""

    watchdog: float | None = 60.0
    notified: int = 0
    lines: list[str] = field(default_factory=list)

    def ready(self, status: str) -> None:
        self.lines.append(status)

    def status(self, text: str) -> None:
        self.lines.append(text)

    def reloading(self) -> None: ...

    def stopping(self, status: str) -> None: ...

    def alive(self) -> None:
        self.notified += 1

    def extend(self, seconds: float) -> None: ...


class Trial:
    """A heartbeat and what it checks."""

    def __init__(self, line: Callable[[], str] = lambda: "idle") -> None:
        self.engine = FakeEngine(Config())
        self.progress = PassProgress(self.engine.clock)
        self.listener = Listener()
        engine: Any = self.engine
        context = DaemonContext.of(engine, self.progress)
        check = Scheduler(context).check_health
        self.heartbeat = Heartbeat(context, self.listener, check, line)

    def live(self, story: Callable[[], object]) -> None:
        async def whole() -> None:
            async with running_beside(self.heartbeat.run()):
                await settle()
                await story()  # type: ignore[misc]

        asyncio.run(whole())


def test_an_idle_daemon_notifies_its_watchdog() -> None:
    trial = Trial()

    async def story() -> None:
        await trial.engine.clock.advance(60.0)

    trial.live(story)
    assert trial.listener.notified == 13  # at once, and every five seconds


def test_a_watchdog_with_a_short_interval_is_notified_more_often() -> None:
    trial = Trial()
    trial.listener.watchdog = 3.0

    async def story() -> None:
        await trial.engine.clock.advance(10.0)

    trial.live(story)
    assert trial.listener.notified == 11


def test_a_status_line_is_sent_when_it_has_changed() -> None:
    lines = iter(["idle", "idle", "busy", *["idle"] * 20])
    trial = Trial(lambda: next(lines))

    async def story() -> None:
        await trial.engine.clock.advance(20.0)

    trial.live(story)
    assert trial.listener.lines == ["idle", "busy", "idle"]


def test_a_ledger_that_does_not_answer_stops_the_notifications() -> None:
    trial = Trial()
    trial.listener.watchdog = 0.2

    async def never() -> None:
        await asyncio.Event().wait()

    trial.engine.ledger.ping = never  # type: ignore[method-assign]

    async def story() -> None:
        await asyncio.sleep(0.3)  # the bound on an answer is real time

    trial.live(story)
    assert trial.listener.notified == 0


def test_passes_without_an_event_for_half_an_hour_stop_the_notifications() -> None:
    trial = Trial()

    async def story() -> None:
        with trial.progress.metered("acme/rocket", "interval"):
            await trial.engine.clock.advance(1800.0)
            notified = trial.listener.notified
            await trial.engine.clock.advance(600.0)
            assert trial.listener.notified == notified

    trial.live(story)


def test_every_byte_of_a_slow_download_counts_as_a_sign_of_life() -> None:
    trial = Trial()

    async def story() -> None:
        with trial.progress.metered("acme/rocket", "interval"):
            for _ in range(6):
                await trial.engine.clock.advance(1000.0)
                trial.progress.notify(BytesArrived(KEY, 1))
            notified = trial.listener.notified
            await trial.engine.clock.advance(10.0)
            assert trial.listener.notified == notified + 10

    trial.live(story)
