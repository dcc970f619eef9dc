"""Reading a body on a thread of its own: nothing is lost, and whoever is cancelled gets away."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from anywhere import Anywhere

from artifact_sync.domain.errors import Cut, NoSpace
from artifact_sync.runtime.threads import Offload, Threads
from artifact_sync.transfer.reader_thread import Arrivals, Aside

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

PIECES = [b"a", b"bc", b"def", b"g"]


class Flood:
    """Pieces without an end, for none of which anybody waits."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        return b"x"


def aside(work: Callable[[Aside], Coroutine[object, object, None]], most: int = 1) -> None:
    with Threads(most, "body", patience=5) as threads:
        asyncio.run(work(Aside(Offload(threads), most)))


def test_every_piece_is_dealt_with_in_order_on_another_thread() -> None:
    came: list[bytes] = []
    body = Anywhere(*PIECES)

    async def work(aside: Aside) -> None:
        await aside(body, lambda chunk: not came.append(bytes(chunk)))

    aside(work)
    assert came == PIECES
    assert threading.get_ident() not in body.readers


def test_who_has_enough_leaves_the_rest_to_be_read_here() -> None:
    came: list[bytes] = []

    async def work(aside: Aside) -> None:
        body = Anywhere(*PIECES)
        await aside(body, lambda chunk: chunk == PIECES[0])
        came.extend([chunk async for chunk in body])

    aside(work)
    assert came == PIECES[2:]


@pytest.mark.parametrize("error", [Cut("cut"), NoSpace("full")])
def test_what_reading_and_dealing_raise_is_raised(error: Exception) -> None:
    async def work(aside: Aside) -> None:
        with pytest.raises(type(error), match=str(error)):
            await aside(Anywhere(*PIECES, then=error), lambda _: True)

        def deal(_: object) -> bool:
            raise error

        with pytest.raises(type(error), match=str(error)):
            await aside(Anywhere(*PIECES), deal)
        assert aside.room

    aside(work)


def test_who_is_cancelled_has_the_thread_stopped_while_it_waits_for_a_byte() -> None:
    async def work(aside: Aside) -> None:
        loop, waits = asyncio.get_running_loop(), asyncio.Event()
        left = len(PIECES)

        def deal(_: object) -> bool:
            nonlocal left
            left -= 1
            if not left:
                loop.call_soon_threadsafe(waits.set)
            return True

        task = asyncio.create_task(aside(Anywhere(*PIECES, endless=True), deal))
        async with asyncio.timeout(20):
            await waits.wait()
            assert not aside.room
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert aside.room

    aside(work)


def test_who_is_cancelled_before_a_thread_is_free_reads_nothing() -> None:
    async def work(aside: Aside) -> None:
        freed = threading.Event()

        def hold(_: object) -> bool:
            return not freed.wait(20)

        busy = asyncio.create_task(aside(Anywhere(*PIECES), hold))
        body = Anywhere(*PIECES)
        task = asyncio.create_task(aside(body, lambda _: True))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        freed.set()
        await busy
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not body.readers

    aside(work)


def test_pieces_that_are_there_at_once_do_not_keep_a_cancellation_out() -> None:
    async def work(aside: Aside) -> None:
        loop, begun = asyncio.get_running_loop(), asyncio.Event()

        def deal(_: object) -> bool:
            loop.call_soon_threadsafe(begun.set)
            return True

        task = asyncio.create_task(aside(Flood(), deal))
        async with asyncio.timeout(20):
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    aside(work)


def test_bytes_that_come_often_are_told_once_and_none_twice() -> None:
    told: list[int] = []

    async def main() -> None:
        arrivals = Arrivals(told.append)

        def count() -> None:
            for _ in range(1000):
                arrivals.count += 2
                arrivals.tell_soon()

        await asyncio.to_thread(count)
        arrivals.tell()
        arrivals.tell()
        await asyncio.sleep(0)

    asyncio.run(main())
    assert sum(told) == 2000
    assert len(told) < 100
