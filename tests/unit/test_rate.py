"""How requests are spaced."""

from __future__ import annotations

import asyncio
import time
from math import inf

import pytest

from artifact_sync.source.rate import Rate


async def times(rate: Rate, count: int) -> list[float]:
    """When each of so many, asking at once, had its turn; seconds from now."""
    began = time.monotonic()

    async def one() -> float:
        await rate.turn()
        return time.monotonic() - began

    return await asyncio.gather(*(one() for _ in range(count)))


def test_turns_are_evenly_spaced_in_the_order_of_asking() -> None:
    found = asyncio.run(times(Rate(100.0), 6))
    assert found == sorted(found)
    for number, at in enumerate(found):
        assert at > number * 0.01 - 0.001


def test_the_first_does_not_wait() -> None:
    assert asyncio.run(times(Rate(0.01), 1))[0] < 10


def test_a_rest_saves_up_no_turns() -> None:
    async def main() -> list[float]:
        rate = Rate(50.0)
        await times(rate, 2)
        await asyncio.sleep(0.1)
        return await times(rate, 3)

    assert asyncio.run(main())[2] > 0.039


@pytest.mark.parametrize("limit", [0.0, inf])
def test_without_a_limit_nobody_waits(limit: float) -> None:
    async def main() -> list[float]:
        async with asyncio.timeout(10):
            return await times(Rate(limit), 1000)

    assert len(asyncio.run(main())) == 1000


def test_who_gives_up_makes_nobody_wait() -> None:
    async def main() -> None:
        rate = Rate(2.0)
        await rate.turn()
        waiting = [asyncio.create_task(rate.turn()) for _ in range(200)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        async with asyncio.timeout(20):
            await rate.turn()

    asyncio.run(main())
