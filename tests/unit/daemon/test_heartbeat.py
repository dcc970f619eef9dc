"""The watchdog gets its food for work that is really done, and for nothing else."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from daemon_kit import FakeEngine, settle

from artifact_sync.daemon.background import beside
from artifact_sync.daemon.health import MirrorHealth
from artifact_sync.daemon.heartbeat import Heartbeat
from artifact_sync.daemon.progress import PassProgress
from artifact_sync.domain.events import BytesArrived
from artifact_sync.domain.model import ArtifactKey
from artifact_sync.domain.settings import Config

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = ArtifactKey("acme", "rocket", "7", "ci", "build", "build", "a.bin")


@dataclass
class Listener:
    """A supervisor that remembers what it was told."""

    watchdog: float | None = 60.0
    fed: int = 0
    lines: list[str] = field(default_factory=list)

    def ready(self, status: str) -> None:
        self.lines.append(status)

    def status(self, text: str) -> None:
        self.lines.append(text)

    def reloading(self) -> None: ...

    def stopping(self, status: str) -> None: ...

    def alive(self) -> None:
        self.fed += 1

    def extend(self, seconds: float) -> None: ...


class Body:
    """A heartbeat and all that it beats for."""

    def __init__(self, line: Callable[[], str] = lambda: "idle") -> None:
        self.engine = FakeEngine(Config())
        self.board = PassProgress(self.engine.clock)
        self.listener = Listener()
        self.ground = MirrorHealth(self.engine, lambda _: None, lambda: None)  # type: ignore[arg-type]
        self.heart = Heartbeat(self.engine, self.board, self.ground, self.listener, line)  # type: ignore[arg-type]

    def live(self, story: Callable[[], object]) -> None:
        async def whole() -> None:
            async with beside(self.heart.run()):
                await settle()
                await story()  # type: ignore[misc]

        asyncio.run(whole())


def test_an_idle_daemon_feeds_its_watchdog() -> None:
    body = Body()

    async def story() -> None:
        await body.engine.clock.advance(60.0)

    body.live(story)
    assert body.listener.fed == 13  # at once, and every five seconds


def test_a_hurried_watchdog_is_fed_more_often() -> None:
    body = Body()
    body.listener.watchdog = 3.0

    async def story() -> None:
        await body.engine.clock.advance(10.0)

    body.live(story)
    assert body.listener.fed == 11


def test_a_line_is_told_when_it_is_another_one() -> None:
    lines = iter(["idle", "idle", "busy", *["idle"] * 20])
    body = Body(lambda: next(lines))

    async def story() -> None:
        await body.engine.clock.advance(20.0)

    body.live(story)
    assert body.listener.lines == ["idle", "busy", "idle"]


def test_a_ledger_that_does_not_answer_starves_it() -> None:
    body = Body()
    body.listener.watchdog = 0.2

    async def never() -> None:
        await asyncio.Event().wait()

    body.engine.ledger.ping = never  # type: ignore[method-assign]

    async def story() -> None:
        await asyncio.sleep(0.3)  # the bound on an answer is real time

    body.live(story)
    assert body.listener.fed == 0


def test_passes_of_which_nothing_is_heard_for_half_an_hour_starve_it() -> None:
    body = Body()

    async def story() -> None:
        with body.board.metered("acme/rocket", "interval"):
            await body.engine.clock.advance(1800.0)
            fed = body.listener.fed
            await body.engine.clock.advance(600.0)
            assert body.listener.fed == fed

    body.live(story)


def test_a_slow_download_is_heard_with_every_byte() -> None:
    body = Body()

    async def story() -> None:
        with body.board.metered("acme/rocket", "interval"):
            for _ in range(6):
                await body.engine.clock.advance(1000.0)
                body.board.notify(BytesArrived(KEY, 1))
            fed = body.listener.fed
            await body.engine.clock.advance(10.0)
            assert body.listener.fed == fed + 10

    body.live(story)
