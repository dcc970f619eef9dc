"""A ledger in PostgreSQL as it is used: restarts, frozen servers, poolers, first starts, errors."""

from __future__ import annotations

import asyncio
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import psycopg
import pytest
from postgres_server import PgBouncer
from test_ledger_migrations import REPO as OLD_REPO
from test_ledger_migrations import is_all_there
from user import wait_until

from artifact_sync.domain.errors import (
    DiskError,
    ExitCode,
    LedgerTooNew,
    LedgerUnreachable,
    UsageError,
)
from artifact_sync.domain.model import (
    ArtifactKey,
    Horizon,
    Mirrored,
    MirrorPath,
    RepoName,
    Run,
    RunKey,
    RunScope,
    State,
    Strength,
)
from artifact_sync.ledger import copying, migrations, open_ledger
from artifact_sync.ledger.drivers.location import OpenTerms
from artifact_sync.ledger.drivers.store import open_store
from artifact_sync.runtime.postgres_terms import WHILE_MAKING_TABLES
from fleet_demo.servers import free_port

pytestmark = pytest.mark.servers

OLD = Path(__file__).parents[2] / "data" / "ledger-0001.postgresql.sql"
"""Dump of a ledger that the last program with schema 0001 had made."""
NOW = datetime(2026, 11, 23, tzinfo=UTC)
REPO = RepoName("acme", "widgets")
RUN = RunKey(REPO, "7")
HASTY = "?tcp_user_timeout=1500"
"""A URL's option with which a server is given up soon."""
WAITING_LONG = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    " AND clock_timestamp() - query_start > interval '2 seconds'"
)
"""Longer than with ``HASTY`` a statement may take."""
TERMS = OpenTerms("fast")


def file(number):
    key = ArtifactKey(*REPO, "7", "build", "compile", "linux", f"{number}")
    return Mirrored(key, MirrorPath(f"a/{number}"), 3, "ab" * 32, Strength.LENGTH, ("length",))


def play(url, story, **how):
    async def main():
        async with await open_ledger(url, **{"durability": "full", **how}) as ledger:
            return await story(ledger)

    return asyncio.run(main())


async def nothing(_):
    pass


async def count(ledger):
    return (await ledger.totals(REPO)).states[State.MIRRORED]


async def record_again(ledger, content):
    """Until the server is asked again, which is left alone for a while after it was given up."""
    async with asyncio.timeout(60):
        while True:
            with suppress(LedgerUnreachable):
                return await ledger.record_mirrored(content)
            await asyncio.sleep(0.1)


@pytest.fixture
def url(postgres):
    return postgres.url(postgres.database())


class Later:
    """Something that another thread does a while from now."""

    def __init__(self, seconds, deed):
        self._timer = threading.Timer(seconds, deed)

    def __enter__(self):
        self._timer.start()

    def __exit__(self, *_):
        self._timer.join()


async def keep_writing(ledger, until):
    """Files recorded one after the other and many at a time, until then; how many."""
    done = 0
    while time.monotonic() < until:
        await asyncio.gather(*(ledger.record_mirrored(file(done + n)) for n in range(5)))
        assert len(await ledger.artifacts(RunKey(REPO, "7"))) == done + 5
        done += 5
    return done


class Relay:
    """A port before a server's, which counts how often a client waits for an answer."""

    def __init__(self, port):
        self._server = port
        self.waits = 0
        self._is_asking = False
        self._ended = asyncio.Event()

    async def __aenter__(self):
        self._relay = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._relay.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._relay.close()
        await self._ended.wait()

    async def _serve(self, reader, writer):
        server, to_server = await asyncio.open_connection("127.0.0.1", self._server)
        questions = self._pass_on(reader, to_server, is_asking=True)
        await asyncio.gather(questions, self._pass_on(server, writer, is_asking=False))
        self._ended.set()

    async def _pass_on(self, source, target, *, is_asking):
        while some := await source.read(1 << 16):
            self.waits += self._is_asking and not is_asking
            self._is_asking = is_asking
            target.write(some)
        target.close()
        await target.wait_closed()


