"""Work done in batches: nothing is forgotten, and what comes meanwhile is done together."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from artifact_sync.runtime.threads import Batches, Offload, unwanted_since

if TYPE_CHECKING:
    from collections.abc import Sequence


def test_what_comes_while_threads_are_busy_is_done_together() -> None:
    begun, go_on, seen = threading.Event(), threading.Event(), []

    def work(items: Sequence[int]) -> list[int]:
        seen.append(list(items))
        begun.set()
        go_on.wait(10)
        return [item * 10 for item in items]

    async def story(batches: Batches[int, int]) -> list[int]:
        waiting = [asyncio.create_task(batches(number)) for number in range(6)]
        await asyncio.to_thread(begun.wait, 10)
        go_on.set()
        return list(await asyncio.gather(*waiting))

    with ThreadPoolExecutor(4) as executor:
        batches = Batches(Offload(executor), work, at_once=1, largest=4)
        assert asyncio.run(story(batches)) == [0, 10, 20, 30, 40, 50]
    assert sorted(number for items in seen for number in items) == [0, 1, 2, 3, 4, 5]
    assert max(map(len, seen)) == 4


@pytest.mark.parametrize(("items", "calls"), [(1, 1), (4, 1), (5, 2), (9, 3), (12, 3)])
def test_more_calls_are_made_at_once_only_for_as_much_as_one_of_them_may_do(
    items: int, calls: int
) -> None:
    """The first item begins the first call; of four others each."""
    go_on, begun = threading.Event(), []

    def work(items: Sequence[int]) -> Sequence[int]:
        begun.append(len(items))
        go_on.wait(10)
        return items

    async def story(batches: Batches[int, int]) -> int:
        waiting = [asyncio.create_task(batches(number)) for number in range(items)]
        for _ in range(3):
            await asyncio.sleep(0)
        running = batches._running
        go_on.set()
        await asyncio.gather(*waiting)
        return running

    with ThreadPoolExecutor(4) as executor:
        running = asyncio.run(story(Batches(Offload(executor), work, at_once=3, largest=4)))
    assert running == calls
    assert sum(begun) == items


def test_an_item_that_comes_just_as_a_batch_ends_is_not_forgotten() -> None:
    async def chain(batches: Batches[int, int]) -> int:
        number = 0
        for _ in range(50):  # each comes in the very step in which the one before was answered
            number = await batches(number)
        return number

    async def story(batches: Batches[int, int]) -> int:
        async with asyncio.timeout(20):
            return await chain(batches)

    with ThreadPoolExecutor(4) as executor:
        batches = Batches(
            Offload(executor), lambda items: [item + 1 for item in items], at_once=1, largest=2
        )
        assert asyncio.run(story(batches)) == 50


def test_an_error_is_that_of_its_item_or_of_the_whole_batch() -> None:
    def work(items: Sequence[int]) -> list[int | Exception]:
        if 7 in items:
            raise OSError("all")
        return [KeyError(item) if item % 2 else item for item in items]

    async def story(batches: Batches[int, int]) -> None:
        outcomes = await asyncio.gather(*(batches(n) for n in (2, 3)), return_exceptions=True)
        assert [type(it) for it in outcomes] == [int, KeyError]
        with pytest.raises(OSError, match="all"):
            await batches(7)

    with ThreadPoolExecutor(1) as executor:
        asyncio.run(story(Batches(Offload(executor), work, at_once=1, largest=9)))


def test_who_is_cancelled_leaves_when_the_work_is_done() -> None:
    go_on, done = threading.Event(), []

    def work(items: Sequence[int]) -> Sequence[int]:
        go_on.wait(10)
        done.extend(items)
        return items

    async def story(batches: Batches[int, int]) -> None:
        waiter = asyncio.create_task(batches(1))
        await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.sleep(0)
        assert not waiter.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await waiter

    with ThreadPoolExecutor(1) as executor:
        asyncio.run(story(Batches(Offload(executor), work, at_once=1, largest=9)))
    assert done == [1]


def test_whoever_ends_the_loop_does_not_leave_those_who_wait_behind() -> None:
    """``asyncio.run`` cancels every task that is left, on its way out."""
    go_on = threading.Event()

    def work(items: Sequence[int]) -> Sequence[int]:
        go_on.wait(10)
        return items

    async def story(batches: Batches[int, int]) -> list[object]:
        waiting = [asyncio.create_task(batches(number)) for number in range(4)]
        await asyncio.sleep(0)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)
        go_on.set()
        async with asyncio.timeout(10):
            return list(await asyncio.gather(*waiting, return_exceptions=True))

    with ThreadPoolExecutor(2) as executor:
        batches = Batches(Offload(executor), work, at_once=1, largest=2)
        outcomes = asyncio.run(story(batches))
    assert [type(it) for it in outcomes] == [asyncio.CancelledError] * 4


def test_a_batch_is_unwanted_once_all_who_wait_for_it_are_cancelled() -> None:
    may_end, unwanted = threading.Semaphore(0), dict[tuple[int, ...], bool]()

    def work(items: Sequence[int]) -> Sequence[int]:
        may_end.acquire(timeout=10)
        unwanted[tuple(items)] = unwanted_since() is not None
        return items

    async def story(batches: Batches[int, int]) -> None:
        waiting = [asyncio.create_task(batches(number)) for number in range(5)]
        await asyncio.sleep(0)  # the first one alone, then two at a time
        for number in (0, 1, 3, 4):
            waiting[number].cancel()
        await asyncio.sleep(0)
        may_end.release(3)
        await asyncio.gather(*waiting, return_exceptions=True)

    with ThreadPoolExecutor(1) as executor:
        asyncio.run(story(Batches(Offload(executor), work, 1, 2)))
    assert unwanted == {(0,): True, (1, 2): False, (3, 4): True}
    assert unwanted_since() is None
