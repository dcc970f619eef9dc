"""How what the Rust client does ends: when it is cancelled, and when the process is over."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from scripted_server import Recorder, answer, serving, until

from artifact_sync.domain.model import Link
from artifact_sync.source.links.fetcher import HttpBackends, HttpFetcher
from artifact_sync.source.transport.clients import TransportSettings, download_client
from artifact_sync.source.transport.tls import trusted

CHILD = """
import asyncio, os, sys
sys.path.insert(0, sys.argv[1])
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # where it is likeliest
from scripted_server import Recorder, answer, serving
from artifact_sync.domain.model import Link
from artifact_sync.source.links.fetcher import HttpBackends
from artifact_sync.source.links.fetcher import HttpFetcher
from artifact_sync.source.transport.clients import TransportSettings, download_client
from artifact_sync.source.transport.tls import trusted

async def script(_, writer):
    writer.write(answer(b"x" * 65536))

async def fetch(fetcher, url):
    async with fetcher.open(Link(url, 0.0)) as opened:
        return sum([len(chunk) async for chunk in opened.chunks])

async def main():
    settings, trust = TransportSettings("http://api.test"), trusted(None)
    async with serving(script) as server, download_client(settings, trust.context()) as client:
        carriers = HttpBackends(client, settings, trust, Recorder())
        fetcher = HttpFetcher(carriers)
        sizes = await asyncio.gather(*(fetch(fetcher, server.origin) for _ in range(40)))
        await carriers.aclose()
        return sum(sizes)
"""
ONCE = "print(asyncio.run(main()))"
SEVERAL_TIMES = "print(*[asyncio.run(main()) for _ in range(4)])"
IN_THREADS = """
from concurrent.futures import ThreadPoolExecutor

def in_a_thread():
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, main()).result()

print(*[in_a_thread() for _ in range(4)])
"""
BYTES = str(40 * 65536)


def ended(then: str) -> str:
    """What a process prints that ends in order."""
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", CHILD + then, here], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_a_process_that_has_downloaded_ends_in_order() -> None:
    """Without the round trip at the end, one in three of these is aborted."""
    for _ in range(8):
        assert ended(ONCE) == BYTES


@pytest.mark.parametrize(
    "then",
    [SEVERAL_TIMES, IN_THREADS, ONCE + IN_THREADS, "import pyreqwest" + IN_THREADS],
    ids=["one_after_the_other", "in_threads", "in_threads_later", "in_threads_loaded_before"],
)
def test_event_loops_follow_each_other_in_one_process(then: str) -> None:
    """Loaded in a thread that ends, its allocator lets the third event loop crash."""
    assert set(ended(then).split()) == {BYTES}


async def endlessly(fetcher: HttpFetcher, url: str) -> None:
    while True:
        async with fetcher.open(Link(url, 0.0)) as opened:
            async for _ in opened.chunks:
                pass


def test_no_cancellation_is_lost() -> None:
    """The library answers some of them with the result that has just come."""

    async def script(_, writer) -> None:
        writer.write(answer(b"x" * 100_000))

    async def cancelled_after(steps: int, fetcher: HttpFetcher, server) -> None:
        seen = len(server.requests)
        task = asyncio.create_task(endlessly(fetcher, server.origin))
        await until(lambda: len(server.requests) > seen)
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 5)

    async def main() -> None:
        settings, trust = TransportSettings("http://api.test"), trusted(None)
        async with serving(script) as server, download_client(settings, trust.context()) as client:
            carriers = HttpBackends(client, settings, trust, Recorder())
            for number in range(120):
                await cancelled_after(number % 12, HttpFetcher(carriers), server)
            await carriers.aclose()

    asyncio.run(main())
