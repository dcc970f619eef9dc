"""The limit to single waits: kept, and never taken for a cancellation or the other way round."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from typing import TYPE_CHECKING

import pytest

from artifact_sync.source.links.timeouts import ReadTimeouts

if TYPE_CHECKING:
    from collections.abc import Coroutine

SHORT = 0.08


def run(work: Coroutine[object, object, None]) -> None:
    async def main() -> None:
        async with asyncio.timeout(20):
            await work

    asyncio.run(main())


def test_what_comes_in_time_is_given() -> None:
    async def main() -> None:
        waits = ReadTimeouts(5.0)
        assert [await waits(asyncio.sleep(0, number)) for number in range(3)] == [0, 1, 2]

    run(main())


def test_what_comes_too_late_is_a_timeout_and_leaves_no_cancellation_behind() -> None:
    async def main() -> None:
        waits, task = ReadTimeouts(SHORT), asyncio.current_task()
        assert task is not None
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            await waits(asyncio.Event().wait())
        assert time.monotonic() - begun >= SHORT
        assert not task.cancelling()
        assert await waits(asyncio.sleep(0, "the next")) == "the next"

    run(main())


def test_what_may_take_longer_may_take_so_many_times_as_long() -> None:
    async def main() -> None:
        waits = ReadTimeouts(SHORT)
        await waits(asyncio.sleep(2 * SHORT), times=50)

    run(main())


def test_the_limit_is_to_each_wait_and_not_to_all_of_them() -> None:
    async def main() -> None:
        waits = ReadTimeouts(2.0)
        for _ in range(6):
            await waits(asyncio.sleep(0.4))

    run(main())


def test_a_cancellation_stays_one() -> None:
    async def main() -> None:
        task = asyncio.create_task(ReadTimeouts(5.0)(asyncio.Event().wait()))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())


class Deaf:
    """An await that gives a result although it was cancelled."""

    def __init__(self, event: asyncio.Event) -> None:
        self._event = event

    async def wait(self) -> str:
        try:
            await self._event.wait()
        except asyncio.CancelledError:
            return "a result"
        return "no cancellation"


def test_a_cancellation_that_the_work_swallows_is_thrown_all_the_same() -> None:
    async def main() -> None:
        task = asyncio.create_task(ReadTimeouts(5.0)(Deaf(asyncio.Event()).wait()))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())


def test_a_timeout_that_the_work_swallows_is_one_all_the_same() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            await ReadTimeouts(SHORT)(Deaf(asyncio.Event()).wait())

    run(main())


def test_who_is_cancelled_and_too_late_is_cancelled() -> None:
    async def main() -> None:
        freed = asyncio.Event()

        async def stubborn() -> None:
            try:
                await freed.wait()
            except asyncio.CancelledError:
                await freed.wait()

        task = asyncio.create_task(ReadTimeouts(SHORT)(stubborn()))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(3 * SHORT)
        freed.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())


def test_every_event_loop_has_its_own_waits_and_none_is_kept() -> None:
    waits = ReadTimeouts(SHORT)
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []

    async def wait() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        with pytest.raises(TimeoutError):
            await waits(asyncio.Event().wait())
        await waits(asyncio.sleep(0))

    run(wait())
    run(wait())
    gc.collect()
    assert [loop() for loop in loops] == [None, None]