def test_few_answers_are_waited_for_however_much_there_is(postgres):
    repos = [RepoName("acme", f"project-{number}") for number in range(600)]

    async def waits(relay, asked):
        before = relay.waits
        await asked
        return relay.waits - before

    async def record(ledger, numbers):
        rows = [(file(number).key, State.WANTED, "") for number in numbers]
        await ledger.record_states(rows, NOW)

    async def story(ledger, relay, url):
        await asyncio.gather(*(ledger.begin_pass(repo, NOW) for repo in repos))
        await ledger.record_mirrored(file(0))
        assert await waits(relay, ledger.totals(REPO)) == 3  # counts, filters, end
        assert await waits(relay, ledger.filter_notes(REPO)) == 3  # repository, filters, end
        assert await waits(relay, ledger.filter_notes(REPO)) == 2
        assert await waits(relay, ledger.all_totals()) == 3
        assert await waits(relay, ledger.bytes_in_shared_blocks(repos)) == 4  # 500 names at a time
        assert len(await ledger.all_totals()) == 601
        assert await waits(relay, ledger.unsettle(RUN)) == 2  # the run, and all else
        assert await waits(relay, ledger.unsettle(RUN)) == 1
        assert await waits(relay, record(ledger, range(1, 20))) == 2  # what is known, all else
        with psycopg.connect(url) as holder:
            holder.execute("SELECT pg_advisory_lock(-7)")
            ledger.fence_by(lambda: -7)
            assert await waits(relay, record(ledger, range(1, 20))) == 2  # the server looks itself
        assert await waits(relay, ledger.artifacts(RUN)) == 2
        # the first alone, and the others, which were asked for meanwhile, together
        some = asyncio.gather(*(ledger.artifacts(RUN) for _ in range(5)))
        assert await waits(relay, some) <= 2 + 6
        open_ones = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
        assert postgres.ask(f"{open_ones} AND datname = '{url.rpartition('/')[2]}'") == [(0,)]

    async def main():
        url = postgres.ledger()
        async with Relay(postgres.port) as relay:
            relayed = url.replace(f":{postgres.port}/", f":{relay.port}/")
            async with await open_ledger(relayed, durability="full") as ledger:
                await story(ledger, relay, url)

    asyncio.run(main())


def test_a_run_that_another_process_has_made_anew_is_found(postgres):
    """A ledger remembers numbers of rows, which must not outlast the rows."""

    async def story(ours, theirs):
        run = Run(RUN, "success")
        for again in (ours.settle(RUN, "all", 3), ours.unsettle(RUN), ours.artifacts(RUN)):
            await ours.note_run(run, NOW)
            await ours.settle(RUN, "ours", 1)
            assert (await ours.run(RUN)).settled_for == "ours"
            await theirs.forget_run(RUN)
            await theirs.note_run(run, NOW)
            await theirs.settle(RUN, "theirs", 2)
            await theirs.record_mirrored(file(0))
            found = await again
            if found is not None:
                assert [*found] == [file(0).key]
            else:
                assert (await ours.run(RUN)).settled_for in {"all", ""}
            await theirs.forget_run(RUN)

    async def main():
        url = postgres.ledger()
        async with (
            await open_ledger(url, durability="full") as ours,
            await open_ledger(url, durability="full") as theirs,
        ):
            await story(ours, theirs)

    asyncio.run(main())


def test_a_restart_in_the_middle_of_it_all_is_not_noticed(postgres, url):
    def restart():
        postgres.stop()
        postgres.start()

    async def story(ledger):
        done = await keep_writing(ledger, time.monotonic() + 2)
        assert await count(ledger) == done

    with Later(0.5, restart):
        play(url, story)


def test_a_server_that_is_away_for_eleven_seconds_is_waited_for(postgres, url):
    async def story(ledger):
        await ledger.record_mirrored(file(0))
        postgres.stop()
        with Later(11, postgres.start):
            await ledger.record_mirrored(file(1))
        assert await count(ledger) == 2

    play(url, story)


def test_sessions_that_are_ended_at_every_moment_lose_and_double_nothing(postgres, url):
    """Also in the middle of a commit: what is repeated is what was done."""
    stopped = threading.Event()

    def kill():
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        name = url.rpartition("/")[2]
        pauses = random.Random(7)  # noqa: S311 - some are short, some are enough on a busy machine
        while not stopped.wait(pauses.expovariate(8)):
            postgres.ask(query.replace("%s", f"'{name}'"))

    async def story(ledger):
        done = await keep_writing(ledger, time.monotonic() + 2)
        stopped.set()
        totals = await ledger.totals(REPO)
        assert totals.states == {**dict.fromkeys(State, 0), State.MIRRORED: done}
        assert totals.bytes == 3 * done

    with Later(0.2, kill):
        try:
            play(url, story)
        finally:
            stopped.set()


