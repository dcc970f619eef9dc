"""What every ``SharedLimits`` keeps, and what processes keep together by PostgreSQL's.

Time is real here, since a server's clock is in the game: each story takes a second or two.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING

import pytest
from user import TOKEN, wait_until

from artifact_sync.app.limits import LocalLimits
from artifact_sync.app.network import open_network
from artifact_sync.config.api_token import Token
from artifact_sync.domain.model import RepoName
from artifact_sync.domain.settings import Config, SourceSettings
from artifact_sync.domain.timetable import timetable_of
from artifact_sync.fleet import tables
from artifact_sync.fleet.coordination import Coordination
from artifact_sync.fleet.shared_limits import PostgresLimits
from artifact_sync.runtime.clock import SystemClock
from artifact_sync.simulator import Repo, Scenario, ScenarioApi, running_in_thread
from artifact_sync.simulator.faults import StatusFault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from artifact_sync.domain.ports import SharedLimits

MIB = 1 << 20
JITTER = 0.02
"""Seconds by which a busy event loop may be late."""


class WrongClock(SystemClock):
    """An hour behind, or ahead."""

    def __init__(self, hours: float) -> None:
        self._off = timedelta(hours=hours)

    def now(self) -> datetime:
        return super().now() + self._off


@asynccontextmanager
async def process(url: str, clock: SystemClock | None = None) -> AsyncIterator[PostgresLimits]:
    database = Coordination(url)
    await tables.bring_up(database)
    limits = PostgresLimits(database, clock or SystemClock())
    try:
        yield limits
    finally:
        await limits.aclose()


@pytest.fixture(params=["local", "postgresql"])
def with_limits(request):
    def run(story: Callable[[SharedLimits], Awaitable[None]]) -> None:
        async def main() -> None:
            if request.param == "local":
                await story(LocalLimits(SystemClock()))
            else:
                async with process(request.getfixturevalue("postgres").schema()) as limits:
                    await story(limits)

        asyncio.run(main())

    return run


@pytest.fixture
def url(postgres) -> str:
    return postgres.schema()


async def told(turns) -> None:
    """Return once the server knows of a pause."""
    while not turns.held(""):
        await turns.take()


def most_within(moments: list[float], seconds: float) -> int:
    """The most of these in any window."""
    moments = sorted(moments)
    return max(sum(at <= it < at + seconds for it in moments) for at in moments)


async def taking(turns, seconds: float, taken: list[float]) -> int:
    """Take turns for so long; how many."""
    end, count = monotonic() + seconds, 0
    while monotonic() < end:
        await turns.take()
        taken.append(monotonic())
        count += 1
    return count


def test_turns_are_even_and_the_first_one_is_had_at_once(with_limits) -> None:
    async def first(limits: SharedLimits) -> None:
        await asyncio.wait_for(limits.requests(0.01).take(), 50)  # the next one: in 100 seconds

    async def story(limits: SharedLimits) -> None:
        turns, taken = limits.requests(40), []
        await asyncio.gather(*(taking(turns, 0.5, taken) for _ in range(5)))
        assert most_within(taken, 0.25) <= 0.25 * 40 + 2
        assert len(taken) >= 10

    with_limits(first)
    with_limits(story)


def test_without_a_limit_nothing_waits(with_limits) -> None:
    async def story(limits: SharedLimits) -> None:
        turns, bandwidth = limits.requests(0), limits.bandwidth((), UTC)
        await turns.take()
        await asyncio.wait_for(asyncio.gather(*(turns.take() for _ in range(1000))), 5)
        await bandwidth.take(1 << 40)
        assert bandwidth.rate() is None

    with_limits(story)


def test_bytes_come_at_the_rate_and_a_quarter_of_a_second_at_once(with_limits) -> None:
    async def story(limits: SharedLimits) -> None:
        bandwidth = limits.bandwidth(timetable_of({0: 4 * MIB}), UTC)
        began = monotonic()
        for _ in range(32):
            await bandwidth.take(MIB // 8)
        assert monotonic() - began >= 1 - 0.25 - JITTER
        assert bandwidth.rate() == 4 * MIB

    with_limits(story)


def test_a_wait_that_is_cancelled_has_spent_nothing(with_limits) -> None:
    async def story(limits: SharedLimits) -> None:
        bandwidth = limits.bandwidth(timetable_of({0: MIB}), UTC)
        await bandwidth.take(MIB // 2)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(bandwidth.take(100 * MIB), 0.1)
        await asyncio.wait_for(bandwidth.take(1024), 5)

    with_limits(story)


def test_processes_together_keep_to_the_rate_and_share_it(url: str) -> None:
    async def story() -> None:
        taken: list[float] = []
        async with AsyncExitStack() as stack:
            turns = [(await stack.enter_async_context(process(url))).requests(30) for _ in range(3)]
            counts = await asyncio.gather(*(taking(it, 3, taken) for it in turns))
        assert most_within(taken, 1 - JITTER) <= 30
        assert len(taken) >= 45
        assert min(counts) >= 8, counts  # the first one had them all until its lease was over

    asyncio.run(story())


def test_who_is_cut_off_goes_on_slowly_and_is_back_soon(url: str, postgres) -> None:
    async def story() -> None:
        taken: list[float] = []
        async with process(url) as one, process(url) as other:
            both = [it.requests(30) for it in (one, other)]

            async def cuts() -> None:
                for _ in range(8):
                    await asyncio.sleep(0.25)
                    await asyncio.to_thread(postgres.cut)

            counts = await asyncio.gather(*(taking(it, 2.5, taken) for it in both), cuts())
        assert most_within(taken, 1 - JITTER) <= 30
        assert min(counts[:2]) >= 5, counts

    asyncio.run(story())


def test_the_time_of_day_is_the_servers(url: str) -> None:
    now = datetime.now(UTC)
    minute = now.hour * 60 + now.minute
    rates = {(minute - 30) % 1440: 2 * MIB, (minute + 30) % 1440: 5 * MIB}

    async def story() -> None:
        async with process(url, WrongClock(-1)) as behind, process(url, WrongClock(1)) as ahead:
            for limits in (behind, ahead):
                bandwidth = limits.bandwidth(timetable_of(rates), UTC)
                await bandwidth.take(1)
                assert bandwidth.rate() == 2 * MIB

    asyncio.run(story())


def test_what_the_service_asked_of_one_is_respected_by_the_others(url: str) -> None:
    """Through the real clients; the simulator counts."""
    scenario = Scenario(
        api=ScenarioApi(tokens=(TOKEN,)), repos=(Repo("acme/one"), Repo("acme/two"))
    )

    async def ask(source, name: str) -> None:
        async for _ in source.runs(RepoName("acme", name)):
            pass

    async def story() -> None:
        with running_in_thread(scenario) as service:
            config = Config(source=SourceSettings(base_url=service.base_url))
            async with AsyncExitStack() as stack:
                sources, all_limits = [], []
                for hours in (0, 1, -1):
                    limits = await stack.enter_async_context(process(url, WrongClock(hours)))
                    opening = open_network(config, Token(TOKEN, "here"), None, None, None, limits)
                    all_limits.append(limits)
                    sources.append((await stack.enter_async_context(opening)).source)
                first, *others = sources
                service.simulator.faults.add(
                    StatusFault(on="api", status=429, retry_after=2, first=1)
                )
                began = monotonic()
                slow = asyncio.create_task(ask(first, "one"))
                requests = service.simulator.requests
                await asyncio.to_thread(wait_until, lambda: requests["runs"] == 1)
                heard = all_limits[0].requests(25)
                await asyncio.wait_for(told(heard), 10)
                await asyncio.gather(*(ask(it, "two") for it in others), slow)
                assert monotonic() - began >= 2
                assert requests["runs"] == 4

    asyncio.run(story())
