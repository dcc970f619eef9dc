"""The Rust client's thread is out of Python before Python ends; else the process aborts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = """
import asyncio, os, sys
sys.path.insert(0, sys.argv[1])
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # where it is likeliest
from scripted_server import Recorder, answer, serving
from artifact_sync.model import Link
from artifact_sync.source.carriers import Carriers
from artifact_sync.source.fetcher import HttpFetcher
from artifact_sync.source.transport import TransportSettings, download_client
from artifact_sync.source.trust import trusted

async def script(_, writer):
    writer.write(answer(b"x" * 65536))

async def fetch(fetcher, url):
    async with fetcher.open(Link(url, 0.0)) as opened:
        return sum([len(chunk) async for chunk in opened.chunks])

async def main():
    settings, trust = TransportSettings("http://api.test"), trusted(None)
    async with serving(script) as server, download_client(settings, trust.context()) as client:
        carriers = Carriers(client, settings, trust, Recorder())
        fetcher = HttpFetcher(carriers)
        sizes = await asyncio.gather(*(fetch(fetcher, server.origin) for _ in range(40)))
        await carriers.aclose()
        return sum(sizes)

print(asyncio.run(main()))
"""


@pytest.mark.slow
def test_a_process_that_has_downloaded_ends_in_order() -> None:
    """Without the round trip at the end, one in three of these is aborted."""
    here = str(Path(__file__).parent)
    for _ in range(8):
        done = subprocess.run(
            [sys.executable, "-c", CHILD, here], capture_output=True, check=False, env=os.environ
        )
        assert (done.returncode, done.stdout.strip()) == (0, str(40 * 65536).encode()), done.stderr