def test_a_frozen_server_ends_in_words_and_works_again_when_it_thaws(postgres, url):
    async def story(ledger):
        await ledger.record_mirrored(file(0))
        postgres.signal_all(signal.SIGSTOP)
        try:
            began = time.monotonic()
            asked = [ledger.record_mirrored(file(1)), *(ledger.totals(REPO) for _ in range(20))]
            errors = await asyncio.gather(*asked, return_exceptions=True)
            assert time.monotonic() - began < 20  # each for itself would take far longer
        finally:
            postgres.signal_all(signal.SIGCONT)
        assert {type(error) for error in errors} == {LedgerUnreachable}
        assert "does not answer: see whether its server runs" in str(errors[0])
        assert errors[0].exit_code == ExitCode.UNREACHABLE
        await record_again(ledger, file(2))
        assert await count(ledger) >= 2

    play(url + HASTY, story)


def test_a_frozen_server_is_not_waited_for_when_a_ledger_is_opened(postgres, url):
    postgres.signal_all(signal.SIGSTOP)
    try:
        with pytest.raises(LedgerUnreachable, match="does not answer"):
            play(f"{url}?connect_timeout=2", nothing)
    finally:
        postgres.signal_all(signal.SIGCONT)


def test_a_statement_that_takes_too_long_is_broken_off(url):
    async def story(ledger):
        slow = "SELECT pg_sleep(30)"
        with pytest.raises(LedgerUnreachable, match="takes too long"):
            await ledger._worker.read(lambda connection: connection.run(slow))
        assert await ledger.repositories() == []

    play(url + HASTY, story)


def test_a_migration_and_what_a_move_does_to_all_rows_may_take_long(postgres):
    ledger, new = (url + HASTY.replace("?", "&") for url in (postgres.ledger(), postgres.schema()))

    def clear():
        source, target = (open_store(it, TERMS) for it in ("sqlite://", ledger))
        with closing(source), closing(target):
            copying.copy_rows(source, target, lambda _: None)

    def finish():
        with closing(open_store(ledger, TERMS)) as target:
            copying.end_copy(target, "an id", lambda: None)

    with (
        ThreadPoolExecutor(3) as pool,
        psycopg.connect(postgres.url(), autocommit=True) as looking,
        psycopg.connect(ledger) as holder,
    ):
        holder.execute(WHILE_MAKING_TABLES)
        holder.execute("LOCK TABLE artifacts")
        every = [pool.submit(it) for it in (clear, finish, partial(play, new, nothing))]
        wait_until(
            lambda: (
                any(it.done() for it in every) or looking.execute(WAITING_LONG).fetchone() == (3,)
            )
        )
        holder.rollback()
        for done in every:
            done.result()


def test_a_pooler_may_give_each_transaction_another_connection(postgres):
    name = postgres.database()
    with PgBouncer(postgres) as bouncer:
        pooled = postgres.url(name, port=bouncer.port)

        async def read(ledger):
            assert await ledger.repositories() == [REPO]

        async def story(ledger):
            await asyncio.gather(*(ledger.record_mirrored(file(n)) for n in range(600)))
            await ledger.forget([file(n).key for n in range(300)])
            async with await open_ledger(pooled, durability="fast") as other:
                for number in range(20):
                    await other.note_run(Run(RunKey(REPO, str(number)), "success"), NOW)
                    assert await count(ledger) == 300
            await asyncio.to_thread(play, pooled, read, read_only=True)
            await ledger.raise_horizon(REPO, Horizon(1))

        play(pooled, story)


def test_what_a_dry_run_writes_is_seen_by_nobody_behind_the_same_pooler(postgres):
    name = postgres.database()
    with PgBouncer(postgres) as bouncer:
        pooled = postgres.url(name, port=bouncer.port)

        async def rehearse(ledger):
            number = await ledger.begin_pass(REPO, NOW)
            await ledger.settle(RunKey(REPO, "7"), "s", 1)
            assert number == 1
            assert await ledger.settled_totals(RunScope(REPO, "s")) == (1, 1)

        async def look(ledger):
            assert await ledger.settled_totals(RunScope(REPO, "s")) == (0, 0)
            await ledger.settle(RunKey(REPO, "8"), "s", 2)
            assert await ledger.settled_totals(RunScope(REPO, "s")) == (1, 2)

        play(pooled, nothing)
        play(pooled, rehearse, read_only=True)
        play(pooled, look)


