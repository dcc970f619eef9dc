"""The connection for what processes agree on, when its server leaves it or says nothing."""

from __future__ import annotations

import asyncio
import socket

import psycopg
import pytest
from user import wait_until

from artifact_sync.domain.errors import LedgerUnreachable
from artifact_sync.fleet import tables
from artifact_sync.fleet.coordination import Coordination
from artifact_sync.runtime.postgres_terms import WHILE_MAKING_TABLES

OTHERS = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
)
WAITS = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    " AND query LIKE '%pg_advisory_xact_lock%' AND query_start < clock_timestamp() - interval '3s'"
)


@pytest.mark.servers
def test_a_connection_that_was_ended_while_nobody_used_it_is_not_noticed(postgres):
    async def story():
        database = Coordination(postgres.url())
        for _ in range(2):
            assert await database.ask("SELECT 1") == [(1,)]
            await asyncio.to_thread(postgres.cut)
            await asyncio.to_thread(wait_until, lambda: postgres.ask(OTHERS) == [(0,)])
        async with database.transaction():
            assert await database.ask("SELECT 2") == [(2,)]
        await database.aclose()

    asyncio.run(story())


def test_a_server_that_says_nothing_is_left_at_once():
    """Else it could not stop for a minute, in which it waits for a client's first word."""

    async def story(silent):
        url = f"postgresql://somebody@127.0.0.1:{silent.getsockname()[1]}/x?connect_timeout=2"
        with pytest.raises(LedgerUnreachable) as kept:
            await Coordination(url).ask("SELECT 1")
        with silent.accept()[0] as theirs:
            theirs.settimeout(30)
            while theirs.recv(100):  # to the end, which the client makes
                pass
        assert "ConnectionTimeout" in str(kept.value)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        asyncio.run(story(silent))


@pytest.mark.servers
def test_a_server_without_a_connection_left_or_a_right_is_told_as_such(postgres):
    postgres.ask("CREATE ROLE narrow LOGIN PASSWORD 'geheim' CONNECTION LIMIT 0")
    url = f"postgresql://narrow:geheim@127.0.0.1:{postgres.port}/postgres"
    with pytest.raises(LedgerUnreachable, match=r"no connection left: raise max_connections"):
        asyncio.run(Coordination(url).ask("SELECT 1"))
    postgres.ask("ALTER ROLE narrow CONNECTION LIMIT 1")
    with pytest.raises(LedgerUnreachable, match=r"its user may not use a table: GRANT"):
        asyncio.run(Coordination(url).ask("SELECT 1 FROM pg_authid"))


@pytest.mark.servers
def test_others_that_make_the_tables_are_waited_for_longer_than_an_answer(postgres):
    """Guards against: several workers that start on a slow server, of which all but one give up."""

    async def story():
        url = postgres.schema()
        database = Coordination(url, patience=2.0)
        with psycopg.connect(url) as other:
            other.execute(WHILE_MAKING_TABLES)
            making = asyncio.create_task(tables.bring_up(database))
            await asyncio.to_thread(
                wait_until, lambda: making.done() or postgres.ask(WAITS) == [(1,)]
            )
        await making
        assert await tables.exist(database)
        await database.aclose()

    asyncio.run(story())
