"""Ledgers of every version are opened by this program, and newer ones refused."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from artifact_sync.domain.model import (
    ArtifactKey,
    Creation,
    Horizon,
    RepoName,
    RunKey,
    RunScope,
    State,
    Strength,
)
from artifact_sync.ledger import migrations, open_ledger
from artifact_sync.ledger.drivers.sqlite import TYPES

OLD = Path(__file__).parents[2] / "data" / "ledger-0001.sqlite"
"""Made by the last program with schema 0001, when Alembic made its migrations."""
NOW = datetime(2026, 11, 23, 12, 0, 0, 250, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
REPO, OTHER = RepoName("acme", "widgets"), RepoName("acme", "gadgets")


@pytest.fixture
def old(tmp_path):
    return Path(shutil.copy(OLD, tmp_path / "ledger.sqlite"))


def key(run, name, repo=REPO):
    return ArtifactKey(*repo, run, "build", "compile", "linux", name)


def play(url, story, **how):
    async def main():
        async with await open_ledger(url, durability="full", **how) as ledger:
            return await story(ledger)

    return asyncio.run(main())


def version_of(path):
    with closing(sqlite3.connect(path)) as connection:
        (row,) = connection.execute("SELECT version_num FROM artifact_sync_version")
    return row[0]


async def is_all_there(ledger):
    assert await ledger.mirror() == "1f" * 16
    assert await ledger.horizon(REPO) == Horizon(9, NOW, falling=True)
    assert await ledger.list_digest(REPO) == ("abc", LATER)
    assert await ledger.settled_totals(RunScope(REPO, "s")) == (2, 2)
    assert await ledger.newest_complete(REPO) == (RunKey(REPO, "7"), RunKey(REPO, "7"))
    assert [row.key.run async for row in ledger.unsettled(RunScope(REPO, "s"))] == ["nightly", "9"]
    seventh = await ledger.run(RunKey(REPO, "7"))
    assert (seventh.created_at, seventh.finished_at, seventh.complete) == (NOW, LATER, True)
    first, odd = (await ledger.artifacts(RunKey(REPO, "7"))).values()
    assert (first.key, odd.key) == (key("7", "dist/app.tar.gz"), key("7", "имя\\\udc80 \x00"))
    assert (first.strength, first.evidence) == (Strength.DIGEST, ("digest:sha-256", "length"))
    assert (first.version, first.etag, first.mirrored_at) == ("v1", '"e"', NOW)
    totals = await ledger.totals(REPO)
    assert totals.states == {
        **dict.fromkeys(State, 0),
        **dict.fromkeys((State.WANTED, State.PENDING, State.FAILED, State.GONE, State.REFUSED), 1),
        State.MIRRORED: 2,
    }
    assert (totals.last_pass, totals.last_error) == (LATER, "cut short\\")
    assert await ledger.repositories() == [OTHER, REPO]


def test_a_ledger_of_the_first_version_is_taken_over(old):
    play(old, is_all_there)
    assert version_of(old) == migrations.head()
    play(old, is_all_there)
    assert play(old, lambda ledger: ledger.run(RunKey(REPO, "7"))).creation == Creation(NOW)


def test_a_ledger_of_the_first_version_is_read_and_stays_as_it_was(old):
    before = old.read_bytes()
    play(old, is_all_there, read_only=True)
    assert old.read_bytes() == before


def test_a_dry_run_over_a_ledger_of_the_first_version_goes_through(old):
    async def story(ledger):
        number = await ledger.begin_pass(REPO, LATER)
        await ledger.settle(RunKey(REPO, "9"), "s", 1)
        assert await ledger.settled_totals(RunScope(REPO, "s")) == (3, 3)
        assert number == 3

    play(old, story, read_only=True)
    play(old, is_all_there, read_only=True)


def schema(path):
    query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"
    with closing(sqlite3.connect(path)) as connection:
        return {
            name: "".join(sql.replace('"', "").split()) for name, sql in connection.execute(query)
        }


def test_the_first_migration_makes_what_the_program_before_made(tmp_path):
    new = tmp_path / "new.sqlite"
    with closing(sqlite3.connect(new)) as connection, connection:
        connection.execute(migrations.MAKE_VERSION_TABLE)
        for sql in migrations.migration("0001", TYPES):
            connection.execute(sql)
    assert schema(new) == schema(OLD)


def test_versions_follow_each_other():
    every = [f"{number:04}" for number in range(1, 14)]
    assert migrations.versions() == every
    assert migrations.head() == "0013"
    assert migrations.pending("0001") == every[1:]
    assert migrations.pending(None) == every
    assert migrations.pending("0013") == []


async def nothing(_):
    pass


def test_a_migration_that_is_broken_off_leaves_nothing_behind(old):
    with closing(sqlite3.connect(old)) as other, other:
        other.execute("CREATE TABLE ix_runs_pruning (stands INTEGER)")  # in the index's way
    with pytest.raises(Exception, match="refused a statement"):
        play(old, nothing)
    assert version_of(old) == "0001"
    with closing(sqlite3.connect(old)) as other, other:
        columns = [row[1] for row in other.execute("PRAGMA table_info(runs)")]
        other.execute("DROP TABLE ix_runs_pruning")
    assert "pruning" not in columns
    play(old, is_all_there)


@pytest.mark.parametrize("start", ["nothing", "old"])
def test_several_that_start_at_once_migrate_once(tmp_path, start):
    path = tmp_path / "ledger.sqlite"
    if start == "old":
        shutil.copy(OLD, path)
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(play, path, nothing) for _ in range(4)]:
            done.result()
    assert version_of(path) == migrations.head()
