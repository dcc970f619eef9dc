from __future__ import annotations

import asyncio

import pytest
import structlog
from daemon_kit import FakeClock, settle

from artifact_sync.daemon.background import restarting
from artifact_sync.runtime.tasks import end_of, first_of, running_beside


def test_what_fails_is_begun_again_ever_later() -> None:
    clock, begun = FakeClock(), []

    async def work() -> None:
        begun.append(clock.monotonic() - 1000.0)
        raise RuntimeError("it broke")

    async def story() -> None:
        async with running_beside(restarting("the work", work, clock)):
            await clock.advance(40.0)

    asyncio.run(story())
    assert begun == [0.0, 1.0, 3.0, 7.0, 15.0, 31.0]


def test_what_is_in_a_hurry_waits_no_longer_than_it_may_and_says_so_ever_less_often() -> None:
    clock, begun = FakeClock(), []

    async def work() -> None:
        begun.append(clock.monotonic() - 1000.0)
        raise RuntimeError("it broke")

    async def story() -> None:
        async with running_beside(restarting("the work", work, clock, most=5.0)):
            await clock.advance(1000.0)

    with structlog.testing.capture_logs() as logs:
        asyncio.run(story())
    assert begun[:6] == [0.0, 1.0, 3.0, 7.0, 12.0, 17.0]
    assert begun[-1] == 997.0
    assert 5 < len(logs) < 20
    assert logs[-1]["in_s"] == 5.0


def test_what_fails_while_it_is_cancelled_is_not_begun_again() -> None:
    """Guards against: a worker that does not end, for it could not tell its server that it does."""
    begun = []

    async def work() -> None:
        begun.append(1)
        try:
            await asyncio.sleep(60)
        finally:
            raise RuntimeError("nobody answers")

    async def story() -> None:
        async with asyncio.timeout(30), running_beside(restarting("the work", work, FakeClock())):
            await settle()

    asyncio.run(story())
    assert begun == [1]


def test_the_end_of_what_waits_once_more_when_it_is_cancelled_is_waited_for_in_vain() -> None:
    cancelled = []

    async def stubborn() -> None:
        for _ in range(2):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.append(1)
        raise LookupError

    async def story() -> None:
        task = asyncio.create_task(stubborn())
        await settle()
        task.cancel()
        with pytest.raises(LookupError):
            await end_of(task, 0.01, 0.01)

    asyncio.run(story())
    assert len(cancelled) == 2


def test_what_ends_well_is_not_begun_again() -> None:
    clock, begun = FakeClock(), []

    async def work() -> None:
        begun.append(clock.monotonic())

    async def story() -> None:
        async with running_beside(restarting("the work", work, clock)):
            await clock.advance(10.0)

    asyncio.run(story())
    assert len(begun) == 1


def test_the_first_one_that_is_done_ends_the_others() -> None:
    async def story() -> bool:
        ended = asyncio.Event()

        async def other() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        await first_of(other(), asyncio.sleep(0))
        return ended.is_set()

    assert asyncio.run(story())


def test_what_the_first_one_raises_is_raised() -> None:
    async def broken() -> None:
        await settle()
        raise RuntimeError("it broke")

    async def story() -> None:
        await first_of(broken(), asyncio.Event().wait())

    with pytest.raises(RuntimeError, match="it broke"):
        asyncio.run(story())