def test_a_restart_behind_a_pooler_is_waited_out_too(postgres):
    name = postgres.database()

    def restart():
        postgres.stop()
        postgres.start()

    async def story(ledger):
        done = await keep_writing(ledger, time.monotonic() + 2)
        assert await count(ledger) == done

    with PgBouncer(postgres) as bouncer, Later(0.5, restart):
        play(postgres.url(name, port=bouncer.port), story)


def test_several_first_starts_at_once_make_one_ledger(postgres, url):
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(play, url, nothing) for _ in range(4)]:
            done.result()
    name = url.rpartition("/")[2]
    assert postgres.ask("SELECT version_num FROM artifact_sync_version", name) == [
        (migrations.head(),)
    ]


def test_two_that_make_the_same_rows_get_out_of_each_others_way(url):
    async def story(ledger):
        async with await open_ledger(url, durability="fast") as other:
            for number in range(10):
                repo = RepoName("acme", str(number))
                listed = [Run(RunKey(repo, str(run)), "success") for run in range(20)]
                both = (ledger.note_runs(listed, NOW), other.note_runs(listed, NOW))
                await asyncio.gather(*both)
            assert {(await other.totals(repo)).runs for repo in await ledger.repositories()} == {20}

    play(url, story)


COUNT_UP = "UPDATE meta SET value = (value::int + 1)::text WHERE key = '{}'"
SERIALIZABLE = "%20-cdefault_transaction_isolation%3Dserializable"


@pytest.fixture
def counters(postgres):
    """A ledger with two rows that count, and the connection of another program."""
    url = postgres.ledger()
    with psycopg.connect(url) as other:
        other.execute("INSERT INTO meta (key, value) VALUES ('a', '0'), ('b', '0')")
        other.commit()
        yield url, other


def test_of_two_in_a_deadlock_the_one_that_is_broken_off_begins_again(counters):
    url, other = counters
    tries, waits = [], threading.Event()

    def both(transaction):
        tries.append(1)
        transaction.connection.run(COUNT_UP.format("a"))
        waits.set()
        transaction.connection.run(COUNT_UP.format("b"))

    other.execute("SET deadlock_timeout TO '1min'")  # it is the ledger that finds out
    other.execute(COUNT_UP.format("b"))
    with ThreadPoolExecutor(1) as pool, closing(open_store(url, TERMS)) as store:
        done = pool.submit(store.commit, [both])
        assert waits.wait(60)
        other.execute(COUNT_UP.format("a"))
        other.commit()
        done.result(60)
    assert len(tries) == 2
    assert (
        other.execute("SELECT value FROM meta WHERE key IN ('a', 'b')").fetchall() == [("2",)] * 2
    )


def test_a_transaction_that_cannot_be_put_in_order_begins_again(counters):
    url, other = counters
    tries = []

    def after_another(transaction):
        tries.append(1)
        transaction.connection.run("SELECT value FROM meta")
        if len(tries) == 1:
            other.execute(COUNT_UP.format("a"))
            other.commit()
        transaction.connection.run(COUNT_UP.format("a"))

    with closing(open_store(url + SERIALIZABLE, TERMS)) as store:
        store.commit([after_another])
    assert len(tries) == 2
    assert other.execute("SELECT value FROM meta WHERE key = 'a'").fetchone() == ("2",)


def old_ledger(postgres):
    name = postgres.database()
    postgres.ask(OLD.read_text(encoding="utf-8"), name)
    return name


def test_a_ledger_of_the_first_version_is_taken_over(postgres):
    name = old_ledger(postgres)
    play(postgres.url(name), is_all_there)
    assert postgres.ask("SELECT version_num FROM artifact_sync_version", name) == [
        (migrations.head(),)
    ]
    play(postgres.url(name), is_all_there)


def test_a_ledger_of_the_first_version_is_read_and_stays_as_it_was(postgres):
    name = old_ledger(postgres)

    async def rehearse(ledger):
        await is_all_there(ledger)
        assert await ledger.begin_pass(OLD_REPO, NOW) == 3

    play(postgres.url(name), rehearse, read_only=True)
    assert postgres.ask("SELECT version_num FROM artifact_sync_version", name) == [("0001",)]
    assert postgres.ask("SELECT count(*) FROM passes", name) == [(2,)]


