"""The event loop of a pass, and who looks names up for it."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from artifact_sync.runtime.event_loop import run_quickly


@pytest.mark.skipif(sys.platform == "win32", reason="there is no uvloop")
def test_it_is_uvloops() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def story() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    assert isinstance(run_quickly(story()), uvloop.Loop)


def test_names_are_looked_up_by_the_default_executor() -> None:
    begun: list[threading.Thread] = []

    async def story() -> list[object]:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(
            initializer=lambda: begun.append(threading.current_thread())
        ) as own:
            loop.set_default_executor(own)
            return await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)

    found = run_quickly(story())
    assert [it[4] for it in found] == [("127.0.0.1", 80)]
    assert len(begun) == 1
