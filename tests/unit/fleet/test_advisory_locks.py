"""Locks of processes: they die, are frozen, lose the server, and find a pooler in between."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
import uuid
from contextlib import aclosing, contextmanager

import psycopg
import pytest
from postgres_server import PgBouncer
from user import wait_until

from artifact_sync.domain.errors import (
    DiskError,
    LeaseLost,
    LedgerUnreachable,
    RepositoryBusy,
    UsageError,
)
from artifact_sync.domain.model import RepoName
from artifact_sync.fleet.advisory_locks import AdvisoryLocks, lock_key
from artifact_sync.fleet.lock_session import LockSession
from artifact_sync.fleet.repository_lock import PostgresRepositoryLock
from artifact_sync.ledger import postgres_connector
from artifact_sync.sync.context import leased

SHOP = RepoName("acme", "shop")

HOLDER = """
import asyncio, sys
from artifact_sync.fleet.advisory_locks import AdvisoryLocks
from artifact_sync.ledger import postgres_connector

async def main(url, mirror):
    locks = await AdvisoryLocks.open(postgres_connector(url))
    async with locks.hold("repository", mirror, "acme", "shop"):
        print("held", flush=True)
        await asyncio.sleep(600)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def mirror():
    return uuid.uuid4().hex


@pytest.fixture
def play(postgres, mirror):
    """Tell a story about the locks of a process, which are named after the mirror."""

    async def whole(story, url, **options):
        connect = postgres_connector(url, application_name=mirror, **options)
        async with asyncio.timeout(60), aclosing(await AdvisoryLocks.open(connect)) as locks:
            await story(locks)

    return lambda story, url="", **options: asyncio.run(
        whole(story, url or postgres.url(), **options)
    )


@contextmanager
def holder(postgres, mirror):
    """Another process that holds a repository."""
    command = [sys.executable, "-c", HOLDER, postgres.url(), mirror]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def cut(postgres, mirror):
    theirs = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(theirs, [mirror])


@pytest.mark.servers
def test_a_frozen_process_keeps_its_lock_and_a_killed_one_frees_it(postgres, mirror, play):
    async def story(locks):
        lock = PostgresRepositoryLock(locks, mirror)
        with holder(postgres, mirror) as process:
            process.send_signal(signal.SIGSTOP)
            with pytest.raises(RepositoryBusy):
                async with lock.hold(SHOP, wait=False):
                    pass
            process.kill()
            async with lock.hold(SHOP), PostgresRepositoryLock(locks, "another").hold(SHOP):
                pass

    play(story)


@pytest.mark.servers
def test_who_holds_a_lock_is_told_at_once_when_it_is_lost_and_may_do_nothing_more(
    postgres, mirror, play
):
    async def story(locks):
        lock, log, cuts = PostgresRepositoryLock(locks, mirror), [], []

        async def work():
            async with leased(lock, SHOP):
                cutting = asyncio.to_thread(cut, postgres, mirror)
                try:
                    cuts.append(asyncio.create_task(cutting))
                    await asyncio.Event().wait()
                finally:
                    with pytest.raises(LeaseLost):
                        await asyncio.to_thread(locks.fence())
                    log.append("refused")

        with pytest.raises(LeaseLost, match="the lock of acme/shop was lost"):
            await work()
        renewed = []

        async def renew():
            renewed.append(await locks.claim("staging", mirror))

        locks.when_renewed(renew)
        async with lock.hold(SHOP):
            await asyncio.to_thread(locks.fence())
        await asyncio.gather(*cuts)
        assert (log, renewed) == (["refused"], [True])

    play(story)


@pytest.mark.servers
def test_nothing_is_held_anew_before_all_that_was_claimed_is_claimed_anew(postgres, mirror, play):
    """It fails, is cancelled, and in the end succeeds, also where nobody wants a lock."""

    async def story(locks):
        is_there, may_end, claimed = asyncio.Event(), asyncio.Event(), asyncio.Queue()

        async def stage():
            if not is_there.is_set():
                raise DiskError("the staging folder cannot be made")
            await may_end.wait()

        async def claim():
            claimed.put_nowait(await locks.claim("staging", mirror))

        locks.when_renewed(stage)
        locks.when_renewed(claim)
        lock = PostgresRepositoryLock(locks, mirror)
        async with lock.hold(SHOP) as lease:
            await asyncio.to_thread(cut, postgres, mirror)
            await lease.lost()
        with pytest.raises(DiskError, match="cannot be made"):
            async with lock.hold(SHOP):
                pass
        is_there.set()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3), lock.hold(SHOP):
                pass
        assert claimed.empty()
        may_end.set()
        assert await claimed.get()
        async with lock.hold(SHOP):
            await asyncio.to_thread(locks.fence())
        assert claimed.empty()

    play(story)


