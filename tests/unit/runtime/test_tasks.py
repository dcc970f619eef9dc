"""Tasks whose waiters go away."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from artifact_sync.runtime.tasks import to_its_end


def test_what_goes_on_without_its_waiter_fails_in_silence() -> None:
    async def story() -> list[dict[str, Any]]:
        complaints = list[dict[str, Any]]()
        asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(said))
        go_on, ended = asyncio.Event(), asyncio.Event()

        async def work() -> None:
            await go_on.wait()
            ended.set()
            raise KeyError

        waiter = asyncio.create_task(to_its_end(work()))
        await asyncio.sleep(0)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        go_on.set()
        await ended.wait()
        await asyncio.sleep(0)
        gc.collect()
        with pytest.raises(KeyError):
            await to_its_end(work())
        return complaints

    assert asyncio.run(story()) == []
