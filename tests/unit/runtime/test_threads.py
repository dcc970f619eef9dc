"""Blocking work off the event loop."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from artifact_sync.runtime.threads import Offload


def test_the_work_is_done_on_another_thread_and_its_result_comes_back() -> None:
    with ThreadPoolExecutor(1) as executor:
        thread = asyncio.run(Offload(executor)(threading.get_ident))
    assert thread != threading.get_ident()


def test_its_error_comes_back_as_it_is() -> None:
    with ThreadPoolExecutor(1) as executor, pytest.raises(FileNotFoundError):
        asyncio.run(Offload(executor)(open, "/nowhere/at/all"))


def test_a_cancelled_waiter_leaves_only_when_the_work_is_done() -> None:
    begun, go_on = threading.Event(), threading.Event()
    done: list[str] = []

    def work() -> None:
        begun.set()
        go_on.wait(10)
        done.append("work")

    async def story(offload: Offload) -> None:
        waiter = asyncio.create_task(offload(work))
        await asyncio.to_thread(begun.wait, 10)
        waiter.cancel()
        await asyncio.sleep(0)
        waiter.cancel()  # an impatient one
        await asyncio.sleep(0)
        assert not waiter.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        done.append("waiter")

    with ThreadPoolExecutor(2) as executor:
        asyncio.run(story(Offload(executor)))
    assert done == ["work", "waiter"]


def test_of_work_that_fails_when_cancelled_the_cancellation_is_told() -> None:
    go_on = threading.Event()

    def work() -> None:
        go_on.wait(10)
        raise OSError("disk")

    async def story(offload: Offload) -> None:
        waiter = asyncio.create_task(offload(work))
        await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await waiter

    with ThreadPoolExecutor(1) as executor:
        asyncio.run(story(Offload(executor)))
