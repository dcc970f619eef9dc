"""What every ``RepositoryLock`` keeps. A new adapter is one more row of ``ADAPTERS``."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager

import pytest
from daemon_kit import FakeEngine, settle

from artifact_sync.daemon.progress import PassProgress
from artifact_sync.daemon.running_passes import RunningPasses
from artifact_sync.domain.errors import ExitCode, RepositoryBusy
from artifact_sync.domain.model import RepoName
from artifact_sync.domain.settings import Config
from artifact_sync.ledger import postgres_connector
from artifact_sync.mirror.local.lock import LocalRepositoryLock

SHOP, ROCKET = RepoName("acme", "shop"), RepoName("acme", "rocket")


@asynccontextmanager
async def _of_process(_):
    yield LocalRepositoryLock()


@asynccontextmanager
async def _of_daemon(_):
    engine = FakeEngine(Config())
    yield RunningPasses(engine, PassProgress(engine.clock), ())  # type: ignore[arg-type]


@asynccontextmanager
async def _of_server(request):
    from artifact_sync.fleet.advisory_locks import AdvisoryLocks  # noqa: PLC0415 - an extra
    from artifact_sync.fleet.repository_lock import PostgresRepositoryLock  # noqa: PLC0415

    connect = postgres_connector(request.getfixturevalue("postgres").url())
    async with aclosing(await AdvisoryLocks.open(connect)) as locks:
        yield PostgresRepositoryLock(locks, request.node.nodeid)


ADAPTERS = {"process": _of_process, "daemon": _of_daemon, "server": _of_server}


@pytest.fixture(params=ADAPTERS.values(), ids=ADAPTERS.keys())
def told(request):
    """Tell a story about a lock."""
    if request.param is _of_server:
        request.getfixturevalue("postgres")

    async def whole(story):
        async with asyncio.timeout(60), request.param(request) as lock:
            await story(lock)

    return lambda story: asyncio.run(whole(story))


class Worker:
    """Holds a repository until it is told to leave."""

    def __init__(self, lock, log, name, repo=SHOP):
        self.leave = asyncio.Event()
        self.holds = asyncio.Event()
        self.task = asyncio.create_task(self._work(lock, log, name, repo))

    async def _work(self, lock, log, name, repo):
        async with lock.hold(repo):
            log.append(name)
            self.holds.set()
            await self.leave.wait()

    async def done(self):
        self.leave.set()
        await self.task


def test_a_repository_is_held_once_and_given_on_in_the_order_of_coming(told):
    async def story(lock):
        log = []
        workers = [Worker(lock, log, number) for number in range(3)]
        for number, worker in enumerate(workers):
            await worker.holds.wait()
            await settle()
            assert log == list(range(number + 1))
            await worker.done()

    told(story)


def test_two_repositories_do_not_exclude_each_other(told):
    async def story(lock):
        workers = [Worker(lock, [], "shop"), Worker(lock, [], "rocket", ROCKET)]
        for worker in workers:
            await worker.holds.wait()
        for worker in workers:
            await worker.done()

    told(story)


def test_who_does_not_wait_is_refused_in_words_until_it_is_free(told):
    async def story(lock):
        worker = Worker(lock, [], "first")
        await worker.holds.wait()
        with pytest.raises(RepositoryBusy, match="acme/shop is being worked on") as caught:
            async with lock.hold(SHOP, wait=False):
                pass
        assert caught.value.exit_code is ExitCode.BUSY
        await worker.done()
        async with lock.hold(SHOP, wait=False):
            pass

    told(story)


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
def test_it_is_given_back_however_the_block_ends(told, error):
    async def story(lock):
        with pytest.raises(error):
            async with lock.hold(SHOP):
                raise error
        async with lock.hold(SHOP, wait=False):
            pass

    told(story)


def test_a_holder_and_a_waiter_may_be_cancelled(told):
    async def story(lock):
        log = []
        first, second, third = (Worker(lock, log, number) for number in range(3))
        await first.holds.wait()
        second.task.cancel()
        first.task.cancel()
        await third.holds.wait()
        assert log == [0, 2]
        await third.done()
        async with lock.hold(SHOP, wait=False):
            pass

    told(story)


def test_a_lease_that_is_held_is_not_lost(told):
    async def story(lock):
        async with lock.hold(SHOP) as lease:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await lease.lost()

    told(story)
