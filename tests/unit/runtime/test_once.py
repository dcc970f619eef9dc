"""A value that is made when it is first needed."""

from __future__ import annotations

import asyncio

import pytest

from artifact_sync.runtime.once import Once


def test_it_is_made_once_whoever_asks_meanwhile() -> None:
    made: list[int] = []

    async def make() -> int:
        await asyncio.sleep(0)
        made.append(len(made))
        return made[-1]

    async def story() -> list[int]:
        once = Once(make)
        assert made == []
        return [*await asyncio.gather(once(), once()), await once()]

    assert asyncio.run(story()) == [0, 0, 0]
    assert made == [0]


def test_after_an_error_it_is_tried_again() -> None:
    outcomes = iter([ValueError("no"), None])

    async def make() -> str:
        if (error := next(outcomes)) is not None:
            raise error
        return "made"

    async def story() -> str:
        once = Once(make)
        with pytest.raises(ValueError, match="no"):
            await once()
        return await once()

    assert asyncio.run(story()) == "made"