def test_a_newer_programs_ledger_is_refused(postgres, url):
    play(url, nothing)
    postgres.ask("UPDATE artifact_sync_version SET version_num = '9999'", url.rpartition("/")[2])
    for read_only in (False, True):
        with pytest.raises(LedgerTooNew):
            play(url, nothing, read_only=read_only)


@pytest.mark.parametrize("how", [{"create": False}, {"read_only": True}])
def test_no_ledger_is_said_and_none_is_made(postgres, url, how):
    with pytest.raises(UsageError, match="there is no ledger at"):
        play(url, nothing, **how)
    assert postgres.ask("SELECT to_regclass('meta')", url.rpartition("/")[2]) == [(None,)]


def user_of(postgres, rights=""):
    """The URL of a database for somebody with a password; the password is ``geheim``."""
    name = postgres.database()
    postgres.ask(f"CREATE ROLE {name} LOGIN PASSWORD 'geheim'")
    if rights:
        postgres.ask(rights.format(name), name)
    return f"postgresql://{name}:geheim@127.0.0.1:{postgres.port}/{name}"


TROUBLES = {
    "refused": (
        lambda _: f"postgresql://u:geheim@127.0.0.1:{free_port()}/db",
        ExitCode.UNREACHABLE,
        "is not there: start PostgreSQL, or correct host and port",
    ),
    "unknown host": (
        lambda _: "postgresql://u:geheim@nonsuch.invalid/db",
        ExitCode.UNREACHABLE,
        "is on a host that is unknown: correct ledger.url",
    ),
    "wrong password": (
        lambda postgres: user_of(postgres).replace(":geheim@", ":geheimnis@"),
        ExitCode.USAGE,
        "does not take this user and password: correct them",
    ),
    "no password": (
        lambda postgres: user_of(postgres).replace(":geheim@", "@"),
        ExitCode.USAGE,
        "does not take this user and password: correct them",
    ),
    "shut out": (
        lambda postgres: postgres.url(user="stranger"),
        ExitCode.USAGE,
        "lets this user not in from here: allow it",
    ),
    "no such database": (
        lambda postgres: postgres.url("nonsuch"),
        ExitCode.USAGE,
        "does not exist: make it with createdb",
    ),
    "no right to create": (
        lambda postgres: user_of(postgres, "REVOKE CREATE ON SCHEMA public FROM PUBLIC, {}"),
        ExitCode.USAGE,
        "may not be used by this user: as its owner, GRANT it ALL",
    ),
    "no schema": (
        lambda postgres: f"{postgres.url()}?options=-csearch_path%3Dnonsuch",
        ExitCode.USAGE,
        "has no schema for this user: CREATE SCHEMA",
    ),
    "not in UTF-8": (
        lambda postgres: postgres.url(postgres.database("ENCODING SQL_ASCII TEMPLATE template0")),
        ExitCode.USAGE,
        "is not in UTF-8 but in SQL_ASCII: name a database made with",
    ),
    "no TLS": (
        lambda postgres: f"{postgres.url()}?sslmode=require",
        ExitCode.USAGE,
        "cannot be reached by TLS as asked",
    ),
    "option that the server does not know": (
        lambda postgres: f"{postgres.url()}?options=-cgeheim%3Dx",
        ExitCode.USAGE,
        "does not take an option of ledger.url: correct it, or use ALTER ROLE",
    ),
    "bare percent sign": (
        lambda postgres: f"postgresql://u:geheim%zz@127.0.0.1:{postgres.port}/db",
        ExitCode.USAGE,
        "or a % that must be %25: correct it",
    ),
    "no number": (
        lambda postgres: f"{postgres.url()}?tcp_user_timeout=geheim",
        ExitCode.USAGE,
        "has an option that libpq does not know",
    ),
    "unknown option": (
        lambda postgres: f"{postgres.url()}?geheim=x",
        ExitCode.USAGE,
        "has an option that libpq does not know",
    ),
}


@pytest.mark.parametrize(("make", "code", "words"), TROUBLES.values(), ids=TROUBLES)
def test_each_trouble_says_what_to_do_and_no_password(postgres, make, code, words):
    with pytest.raises((UsageError, DiskError)) as caught:
        play(make(postgres), nothing)
    assert words in str(caught.value)
    assert caught.value.exit_code == code
    assert "geheim" not in str(caught.value)
