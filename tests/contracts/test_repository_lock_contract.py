"""What every ``RepositoryLock`` keeps. A new adapter is one more row of ``ADAPTERS``."""

from __future__ import annotations

import asyncio

import pytest
from daemon_kit import FakeEngine, settle

from artifact_sync.daemon.progress import PassProgress
from artifact_sync.daemon.running_passes import RunningPasses
from artifact_sync.domain.errors import ExitCode, RepositoryBusy
from artifact_sync.domain.model import RepoName
from artifact_sync.domain.settings import Config
from artifact_sync.mirror.local.lock import LocalRepositoryLock

SHOP, ROCKET = RepoName("acme", "shop"), RepoName("acme", "rocket")


def _of_daemon() -> RunningPasses:
    engine = FakeEngine(Config())
    return RunningPasses(engine, PassProgress(engine.clock), ())  # type: ignore[arg-type]


ADAPTERS = {"process": LocalRepositoryLock, "daemon": _of_daemon}


@pytest.fixture(params=ADAPTERS.values(), ids=ADAPTERS.keys())
def lock(request):
    return request.param()


class Worker:
    """Holds a repository until it is told to leave."""

    def __init__(self, lock, log, name, repo=SHOP):
        self.leave = asyncio.Event()
        self.task = asyncio.create_task(self._work(lock, log, name, repo))

    async def _work(self, lock, log, name, repo):
        async with lock.hold(repo):
            log.append(name)
            await self.leave.wait()

    async def done(self):
        self.leave.set()
        await self.task


def test_a_repository_is_held_once_and_given_on_in_the_order_of_coming(lock):
    async def story():
        log = []
        workers = [Worker(lock, log, number) for number in range(3)]
        for number, worker in enumerate(workers):
            await settle()
            assert log == list(range(number + 1))
            await worker.done()

    asyncio.run(story())


def test_two_repositories_do_not_exclude_each_other(lock):
    async def story():
        log = []
        workers = [Worker(lock, log, "shop"), Worker(lock, log, "rocket", ROCKET)]
        await settle()
        assert log == ["shop", "rocket"]
        for worker in workers:
            await worker.done()

    asyncio.run(story())


def test_who_does_not_wait_is_refused_in_words_until_it_is_free(lock):
    async def story():
        worker = Worker(lock, [], "first")
        await settle()
        with pytest.raises(RepositoryBusy, match="acme/shop is being worked on") as caught:
            async with lock.hold(SHOP, wait=False):
                pass
        assert caught.value.exit_code is ExitCode.BUSY
        await worker.done()
        async with lock.hold(SHOP, wait=False):
            pass

    asyncio.run(story())


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
def test_it_is_given_back_however_the_block_ends(lock, error):
    async def story():
        with pytest.raises(error):
            async with lock.hold(SHOP):
                raise error
        async with lock.hold(SHOP, wait=False):
            pass

    asyncio.run(story())


def test_a_holder_and_a_waiter_may_be_cancelled(lock):
    async def story():
        log = []
        first, second, third = (Worker(lock, log, number) for number in range(3))
        await settle()
        second.task.cancel()
        first.task.cancel()
        await settle()
        assert log == [0, 2]
        await third.done()
        async with lock.hold(SHOP, wait=False):
            pass

    asyncio.run(story())


def test_a_lease_that_is_held_is_not_lost(lock):
    async def story():
        async with lock.hold(SHOP) as lease:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await lease.lost()

    asyncio.run(story())
