"""Threads that may hang: who waits for them, and that a process ends all the same."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time

import pytest

from artifact_sync.runtime.threads import AbandonableThreads, Threads

ENDING = """
import asyncio, sys, time
from artifact_sync.runtime.event_loop import PlainLoop
from artifact_sync.runtime.threads import AbandonableThreads, Threads

async def main():
    loop = asyncio.get_running_loop()
    for _ in range(20):
        loop.run_in_executor(None, time.sleep, 60)
    with Threads(2, "disk", patience=0.2) as disk:
        loop.run_in_executor(disk, time.sleep, 60)
        chore = asyncio.create_task(AbandonableThreads(disk)(time.sleep, 60))
        await asyncio.sleep(0.1)
        chore.cancel()

with asyncio.Runner(loop_factory=PlainLoop) as runner:
    runner.run(main())
print("in order")
sys.exit(3)
"""

STUCK = """
import asyncio, threading
from artifact_sync.cli.serving import _handle_signals, _Lifetime

async def main():
    _handle_signals(_Lifetime())
    hanging = threading.Thread(target=threading.Event().wait, daemon=True)
    hanging.start()
    print("stuck", flush=True)
    hanging.join()

asyncio.run(main())
"""


def test_a_call_is_made_on_another_thread_and_its_outcome_comes_back() -> None:
    with Threads(1, "t", patience=10) as threads:
        assert threads.submit(threading.get_ident).result(10) != threading.get_ident()
        with pytest.raises(FileNotFoundError):
            threads.submit(open, "/nowhere/at/all").result(10)
        assert threads.submit(max, 1, 2).result(10) == 2
    with pytest.raises(RuntimeError, match="told to end"):
        threads.submit(max, 1, 2)


def test_there_are_at_most_so_many_threads_and_calls_beyond_wait_their_turn() -> None:
    together, most, lock = 0, 0, threading.Lock()

    def work() -> int:
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
        time.sleep(0.01)
        with lock:
            together -= 1
        return threading.get_ident()

    with Threads(3, "t", patience=10) as threads:
        idents = {future.result(10) for future in [threads.submit(work) for _ in range(20)]}
    assert len(idents) == most == 3


def test_what_is_at_work_at_the_end_is_waited_for_as_long_as_the_patience_lasts() -> None:
    done: list[str] = []

    def write() -> None:
        time.sleep(0.2)
        done.append("written")

    with Threads(1, "disk", patience=30) as threads:
        threads.submit(write)
        threads.submit(write)
    assert done == ["written", "written"]


@pytest.mark.parametrize(("patience", "least"), [(0.0, 0.0), (0.3, 0.3)])
def test_what_hangs_is_not_waited_for_any_longer(patience: float, least: float) -> None:
    go_on = threading.Event()
    began = time.monotonic()
    with Threads(2, "disk", patience=patience) as threads:
        threads.submit(go_on.wait)
        threads.submit(go_on.wait)
    assert least <= time.monotonic() - began < least + 30
    go_on.set()


def test_calls_that_nobody_has_begun_can_be_dropped() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(10)

    threads = Threads(1, "t", patience=10)
    first, second = threads.submit(work), threads.submit(work)
    assert begun.wait(10)
    threads.shutdown(wait=False, cancel_futures=True)
    go_on.set()
    assert first.result(10) is None
    assert second.cancelled()


def test_who_is_cancelled_leaves_a_chore_at_once_and_others_are_done_beside_it() -> None:
    go_on = threading.Event()

    async def story() -> int:
        with Threads(2, "chores") as threads:
            chores = AbandonableThreads(threads)
            hanging = asyncio.create_task(chores(go_on.wait, 100))
            answer = await chores(max, 1, 2)
            began = time.monotonic()
            hanging.cancel()
            with pytest.raises(asyncio.CancelledError):
                await hanging
            assert time.monotonic() - began < 30
            return answer

    assert asyncio.run(story()) == 2
    go_on.set()


def test_a_process_whose_lookups_and_disks_hang_ends_in_order_with_its_own_code() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDING], check=False, capture_output=True, text=True, timeout=50
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "in order\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_soon_even_when_the_loop_waits_for_a_thread(
    number: signal.Signals,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STUCK], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "stuck\n"
            process.send_signal(number)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(2)
            process.send_signal(number)
            assert process.wait(30) == 130
        finally:
            process.kill()