@pytest.mark.servers
def test_nobody_of_a_process_holds_anything_anew_before_all_have_left(postgres, mirror, play):
    async def story(locks):
        lock, leave = PostgresRepositoryLock(locks, mirror), asyncio.Event()

        async def stay():
            async with lock.hold(RepoName("acme", "rocket")) as lease:
                await lease.lost()
                await leave.wait()

        staying = asyncio.create_task(stay())
        async with lock.hold(SHOP):
            pass
        await asyncio.to_thread(cut, postgres, mirror)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3), lock.hold(SHOP):
                pass
        leave.set()
        async with lock.hold(SHOP):
            await staying

    play(story)


@pytest.mark.servers
class Counted(psycopg.Connection):
    """Counts the questions that tell no more than that the server is there."""

    questions = 0

    def execute(self, query, *args, **more):
        self.questions += query == "SELECT 1"
        return super().execute(query, *args, **more)


def test_no_question_more_is_asked_where_an_answer_has_just_come(postgres, mirror):
    async def story():
        raw = Counted.connect(postgres.url(), autocommit=True)
        session = await LockSession.open(lambda: raw)
        begun, keys = time.monotonic(), [lock_key(mirror, str(it)) for it in range(200)]
        for number in range(0, len(keys), 4):
            assert all(await asyncio.gather(*map(session.try_lock, keys[number : number + 4])))
        seconds = time.monotonic() - begun
        asked = raw.questions
        await session.aclose()
        assert asked <= seconds + 1

    asyncio.run(story())


def test_a_server_that_says_nothing_is_given_up(postgres, play):
    async def story(locks):
        async with locks.hold("a") as lease:
            began = time.monotonic()
            postgres.signal_all(signal.SIGSTOP)
            try:
                await lease.lost()
            finally:
                postgres.signal_all(signal.SIGCONT)
            assert time.monotonic() - began < 10

    play(story, tcp_user_timeout=1000)


@pytest.mark.servers
def test_a_pooler_in_session_mode_serves_and_one_that_gives_no_session_is_refused(
    postgres, mirror, play
):
    async def story(locks):
        async with locks.hold("a", mirror):
            await asyncio.to_thread(locks.fence())

    with PgBouncer(postgres, "session") as bouncer:
        play(story, postgres.url(port=bouncer.port))
    for mode in ("transaction", "statement"):
        with (
            PgBouncer(postgres, mode) as bouncer,
            pytest.raises(UsageError, match="with pool_mode = session"),
        ):
            play(story, postgres.url(port=bouncer.port))


@pytest.mark.servers
def test_a_connection_that_is_lost_at_the_start_is_not_taken_for_a_pooler(postgres, mirror):
    connect = postgres_connector(postgres.url(), application_name=mirror)

    def lost_at_once():
        raw = connect()
        cut(postgres, mirror)
        theirs = f"SELECT pid FROM pg_stat_activity WHERE application_name = '{mirror}'"  # noqa: S608
        wait_until(lambda: postgres.ask(theirs) == [])
        return raw

    with pytest.raises(LedgerUnreachable, match="was lost as soon as it was made"):
        asyncio.run(AdvisoryLocks.open(lost_at_once))


@pytest.mark.servers
def test_a_server_without_a_connection_left_is_said_in_words(postgres, play):
    async def story(_):
        pass

    name = postgres.database()
    postgres.ask("CREATE ROLE pauper LOGIN CONNECTION LIMIT 0 PASSWORD 'x'")
    try:
        with pytest.raises(LedgerUnreachable, match="has no connection left: raise max_conn"):
            play(story, postgres.url(name, "pauper:x"))
    finally:
        postgres.ask("DROP ROLE pauper")


def test_the_key_of_a_lock_is_the_same_for_all_versions():
    assert lock_key("repository", "ab", "acme", "shop") == 7161708767337173223
    assert lock_key("repository", "a", "b") != lock_key("repository", "ab", "")
