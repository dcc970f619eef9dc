"""What ``ports.KeepingLedger`` promises, on every database."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from artifact_sync.domain.forget_rules import ForgetScope
from artifact_sync.domain.keeping import KeptRun, ListingVerdict, Pin
from artifact_sync.domain.model import (
    ArtifactKey,
    Mirrored,
    MirrorPath,
    RepoName,
    Run,
    RunKey,
    RunScope,
    State,
    Strength,
)
from artifact_sync.ledger import open_ledger

NOW = datetime(2026, 11, 23, 12, 0, 0, 250, tzinfo=UTC)
DAY = timedelta(days=1)
REPO = RepoName("acme", "widgets")
SCOPE = RunScope(REPO, "all")


def a_run(number: int, at: datetime = NOW) -> Run:
    return Run(RunKey(REPO, str(number)), "success", "push", at)


def key(run: Run, name: str = "app") -> ArtifactKey:
    return ArtifactKey(*REPO, run.key.run, "w", "t", "c", name)


async def mirror(ledger, *runs, size=10):
    """Runs of a file that is here and one that is wanted, settled and complete."""
    for run in runs:
        await ledger.note_run(run, NOW)
        path = MirrorPath(f"acme/widgets/{run.key.run}/app")
        file = Mirrored(key(run), path, size, "ab" * 32, Strength.DIGEST, (), fetched_at=NOW)
        await ledger.record_mirrored(file)
        await ledger.settle(run.key, "all", 1)
        await ledger.mark_complete(run.key, complete=True)


@pytest.fixture
def play(with_ledger):
    return with_ledger


def test_runs_of_which_files_are_on_record_are_counted(play):
    async def story(ledger):
        first, second, bare = a_run(1, NOW - DAY), a_run(2), a_run(3)
        await mirror(ledger, first, second)
        await ledger.note_run(bare, NOW)
        await ledger.record_states([(key(second, "late"), State.WANTED, "")], NOW)
        await ledger.pin(Pin(first.key, "a \\ reason\ud800", NOW))
        found = {it.run: it for it in await ledger.kept_runs(REPO)}
        assert found == {
            "1": KeptRun("1", 1, NOW - DAY, "success", 10, 0, pinned=True),
            "2": KeptRun("2", 2, NOW, "success", 10, 1, pinned=False),
        }
        assert await ledger.kept_runs(RepoName("acme", "none")) == []
        assert await ledger.bytes_on_record(REPO) == await ledger.bytes_on_record(None) == 20
        assert await ledger.bytes_on_record(RepoName("acme", "none")) == 0

    play(story)


def test_of_a_pruned_run_nothing_stays_but_that_it_was(play):
    async def story(ledger):
        run, other = a_run(1), a_run(2)
        await mirror(ledger, run, other)
        await ledger.record_states([(key(run, "late"), State.WANTED, "")], NOW)
        await ledger.prune_run(run.key, NOW)
        assert [it.key for it in await ledger.being_pruned(REPO)] == [key(run)]
        assert (await ledger.run(run.key)).pruned_at == NOW
        assert len(await ledger.artifacts(run.key)) == 2
        await ledger.mark_complete(run.key, complete=False)
        await ledger.pruned([key(run)])
        assert await ledger.artifacts(run.key) == {}
        totals = await ledger.totals(REPO)
        assert (totals.bytes, totals.states[State.MIRRORED], totals.runs) == (10, 1, 1)
        assert totals.states[State.WANTED] == totals.states[State.PRUNED] == 0
        assert totals.pruned_runs == 1
        assert await ledger.settled_totals(SCOPE) == (1, 1)
        assert [it.run for it in await ledger.kept_runs(REPO)] == ["2"]
        assert await ledger.list_digest(REPO) is None
        await ledger.note_runs([replace(run, updated_at=NOW + DAY)], NOW)
        assert (await ledger.run(run.key)).pruned_at == NOW  # the same run, touched upstream
        await ledger.remember(ForgetScope(REPO, "1"))
        row = await ledger.run(run.key)
        assert (row.pruned_at, row.settled_for) == (None, "")

    play(story)


def test_a_run_without_files_is_pruned_at_once_and_all_are_remembered(play):
    async def story(ledger):
        run, other = a_run(1), a_run(2)
        await mirror(ledger, other)
        await ledger.note_run(run, NOW)
        await ledger.record_states([(key(run, "late"), State.WANTED, "")], NOW)
        await ledger.prune_run(run.key, NOW)
        assert await ledger.artifacts(run.key) == {}
        assert (await ledger.totals(REPO)).states[State.WANTED] == 0
        await ledger.prune_run(other.key, NOW)
        await ledger.remember(ForgetScope(REPO, "1", "app"))
        assert (await ledger.totals(REPO)).pruned_runs == 2
        await ledger.remember(ForgetScope(REPO))
        assert (await ledger.totals(REPO)).pruned_runs == 0

    play(story)


def test_of_a_forgotten_run_nothing_stays_once_its_files_are_removed(play):
    async def story(ledger):
        run, other = a_run(1), a_run(2)
        await mirror(ledger, run, other)
        await ledger.forget_artifacts([key(run), key(other)])
        assert await ledger.removed_runs(REPO) == []
        await ledger.end_removal([key(run)], NOW)
        assert await ledger.removed_runs(REPO) == [run.key]
        await ledger.bury(run.key)
        await ledger.bury(other.key)
        assert (await ledger.artifacts(run.key), await ledger.removed_runs(REPO)) == ({}, [])
        assert (await ledger.totals(REPO)).states[State.FORGOTTEN] == 1
        await ledger.remember(ForgetScope(REPO))
        assert (await ledger.run(run.key)).settled_for == ""

    play(story)


def test_another_run_of_the_number_was_not_pruned(play):
    async def story(ledger):
        run = a_run(1)
        await mirror(ledger, run)
        await ledger.prune_run(run.key, NOW)
        await ledger.pruned([key(run)])
        await ledger.begin_anew(a_run(1, NOW + DAY), NOW)
        assert (await ledger.run(run.key)).pruned_at is None

    play(story)


def test_pins_are_listed_replaced_and_taken_away(play):
    async def story(ledger):
        first, second = a_run(1), a_run(2)
        await mirror(ledger, first, second)
        for pin in (
            Pin(first.key, "one", NOW),
            Pin(second.key, "", NOW),
            Pin(first.key, "two", NOW + DAY),
        ):
            await ledger.pin(pin)
        assert await ledger.pins(REPO) == [
            Pin(second.key, "", NOW),
            Pin(first.key, "two", NOW + DAY),
        ]
        assert await ledger.pinned(first.key) == Pin(first.key, "two", NOW + DAY)
        assert (await ledger.run(first.key)).settled_for == ""
        await ledger.unpin(first.key)
        await ledger.unpin(RunKey(REPO, "99"))
        await ledger.forget_run(second.key)
        assert await ledger.pins() == []

    play(story)


def test_a_listing_is_judged_by_what_it_left_out(play):
    async def story(ledger):
        assert await ledger.listing_verdict(REPO) is None
        await ledger.note_runs([a_run(1), a_run(2), a_run(3)], NOW)
        await ledger.note_runs([a_run(1), a_run(3)], NOW + DAY / 2)
        asked = NOW, NOW + DAY / 2
        assert await ledger.unlisted(REPO, *asked) == "2"
        assert await ledger.unlisted(REPO, NOW + DAY / 4, NOW + DAY / 2) is None
        await ledger.lose_run(RunKey(REPO, "2"), NOW)
        assert await ledger.unlisted(REPO, *asked) is None
        verdict = ListingVerdict(NOW, "it is \\ empty")
        await ledger.note_listing(REPO, ListingVerdict(NOW - DAY, ""))
        await ledger.note_listing(REPO, verdict)
        assert await ledger.listing_verdict(REPO) == verdict

    play(story)


def test_a_ledger_takes_less_room_when_much_of_it_is_gone(tmp_path):
    async def main():
        url = f"sqlite:///{tmp_path / 'ledger.sqlite'}?timeout=600"
        async with await open_ledger(url, durability="fast") as ledger:
            run = a_run(1)
            await ledger.note_run(run, NOW)
            told = [(key(run, f"{n} {'x' * 2000}"), State.WANTED, "") for n in range(3000)]
            await ledger.record_states(told, NOW)
            await ledger.compact()
            assert await ledger.size() > 10_000_000
            await ledger.forget_run(run.key)
            with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as reader:
                reader.execute("BEGIN")
                assert reader.execute("SELECT count(*) FROM runs").fetchone() == (0,)
                began = time.monotonic()
                await ledger.compact()
                assert time.monotonic() - began < 60  # a reader is not waited for
                assert reader.execute("SELECT count(*) FROM runs").fetchone() == (0,)
            await ledger.compact()
            assert await ledger.size() < 1_000_000

    asyncio.run(main())
