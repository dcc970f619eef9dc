"""A daemon whose time, passes and disk are in the test's hand. Nothing here waits for real."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from artifact_sync.daemon.api import DaemonApi
from artifact_sync.daemon.context import DaemonContext
from artifact_sync.daemon.progress import PassProgress
from artifact_sync.daemon.scheduler import Scheduler
from artifact_sync.domain.errors import UnusableEntries
from artifact_sync.domain.model import RepoName, RunKey, RunRow
from artifact_sync.domain.report import Report
from artifact_sync.domain.settings import DEFAULT_LAYOUT, Config, RepoSettings
from artifact_sync.mirror.layout import Layout
from artifact_sync.mirror.local.lock import LocalRepositoryLock
from artifact_sync.sync.context import Drain
from artifact_sync.sync.sync_pass import PassResult

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence

    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.model import DisplacedFile
    from artifact_sync.domain.request import PassRequest
    from artifact_sync.domain.vanishing import CreationWindow, Endangered

START = datetime(2026, 11, 24, 12, tzinfo=UTC)


class FakeClock:
    """Goes on only by ``advance``, which wakes sleepers at their moments, in order."""

    def __init__(self) -> None:
        self.wall = START
        self._now = 1000.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        waking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now + seconds, waking))
        await waking

    async def advance(self, seconds: float) -> None:
        """Let so much time go by, and let everybody do what they do in it."""
        until = self._now + seconds
        await settle()
        while due := [at for at, waking in self._sleepers if not waking.done() and at <= until]:
            self._set_clock(min(due))
            for at, waking in self._sleepers:
                if at <= self._now and not waking.done():
                    waking.set_result(None)
            self._sleepers = [it for it in self._sleepers if not it[1].done()]
            await settle()
        self._set_clock(until)
        await settle()

    def _set_clock(self, to: float) -> None:
        self.wall += timedelta(seconds=to - self._now)
        self._now = to


async def settle() -> None:
    """Let every task run until it waits for time or for the test."""
    for _ in range(60):
        await asyncio.sleep(0)


@dataclass
class FakePass:
    """A pass that ends as the test says."""

    engine: FakeEngine
    request: PassRequest
    lock: Any
    report: Report = field(default_factory=Report)
    troubles: dict[RepoName, Exception] = field(default_factory=dict)

    async def run(self) -> PassResult:
        for settings in self.request.repos:
            repo = RepoName.parse(settings.name)
            async with self.lock.hold(repo):
                await self._over(repo)
        return PassResult(self.report, self.troubles)

    async def _over(self, repo: RepoName) -> None:
        engine = self.engine
        assert repo not in engine.running, "two passes over the same repository"
        engine.running.add(repo)
        engine.passes.append((engine.clock.monotonic() - 1000.0, str(repo), self.request))
        try:
            if engine.hold is not None:
                await engine.hold.wait()
            if (trouble := engine.trouble(repo)) is not None:
                self.troubles[repo] = trouble
        finally:
            engine.running.discard(repo)


class FakeLedger:
    """As much of a ledger as a daemon asks."""

    def __init__(self) -> None:
        self.finished: set[RunKey] = set()
        self.due: datetime | None = None
        self.trouble: Exception | None = None
        self.in_danger: Sequence[Endangered] = ()

    async def run(self, key: RunKey) -> RunRow | None:
        return RunRow(key, "success") if key in self.finished else None

    async def next_look(self, *_: object) -> datetime | None:
        return self.due

    async def list_digest(self, _: RepoName) -> tuple[str, datetime] | None:
        return None

    async def size(self) -> int | None:
        return None

    async def endangered(self, _: CreationWindow) -> Sequence[Endangered]:
        return self.in_danger

    async def oldest_verifications(self) -> Mapping[RepoName, datetime]:
        return {}

    async def ping(self) -> None:
        if self.trouble is not None:
            raise self.trouble


class FakeMirror:
    """As much of a mirror as a daemon asks."""

    def __init__(self) -> None:
        self.bytes_free = 10 << 20
        self.missing: Exception | None = None

    def check(self) -> None:
        if self.missing is not None:
            raise self.missing

    def free(self) -> int:
        return self.bytes_free

    def displaced(self) -> Iterator[DisplacedFile]:
        return iter(())


class FakeEngine:
    """An engine whose passes are recorded: (seconds since the start, repository, request)."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.clock = FakeClock()
        self.drain = Drain()
        self.ledger = FakeLedger()
        self.mirror = FakeMirror()
        self.lock = LocalRepositoryLock()
        self.layout = Layout(DEFAULT_LAYOUT)
        self.passes: list[tuple[float, str, PassRequest]] = []
        self.running: set[RepoName] = set()
        self.observers: list[Observer] = []
        self.hold: asyncio.Event | None = None
        self.trouble: Callable[[RepoName], Exception | None] = lambda _: None
        self.listed: list[RepoName] = []
        self.unusable = 0
        """Entries of a list that have no usable slug."""
        self.new_token = False

    async def offload(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    @asynccontextmanager
    async def begin(
        self, request: PassRequest, observer: Observer, lock: Any
    ) -> AsyncGenerator[FakePass]:
        self.observers.append(observer)
        yield FakePass(self, request, lock)

    async def repositories(self, org: str) -> AsyncGenerator[RepoName]:
        if (trouble := self.trouble(RepoName(org, "*"))) is not None:
            raise trouble
        for repo in self.listed:
            yield repo
        if self.unusable:
            raise UnusableEntries("the list holds what has no slug", self.unusable)

    async def apply(self, config: Config) -> None:
        self.config = config

    async def refresh(self) -> bool:
        renewed, self.new_token = self.new_token, False
        return renewed

    def replaced(self) -> bool:
        return False

    def allowed(self) -> int | None:
        return None


class Kit:
    """A daemon that runs, and what it has done."""

    def __init__(self, *repos: RepoSettings, agenda: Any = None, **settings: Any) -> None:
        """``agenda``: that of a worker."""
        self.engine = FakeEngine(Config(repo=repos, **settings))
        self.clock = self.engine.clock
        rng = random.Random(7)  # noqa: S311 - a story, not a secret
        engine: Any = self.engine
        context = DaemonContext.of(engine, PassProgress(self.clock), rng=rng)
        self.context = context if agenda is None else replace(context, agenda=agenda)
        self.scheduler = Scheduler(self.context)
        self.status = DaemonApi(self.context, self.scheduler, self.clock.now())

    def story(self, tell: Callable[[Kit], Any]) -> Any:
        """Run the daemon while the story is told; it is stopped at its end."""

        async def whole() -> Any:
            running = asyncio.create_task(self.scheduler.run())
            await settle()
            try:
                return await tell(self)
            finally:
                if self.engine.hold is not None:
                    self.engine.hold.set()
                self.scheduler.stop()
                await self.clock.advance(60.0)
                await running

        return asyncio.run(whole())

    @property
    def looks(self) -> list[tuple[int, str]]:
        """Every pass: when it began, in whole seconds, and over what."""
        return [(round(at), repo) for at, repo, _ in self.engine.passes]

    def forget(self) -> None:
        self.engine.passes.clear()
