"""Work on a repository ends with its lease, as a database's session can lose one."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from artifact_sync.domain.errors import LeaseLost, Reason
from artifact_sync.domain.model import RepoName
from artifact_sync.sync.context import leased

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

SHOP = RepoName("acme", "shop")


class Session:
    """A lock whose session may be cut; its own lease."""

    def __init__(self) -> None:
        self.cut = asyncio.Event()
        self.held = False

    @asynccontextmanager
    async def hold(self, _: RepoName, *, wait: bool = True) -> AsyncGenerator[Session]:
        assert wait
        self.held = True
        try:
            yield self
        finally:
            self.held = False

    async def lost(self) -> None:
        await self.cut.wait()


def test_work_is_cancelled_at_once_when_the_lease_is_lost() -> None:
    async def story() -> None:
        session, ended = Session(), []

        async def work() -> None:
            async with leased(session, SHOP):
                session.cut.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    ended.append(session.held)

        with pytest.raises(LeaseLost, match="acme/shop was lost") as caught:
            await work()
        assert ended == [True]
        assert not session.held
        assert caught.value.reason is Reason.UNREACHABLE

    asyncio.run(story())


def test_a_lease_that_lasts_changes_nothing() -> None:
    async def story() -> None:
        session = Session()
        async with leased(session, SHOP):
            assert session.held
            await asyncio.sleep(0)
        assert not session.held

    asyncio.run(story())


def test_who_is_cancelled_while_holding_a_lease_gives_it_back() -> None:
    async def story() -> None:
        session = Session()

        async def work() -> None:
            async with leased(session, SHOP):
                await asyncio.Event().wait()

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        assert session.held
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not session.held

    asyncio.run(story())
