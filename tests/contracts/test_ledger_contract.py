"""What ``ports.Ledger`` promises, on every database."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest
from msgspec.structs import replace

from artifact_sync.domain.archives import Extraction, ExtractionState
from artifact_sync.domain.errors import DiskError, Reason
from artifact_sync.domain.forget_rules import ForgetRule, ForgetScope
from artifact_sync.domain.model import (
    ArtifactKey,
    ArtifactNote,
    ArtifactRow,
    Creation,
    Failure,
    FilterNotes,
    Horizon,
    Mirrored,
    MirrorPath,
    RepoName,
    Run,
    RunKey,
    RunRow,
    RunScope,
    State,
    Strength,
    Totals,
    Upstream,
)
from artifact_sync.domain.report import Report
from artifact_sync.domain.run_record import Embedded, RunRecord, WorkflowRecord
from artifact_sync.domain.vanishing import CreationWindow, Endangered
from artifact_sync.ledger import open_ledger

NOW = datetime(2026, 11, 23, 12, 0, 0, 250, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
DAY = timedelta(days=1)
REPO = RepoName("acme", "widgets")
OTHER = RepoName("acme", "gadgets")


@pytest.fixture(params=["file", "memory", "postgresql"])
def url(request, tmp_path):
    if request.param == "file":
        return f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    if request.param == "memory":
        return "sqlite://"
    return request.getfixturevalue("postgres").ledger()


@pytest.fixture
def play(url):
    """Runs a story with a fresh ledger."""

    def run(story):
        async def main():
            async with await open_ledger(url, durability="fast") as ledger:
                await story(ledger)

        asyncio.run(main())

    return run


def key(run="7", local_path="dist/app.tar.gz", repo=REPO, cube="linux"):
    return ArtifactKey(*repo, run, "build", "compile", cube, local_path)


def a_run(number, status="success", repo=REPO, **more):
    return Run(RunKey(repo, str(number)), status, "push", **{"created_at": NOW, **more})


def mirrored(which, size=10, path=None, **more):
    place = MirrorPath(path or "/".join(which))
    told = {"strength": Strength.DIGEST, "evidence": ("digest:sha-256",), "fetched_at": NOW, **more}
    return Mirrored(which, place, size, "ab" * 32, **told)


def failure(which, reason=Reason.CUT, message="cut short"):
    return Failure.of(which, reason, message)


async def everything(rows):
    return [row async for row in rows]


async def paths(rows):
    return [row.path async for row in rows]


async def slugs_of_runs(rows):
    return [row.key.run async for row in rows]


async def slugs(rows):
    return [row.key.run async for row in rows]


def test_a_list_digest_holds_until_a_listing_says_something_new(play):
    async def story(ledger):
        assert await ledger.list_digest(REPO) is None
        await ledger.note_runs([a_run(1), a_run(2)], NOW)
        await ledger.note_list_digest(REPO, "12ab", NOW)
        assert await ledger.list_digest(REPO) == ("12ab", NOW)
        assert await ledger.list_digest(OTHER) is None
        await ledger.note_runs([a_run(1), a_run(2)], LATER)
        await ledger.note_runs([a_run(1, repo=OTHER)], LATER)
        await ledger.note_run(a_run(2), LATER)
        await ledger.unsettle(RunKey(REPO, "2"))
        assert await ledger.list_digest(REPO) == ("12ab", NOW)
        await ledger.note_list_digest(REPO, "12ab", LATER)
        assert await ledger.list_digest(REPO) == ("12ab", LATER)

    play(story)


def test_how_a_repository_stands_changes_with_all_that_decides_a_pass(play):
    one, two, bad = key("1"), key("2"), key("2", "bad")
    pruned, rule = RunKey(REPO, "2"), ForgetScope(REPO, "9")

    async def settled_again(ledger):
        await ledger.note_runs([a_run(1), a_run(2)], NOW)
        for run in ("1", "2"):
            await ledger.settle(RunKey(REPO, run), "s", 1)
        await ledger.note_list_digest(REPO, "digest", NOW)

    async def lose(ledger):
        await ledger.note_lost([(await ledger.artifacts(one.run_key))[one]], LATER)

    async def unpack(ledger):
        await ledger.fail_extraction(one, Extraction(ExtractionState.FAILED, "ab" * 32, "1/2/3", 0))

    async def record(ledger):
        number = await ledger.begin_pass(REPO, NOW)
        await ledger.end_pass(number, Report(runs=2, found=2, kept=2), LATER)

    changes = [
        lambda ledger: ledger.unsettle(RunKey(REPO, "1")),
        settled_again,
        lambda ledger: ledger.settle(RunKey(REPO, "1"), "another", 1),
        settled_again,
        lambda ledger: ledger.settle(RunKey(REPO, "1"), "s", 2),
        lambda ledger: ledger.note_list_digest(REPO, "longer", NOW),
        lambda ledger: ledger.note_runs([a_run(3)], NOW),
        settled_again,
        lambda ledger: ledger.begin_forgetting(ForgetRule(rule)),
        lambda ledger: ledger.end_forgetting(rule),
        lambda ledger: ledger.remember(rule),
        lambda ledger: ledger.record_failure(bad, State.FAILED, failure(bad), NOW),
        unpack,
        lose,
        lambda ledger: ledger.prune_run(pruned, LATER),
        lambda ledger: ledger.pruned([two]),
    ]
    changes_nothing = [
        record,
        lambda ledger: ledger.note_runs([a_run(1), a_run(2)], LATER),
        lambda ledger: ledger.note_list_digest(REPO, "digest", LATER),
        lambda ledger: ledger.note_runs([a_run(1, repo=OTHER)], LATER),
        lambda ledger: ledger.record_mirrored(mirrored(key(repo=OTHER))),
    ]

    async def story(ledger):
        scope = RunScope(REPO, "s")
        assert not (await ledger.standing(scope)).is_at_rest
        await ledger.record_mirrored(mirrored(one))
        await ledger.record_mirrored(mirrored(two))
        await settled_again(ledger)
        before = await ledger.standing(scope)
        assert before.is_at_rest
        for change in changes_nothing:
            await change(ledger)
            assert before.agrees(await ledger.standing(scope))
        for number, change in enumerate(changes):
            await change(ledger)
            stands = await ledger.standing(scope)
            assert not stands.agrees(before), number
            before = stands
        assert not before.is_at_rest
        assert not (await ledger.standing(RunScope(REPO, "another"))).is_at_rest

    play(story)


@pytest.mark.parametrize(
    "news",
    [
        lambda ledger: ledger.note_runs([a_run(1), a_run(3)], LATER),
        lambda ledger: ledger.note_runs([a_run(1, updated_at=LATER)], LATER),
        lambda ledger: ledger.note_runs([a_run(1, "failed")], LATER),
        lambda ledger: ledger.note_run(a_run(1, "processing"), LATER),
        lambda ledger: ledger.note_run(a_run(4), LATER),
    ],
    ids=["a new run", "a changed run", "another status", "its own status", "an unlisted run"],
)
def test_what_a_listing_did_not_say_ends_its_digest(play, news):
    async def story(ledger):
        await ledger.note_runs([a_run(1)], NOW)
        await ledger.note_list_digest(REPO, "digest", NOW)
        await news(ledger)
        assert await ledger.list_digest(REPO) is None

    play(story)


def test_what_the_filters_were_held_against_is_kept_for_each_repository(play):
    async def story(ledger):
        assert await ledger.filter_notes(REPO) == FilterNotes()
        notes = FilterNotes(
            "5e1ec7", ("ci", "\u044f"), ("a/b\0",), ("*.tar", "\udcff"), ("it fits nothing",)
        )
        await ledger.note_runs([a_run(1), a_run(1, repo=OTHER)], NOW)
        await ledger.note_filters(REPO, FilterNotes("old"))
        await ledger.note_filters(REPO, notes)
        assert await ledger.filter_notes(REPO) == notes
        assert await ledger.filter_notes(OTHER) == FilterNotes()
        assert (await ledger.totals(REPO)).unfit == notes.unfit
        assert [it.unfit for it in await ledger.all_totals() if it.unfit] == [notes.unfit]

    play(story)


def test_a_block_is_committed_at_its_end_or_not_at_all(play):
    run, named = a_run(1).key, RunKey(REPO, "9")

    async def ended_by_an_error(ledger):
        async with ledger.one_commit():
            await ledger.unsettle(run)
            await ledger.note_run(a_run(9), NOW)
            raise ValueError("a time without")

    async def refused_by_the_ledger(ledger):
        async with ledger.one_commit():
            await ledger.unsettle(run)
            await ledger.look_again(run, NOW.replace(tzinfo=None))

    async def story(ledger):
        await ledger.note_run(a_run(1), NOW)
        async with ledger.one_commit():
            await ledger.mark_complete(run, complete=True)
            await ledger.settle(run, "s", 1)
            assert (await ledger.run(run)).settled_for == ""
        found = await ledger.run(run)
        assert (found.complete, found.settled_for) == (True, "s")
        for last in (ended_by_an_error, refused_by_the_ledger):
            with pytest.raises(ValueError, match="a time without"):
                await last(ledger)
        assert (await ledger.run(run)).settled_for == "s"
        assert await ledger.run(named) is None

    play(story)


def test_the_first_layout_is_remembered(play):
    async def story(ledger):
        assert await ledger.layout() is None
        assert await ledger.claim_layout("{org}/{run}") == "{org}/{run}"
        assert await ledger.claim_layout("{repo}") == "{org}/{run}"
        assert await ledger.layout() == "{org}/{run}"

    play(story)


def test_the_first_mirror_is_remembered_beside_the_layout(play):
    async def story(ledger):
        assert await ledger.claim_layout("{repo}") == "{repo}"
        assert await ledger.mirror() is None
        assert await ledger.claim_mirror("1f" * 16) == "1f" * 16
        assert await ledger.claim_mirror("2e" * 16) == "1f" * 16
        assert await ledger.mirror() == "1f" * 16
        assert await ledger.layout() == "{repo}"

    play(story)


def test_an_unknown_repository_has_nothing(play):
    async def story(ledger):
        assert await ledger.horizon(REPO) is None
        assert await ledger.run(RunKey(REPO, "1")) is None
        assert await ledger.artifacts(RunKey(REPO, "1")) == {}
        assert await ledger.repositories() == []
        assert await ledger.recent(REPO, 10) == []
        assert await ledger.unwell(RunScope(REPO, "s")) == []
        assert await ledger.settled_totals(RunScope(REPO, "s")) == (0, 0)
        assert await ledger.newest_complete(REPO) == (None, None)
        assert await ledger.totals(REPO) == Totals(REPO, states=dict.fromkeys(State, 0))
        unsettled = ledger.unsettled(RunScope(REPO, "s"))
        for rows in (unsettled, ledger.mirrored(), ledger.listing(REPO)):
            assert await everything(rows) == []
        await ledger.unsettle(RunKey(REPO, "1"))
        await ledger.forget([key()])
        assert await ledger.repositories() == []

    play(story)


def test_a_horizon_is_only_ever_raised(play):
    async def story(ledger):
        await ledger.raise_horizon(REPO, Horizon(10, NOW))
        assert await ledger.horizon(REPO) == Horizon(10, NOW)
        await ledger.raise_horizon(REPO, Horizon(9, LATER))
        assert await ledger.horizon(REPO) == Horizon(10, NOW)
        await ledger.raise_horizon(REPO, Horizon(10, None))
        await ledger.raise_horizon(REPO, Horizon(10, NOW))
        assert await ledger.horizon(REPO) == Horizon(10, None)
        assert await ledger.horizon(OTHER) is None

    play(story)


def test_of_the_order_of_a_list_what_was_told_last_counts(play):
    async def story(ledger):
        await ledger.raise_horizon(REPO, Horizon(10, falling=True))
        assert await ledger.horizon(REPO) == Horizon(10, falling=True)
        await ledger.raise_horizon(REPO, Horizon(9, NOW, falling=False))
        assert await ledger.horizon(REPO) == Horizon(10, falling=False)
        await ledger.raise_horizon(REPO, Horizon(10, falling=True))
        assert await ledger.horizon(REPO) == Horizon(10, falling=True)

    play(story)


def test_a_listing_without_a_status_does_not_make_a_known_one_unknown(play):
    async def story(ledger):
        await ledger.note_runs([a_run(7, "")], NOW)
        await ledger.note_run(a_run(7, "success"), NOW)
        await ledger.note_runs([a_run(7, "")], LATER)
        row = await ledger.run(RunKey(REPO, "7"))
        assert (row.status, row.seen_at) == ("success", LATER)

    play(story)


def test_what_failed_in_a_run_that_the_selection_leaves_out_is_no_failure(play):
    async def story(ledger):
        await ledger.note_runs([a_run(7)], NOW)
        await ledger.record_failure(key(), State.FAILED, failure(key()), NOW)
        await ledger.settle(RunKey(REPO, "7"), "s", 0)
        assert [row.key for row in await ledger.unwell(RunScope(REPO, "s"))] == [key()]
        await ledger.settle(RunKey(REPO, "7"), "s", None)
        assert await ledger.unwell(RunScope(REPO, "s")) == []

    play(story)


def test_a_listed_run_is_kept_as_it_was_told(play):
    async def story(ledger):
        run = a_run(7, finished_at=LATER, updated_at=LATER)
        await ledger.note_runs([run], NOW)
        assert await ledger.run(run.key) == RunRow(
            run.key,
            "success",
            "push",
            NOW,
            LATER,
            fingerprint=run.fingerprint,
            first_seen=NOW,
            seen_at=NOW,
            creation=Creation(NOW),
        )

    play(story)


def test_a_run_that_is_listed_again_unchanged_was_only_seen_again(play):
    async def story(ledger):
        await ledger.note_runs([a_run(7)], NOW)
        await ledger.settle(RunKey(REPO, "7"), "s", 3)
        await ledger.note_runs([a_run(7), a_run(7)], LATER)
        row = await ledger.run(RunKey(REPO, "7"))
        assert (row.settled_for, row.first_seen, row.seen_at) == ("s", NOW, LATER)

    play(story)


def test_a_run_that_changed_is_unsettled_and_its_looks_start_over(play):
    async def story(ledger):
        await ledger.note_runs([a_run(7)], NOW)
        await ledger.look_again(RunKey(REPO, "7"), LATER)
        await ledger.settle(RunKey(REPO, "7"), "s", 3)
        await ledger.note_runs([a_run(7, updated_at=LATER)], LATER)
        row = await ledger.run(RunKey(REPO, "7"))
        assert (row.settled_for, row.looks, row.next_look) == ("", 0, None)
        assert await ledger.settled_totals(RunScope(REPO, "s")) == (0, 0)

    play(story)


def test_a_runs_own_answer_leaves_its_fingerprint_alone(play):
    async def story(ledger):
        listed = a_run(7, status="processing")
        await ledger.note_runs([listed], NOW)
        await ledger.note_run(a_run(7, finished_at=LATER), LATER)
        row = await ledger.run(listed.key)
        assert (row.status, row.finished_at, row.seen_at) == ("success", LATER, LATER)
        assert (row.fingerprint, row.first_seen) == (listed.fingerprint, NOW)

    play(story)


def test_a_run_that_was_never_listed_is_noted_by_its_answer(play):
    async def story(ledger):
        run = a_run(7)
        await ledger.note_run(run, NOW)
        row = await ledger.run(run.key)
        assert (row.fingerprint, row.first_seen) == (run.fingerprint, NOW)

    play(story)


def test_unsettled_runs_of_one_moment_come_by_number_and_those_without_one_first(play):
    async def story(ledger):
        await ledger.note_runs([a_run(n) for n in ("9", "nightly", "10", "2", "11")], NOW)
        await ledger.note_runs([a_run(99, repo=OTHER)], NOW)
        await ledger.settle(RunKey(REPO, "10"), "s", 0)
        await ledger.settle(RunKey(REPO, "2"), "old", 0)
        assert await slugs(ledger.unsettled(RunScope(REPO, "s"))) == ["nightly", "2", "9", "11"]
        assert await slugs(ledger.unsettled(RunScope(REPO, "old"))) == ["nightly", "9", "10", "11"]

    play(story)


def test_all_runs_come_newest_first_settled_or_not(play):
    async def story(ledger):
        await ledger.note_runs([a_run(n) for n in (*range(1, 400), "nightly")], NOW)
        await ledger.note_runs([a_run(999, repo=OTHER)], NOW)
        await ledger.settle(RunKey(REPO, "10"), "s", 0)
        expected = [*(str(n) for n in range(399, 0, -1)), "nightly"]
        assert await slugs(ledger.runs(REPO)) == expected
        assert await slugs(ledger.runs(RepoName("no", "body"))) == []

    play(story)


def test_unsettled_runs_from_before_are_left_out_but_not_those_of_unknown_age(play):
    async def story(ledger):
        old, unknown = a_run(1, created_at=NOW - timedelta(seconds=1)), a_run(2, created_at=None)
        await ledger.note_runs([old, unknown, a_run(3)], NOW)
        assert await slugs(ledger.unsettled(RunScope(REPO, "s", NOW))) == ["3", "2"]

    play(story)


def test_runs_may_be_settled_while_the_unsettled_ones_are_read(play):
    async def story(ledger):
        numbers = list(range(1, 651))
        await ledger.note_runs([a_run(n) for n in numbers], NOW)
        for number in numbers[::3]:
            await ledger.settle(RunKey(REPO, str(number)), "old", 1)
        seen = []
        async for row in ledger.unsettled(RunScope(REPO, "s")):
            seen.append(int(row.key.run))
            await ledger.settle(row.key, "s", 1)
        assert seen == numbers
        assert await ledger.settled_totals(RunScope(REPO, "s")) == (650, 650)

    play(story)


def test_unsettled_runs_come_in_the_order_in_which_they_vanish(play):
    async def story(ledger):
        hours = {str(n): NOW + timedelta(hours=(n * 7) % 500 - 250) for n in range(500)}
        await ledger.note_runs([a_run(n, created_at=at) for n, at in hours.items()], NOW)
        await ledger.note_runs([a_run(n, created_at=None) for n in (501, 502)], NOW)
        for run in list(hours)[::3]:
            await ledger.settle(RunKey(REPO, run), "old", 1)
        there = sorted((it for it in hours if hours[it] > NOW), key=hours.get)
        vanished = sorted((it for it in hours if hours[it] <= NOW), key=hours.get, reverse=True)
        found = await slugs(ledger.unsettled(RunScope(REPO, "s"), NOW))
        assert found == [*there, "502", "501", *vanished]

    play(story)


def test_totals_of_the_settled_leave_out_what_is_too_old_or_not_wanted_at_all(play):
    async def story(ledger):
        old = a_run(1, created_at=NOW - timedelta(days=1))
        await ledger.note_runs([old, a_run(2), a_run(3), a_run(4, created_at=None)], NOW)
        for number, kept in (("1", 10), ("2", 5), ("3", None), ("4", 0)):
            await ledger.settle(RunKey(REPO, number), "s", kept)
        assert await ledger.settled_totals(RunScope(REPO, "s")) == (3, 15)
        assert await ledger.settled_totals(RunScope(REPO, "s", NOW)) == (2, 5)
        assert await ledger.settled_totals(RunScope(REPO, "other")) == (0, 0)

    play(story)


def test_something_outstanding_is_counted_and_due_again(play):
    async def story(ledger):
        await ledger.note_runs([a_run(7)], NOW)
        await ledger.settle(RunKey(REPO, "7"), "s", 3)
        await ledger.look_again(RunKey(REPO, "7"), NOW)
        await ledger.look_again(RunKey(REPO, "7"), LATER)
        row = await ledger.run(RunKey(REPO, "7"))
        assert (row.looks, row.next_look, row.settled_for) == (2, LATER, "")
        await ledger.unsettle(RunKey(REPO, "7"))
        assert (await ledger.run(RunKey(REPO, "7"))).next_look is None

    play(story)


def test_an_unsettled_run_needs_a_look_at_once(play):
    async def story(ledger):
        await ledger.note_runs([a_run(7)], NOW)
        await ledger.settle(RunKey(REPO, "7"), "s", 3)
        await ledger.unsettle(RunKey(REPO, "7"))
        assert await slugs(ledger.unsettled(RunScope(REPO, "s"))) == ["7"]

    play(story)


def test_the_next_look_is_the_earliest_that_was_put_off(play):
    async def story(ledger):
        old = a_run(1, created_at=NOW - timedelta(days=1))
        await ledger.note_runs([old, *(a_run(n) for n in range(2, 5)), a_run(9, repo=OTHER)], NOW)
        for number, minutes in (("1", 1), ("2", 30), ("3", 20), ("4", 10)):
            await ledger.look_again(RunKey(REPO, number), NOW + timedelta(minutes=minutes))
        await ledger.look_again(RunKey(OTHER, "9"), NOW)
        await ledger.settle(RunKey(REPO, "4"), "s", 0)
        assert await ledger.next_look(RunScope(REPO, "s")) == NOW + timedelta(minutes=1)
        assert await ledger.next_look(RunScope(REPO, "s", NOW)) == NOW + timedelta(minutes=20)
        assert await ledger.next_look(RunScope(RepoName("no", "body"), "s")) is None

    play(story)


def test_a_run_that_needs_a_look_at_once_was_due_long_ago_and_a_settled_one_never_is(play):
    async def story(ledger):
        await ledger.note_runs([a_run(7), a_run(8)], NOW)
        await ledger.look_again(RunKey(REPO, "8"), LATER)
        assert await ledger.next_look(RunScope(REPO, "s")) < NOW - timedelta(days=10_000)
        assert await ledger.next_look(RunScope(REPO, "s", LATER)) is None
        await ledger.settle(RunKey(REPO, "7"), "s", 0)
        await ledger.settle(RunKey(REPO, "8"), "s", None)
        assert await ledger.next_look(RunScope(REPO, "s")) is None
        assert await ledger.next_look(RunScope(REPO, "other")) < NOW - timedelta(days=10_000)
        await ledger.unsettle(RunKey(REPO, "7"))
        assert await ledger.next_look(RunScope(REPO, "s")) < NOW - timedelta(days=10_000)

    play(story)


def test_what_stands_at_a_path_or_below_it_is_found_and_nothing_beside_it(play):
    async def story(ledger):
        places = ("o/r/1/f", "o/r/1/g/h", "o/r/1", "o/r/1-a/f", "o/r/10/f", "o/r/1.x", "o/r/10")
        for place in places:
            await ledger.record_mirrored(mirrored(key(local_path=place), path=place))
        assert await paths(ledger.at("o/r/1")) == ["o/r/1", "o/r/1/f", "o/r/1/g/h"]
        assert await paths(ledger.at("o/r/1/f")) == ["o/r/1/f"]
        assert await paths(ledger.at("o/r/1/g")) == ["o/r/1/g/h"]
        assert await paths(ledger.at("o")) == sorted(places)
        assert await paths(ledger.at("o/r/1/")) == []
        assert await paths(ledger.at("")) == []

    play(story)


@pytest.mark.parametrize("odd", ["a%b", "a_b", "a\\b", "\udcff", "Ä", "💾", "a'b", "x\0y"])
def test_what_stands_below_a_path_of_any_characters_is_found(play, odd):
    async def story(ledger):
        await ledger.record_mirrored(mirrored(key(), path=f"{odd}/f"))
        await ledger.record_mirrored(mirrored(key("8"), path="axb/f"))
        assert await paths(ledger.at(odd)) == [f"{odd}/f"]
        assert await paths(ledger.at(f"{odd}/f")) == [f"{odd}/f"]

    play(story)


def test_only_what_is_mirrored_stands_anywhere(play):
    async def story(ledger):
        await ledger.record_mirrored(mirrored(key(), path="o/r/f"))
        assert [row.key for row in await everything(ledger.at("o"))] == [key()]
        await ledger.record_failure(key(), State.FAILED, failure(key()), LATER)
        assert await paths(ledger.at("o")) == []

    play(story)


def test_thousands_of_files_at_a_path_come_in_order(play):
    async def story(ledger):
        files = [mirrored(key(local_path=f"{n:04}"), path=f"o/r/{n:04}") for n in range(1203)]
        await asyncio.gather(*map(ledger.record_mirrored, files))
        assert await paths(ledger.at("o/r")) == [file.path for file in files]

    play(story)


def test_a_ledger_that_is_well_answers(play):
    async def story(ledger):
        assert await ledger.ping() is None

    play(story)


def test_a_ledger_in_a_file_knows_its_size_and_another_has_none(url, tmp_path):
    async def main():
        async with await open_ledger(url, durability="fast") as ledger:
            await ledger.note_runs([a_run(7)], NOW)
            found = sum(path.stat().st_size for path in tmp_path.iterdir())
            assert await ledger.size() == (found or None)

    asyncio.run(main())


def test_the_newest_complete_runs_are_found(play):
    async def story(ledger):
        statuses = {"8": "success", "9": "failed", "10": "success", "11": "failed"}
        await ledger.note_runs([a_run(n, status) for n, status in statuses.items()], NOW)
        for number in ("8", "9", "10"):
            await ledger.mark_complete(RunKey(REPO, number), complete=True)
        await ledger.mark_complete(RunKey(REPO, "10"), complete=False)
        assert await ledger.newest_complete(REPO) == (RunKey(REPO, "9"), RunKey(REPO, "8"))

    play(story)


def test_the_newest_run_is_the_one_that_was_created_last(play):
    # Guards against: a repository made anew whose runs begin to count at 1 again.
    async def story(ledger):
        await ledger.note_runs([a_run(5), a_run(1, created_at=LATER)], NOW)
        await ledger.note_runs([a_run(9, created_at=None)], NOW)
        for number in ("1", "5", "9"):
            await ledger.mark_complete(RunKey(REPO, number), complete=True)
        assert await ledger.newest_complete(REPO) == (RunKey(REPO, "1"), RunKey(REPO, "1"))

    play(story)


def test_another_run_under_the_number_has_no_status_until_it_told_itself(play):
    # Guards against: a repository made anew whose runs pass for those of the old one.
    async def story(ledger):
        seventh = RunKey(REPO, "7")
        await ledger.note_runs([a_run(7)], NOW)
        await ledger.record_mirrored(mirrored(key(), 42))
        await ledger.mark_complete(seventh, complete=True)
        await ledger.settle(seventh, "s", None)
        another = a_run(7, created_at=LATER)
        for _ in range(2):
            await ledger.note_runs([another], LATER)
            row = await ledger.run(seventh)
            assert (row.status, row.settled_for, row.creation) == ("", "", Creation(NOW))
            assert row.created_at == LATER
        await ledger.begin_anew(another, LATER)
        row = await ledger.run(seventh)
        assert (row.status, row.complete, row.creation) == ("success", False, Creation(LATER))
        assert (row.first_seen, row.next_look, row.looks) == (LATER, None, 0)
        assert await ledger.artifacts(seventh) == {}
        totals = await ledger.totals(REPO)
        assert (totals.states[State.MIRRORED], totals.bytes, totals.runs) == (0, 0, 1)
        assert totals.last_mirrored is None

    play(story)


def test_a_run_that_is_forgotten_is_new_when_it_is_listed_again(play):
    async def story(ledger):
        await ledger.note_runs([a_run(7), a_run(8)], NOW)
        await ledger.record_failure(key(), State.FAILED, failure(key()), NOW)
        await ledger.forget_run(RunKey(REPO, "7"))
        await ledger.forget_run(RunKey(REPO, "99"))
        assert await ledger.run(RunKey(REPO, "7")) is None
        assert await ledger.artifacts(RunKey(REPO, "7")) == {}
        assert (await ledger.totals(REPO)).runs == 1
        await ledger.note_runs([a_run(7)], LATER)
        assert (await ledger.run(RunKey(REPO, "7"))).first_seen == LATER

    play(story)


@pytest.mark.parametrize(
    ("before", "after", "another"),
    [
        ({}, {"created_at": NOW + timedelta(milliseconds=999)}, False),
        ({}, {"created_at": NOW - timedelta(seconds=1)}, True),
        ({}, {"created_at": None}, False),
        ({"created_at": None}, {}, False),
        ({"created_at": None, "id": "a"}, {"created_at": None, "id": "b"}, True),
        ({"id": "a"}, {"id": ""}, False),
        ({"id": ""}, {"id": "b"}, False),
    ],
)
def test_another_creation_or_id_is_another_run(play, before, after, another):
    async def story(ledger):
        await ledger.note_runs([a_run(7, **before)], NOW)
        await ledger.note_runs([a_run(7, **after)], LATER)
        row = await ledger.run(RunKey(REPO, "7"))
        assert (row.status == "") is another
        assert row.creation.is_another(a_run(7, **after).creation) is another

    play(story)


def test_a_mirrored_file_makes_its_run_and_repository_known(play):
    async def story(ledger):
        file = mirrored(key(), 42, version="v1", etag='"e"', content_encoding="gzip")
        await ledger.record_mirrored(file)
        assert await ledger.artifacts(RunKey(REPO, "7")) == {
            key(): ArtifactRow(
                key(),
                State.MIRRORED,
                file.path,
                42,
                "ab" * 32,
                Strength.DIGEST,
                ("digest:sha-256",),
                "v1",
                '"e"',
                "gzip",
                first_seen=NOW,
                mirrored_at=NOW,
                verified_at=NOW,
                upstream=Upstream.LISTED,
            )
        }
        assert await ledger.repositories() == [REPO]
        assert (await ledger.run(RunKey(REPO, "7"))).settled_for == ""

    play(story)


def test_a_listing_completes_a_run_that_a_file_made_known(play):
    async def story(ledger):
        await ledger.record_mirrored(mirrored(key()))
        await ledger.note_runs([a_run(7)], LATER)
        row = await ledger.run(RunKey(REPO, "7"))
        assert (row.status, row.created_at, row.seen_at) == ("success", NOW, LATER)
        assert len(await ledger.artifacts(RunKey(REPO, "7"))) == 1

    play(story)


def test_a_failure_counts_and_success_clears_it(play):
    async def story(ledger):
        await ledger.record_states([(key(), State.WANTED, "v1")], NOW)
        for _ in range(2):
            await ledger.record_failure(key(), State.FAILED, failure(key()), LATER)
        row = (await ledger.artifacts(RunKey(REPO, "7")))[key()]
        assert (row.state, row.attempts, row.first_seen) == (State.FAILED, 2, NOW)
        assert (row.reason, row.message, row.version) == ("cut", "cut short", "v1")
        await ledger.record_mirrored(mirrored(key()))
        row = (await ledger.artifacts(RunKey(REPO, "7")))[key()]
        assert (row.state, row.attempts, row.reason, row.message) == (State.MIRRORED, 0, "", "")

    play(story)


def test_a_failure_keeps_what_is_known_of_the_file_mirrored_before(play):
    async def story(ledger):
        await ledger.record_mirrored(mirrored(key(), 42))
        await ledger.record_states([(key(), State.WANTED, "v2")], LATER)
        await ledger.record_failure(key(), State.GONE, failure(key(), Reason.GONE), LATER)
        row = (await ledger.artifacts(RunKey(REPO, "7")))[key()]
        assert (row.state, row.size, row.sha256) == (State.GONE, 42, "ab" * 32)
        assert (row.path, row.attempts, row.first_seen) == ("/".join(key()), 1, NOW)

    play(story)


def test_a_failure_of_an_unknown_artifact_is_recorded(play):
    async def story(ledger):
        await ledger.record_failure(key(), State.REFUSED, failure(key()), NOW)
        row = (await ledger.artifacts(RunKey(REPO, "7")))[key()]
        assert (row.state, row.attempts, row.first_seen) == (State.REFUSED, 1, NOW)

    play(story)


def test_states_keep_what_was_first_seen_and_tried(play):
    async def story(ledger):
        await ledger.record_states([(key(), State.PENDING, "v1")], NOW)
        await ledger.record_failure(key(), State.FAILED, failure(key()), NOW)
        await ledger.record_states(
            [(key(), State.WANTED, "v2"), (key("8"), State.PENDING, "")], LATER
        )
        row = (await ledger.artifacts(RunKey(REPO, "7")))[key()]
        assert (row.state, row.version, row.first_seen) == (State.WANTED, "v2", NOW)
        assert row.attempts == 1
        assert (await ledger.artifacts(RunKey(REPO, "8")))[key("8")].first_seen == LATER

    play(story)


def test_an_artifact_that_is_listed_twice_is_one_row(play):
    async def story(ledger):
        rows = [(key(), State.WANTED, "v1"), (key(), State.WANTED, "v2")]
        await ledger.record_states(rows, NOW)
        assert [row.version for row in (await ledger.artifacts(RunKey(REPO, "7"))).values()] == [
            "v2"
        ]
        assert (await ledger.totals(REPO)).states[State.WANTED] == 1

    play(story)


def test_one_path_in_several_cubes_is_several_artifacts(play):
    async def story(ledger):
        keys = [
            key(cube="linux"),
            key(cube="#git-clone"),
            ArtifactKey(*key()[:3], "b", "uild", "c", "x"),
        ]
        await ledger.record_states([(which, State.WANTED, "") for which in keys], NOW)
        assert list(await ledger.artifacts(RunKey(REPO, "7"))) == keys

    play(story)


def test_forgotten_artifacts_are_gone(play):
    async def story(ledger):
        keys = [key(local_path=str(n)) for n in range(1200)]
        await ledger.record_states([(which, State.WANTED, "") for which in keys], NOW)
        await ledger.forget([*keys[1:], key("8")])
        assert list(await ledger.artifacts(RunKey(REPO, "7"))) == [keys[0]]
        assert (await ledger.totals(REPO)).states[State.WANTED] == 1

    play(story)


def test_what_is_pruned_is_neither_mirrored_nor_lost_and_stays_known(play):
    async def story(ledger):
        keys = [key(local_path=name) for name in "abc"]
        for which in keys:
            await ledger.record_mirrored(mirrored(which, 10, version="v1"))
        await ledger.settle(RunKey(REPO, "7"), "s", 3)
        await ledger.pruning([*keys[:2], key("8"), key(repo=OTHER)])
        assert [row.key for row in await ledger.being_pruned(REPO)] == keys[:2]
        assert await paths(ledger.mirrored()) == ["/".join(keys[2])]
        assert len(await ledger.recent(REPO, 10)) == 1
        await ledger.pruned(keys[:1])
        assert [row.key for row in await ledger.being_pruned(REPO)] == keys[1:2]
        row = (await ledger.artifacts(RunKey(REPO, "7")))[keys[0]]
        assert (row.state, row.path, row.size) == (State.PRUNED, "/".join(keys[0]), 10)
        assert (row.sha256, row.version, row.attempts) == ("ab" * 32, "v1", 0)
        assert await ledger.unwell(RunScope(REPO, "s")) == []
        totals = await ledger.totals(REPO)
        assert totals.states == {
            **dict.fromkeys(State, 0),
            State.MIRRORED: 1,
            State.PRUNING: 1,
            State.PRUNED: 1,
        }
        assert (totals.bytes, totals.last_error) == (10, "")
        assert await ledger.repositories() == [REPO]

    play(story)


def test_what_is_let_go_stays_so_whatever_is_recorded_until_it_is_remembered(play):
    async def story(ledger):
        keys = [key(local_path=name) for name in "abc"]
        await ledger.record_states([(which, State.WANTED, "v1") for which in keys], NOW)
        await ledger.forget_artifacts([*keys[:2], key("8"), key(repo=OTHER)])
        await ledger.record_mirrored(mirrored(keys[0], 10, version="v2"))
        await ledger.record_failure(keys[1], State.FAILED, failure(keys[1]), NOW)
        await ledger.note_artifacts([ArtifactNote(keys[1], State.WANTED)], NOW)
        await ledger.record_states([(keys[1], State.PENDING, "v3")], NOW)
        await ledger.settle(RunKey(REPO, "7"), "s", 0)
        rows = await ledger.artifacts(RunKey(REPO, "7"))
        states = [rows[which].state for which in keys]
        assert states == [State.FORGOTTEN, State.FORGOTTEN, State.WANTED]
        assert (rows[keys[0]].size, rows[keys[0]].version) == (10, "v2")
        assert await ledger.unwell(RunScope(REPO, "s")) == []
        assert (await ledger.totals(REPO)).bytes == 0
        assert await ledger.repositories() == [REPO]
        await ledger.remember_artifacts(
            [(keys[0], State.MIRRORED), (keys[1], State.FAILED), (keys[2], State.MIRRORED)]
        )
        rows = await ledger.artifacts(RunKey(REPO, "7"))
        states = [rows[which].state for which in keys]
        assert states == [State.MIRRORED, State.FAILED, State.WANTED]
        assert (await ledger.totals(REPO)).bytes == 10

    play(story)


def test_what_was_removed_and_let_go_keeps_its_record_and_is_missing_since(play):
    async def story(ledger):
        await ledger.record_mirrored(mirrored(key(), 10))
        await ledger.pruning([key()])
        for at in (NOW, LATER):
            await ledger.end_removal([key(), key("8")], at)
        row = (await ledger.artifacts(RunKey(REPO, "7")))[key()]
        assert (row.state, row.wanted, row.lost_since) == (State.FORGOTTEN, False, NOW)
        assert (row.path, row.size, row.sha256) == ("/".join(key()), 10, "ab" * 32)
        assert (row.here, row.on_record, row.may_stand) == (False, False, False)
        assert await ledger.being_pruned(REPO) == []

    play(story)


def test_rules_of_what_is_let_go_have_an_order_and_replace_what_they_cover(play):
    async def story(ledger):
        run, globs = ForgetScope(REPO, "7"), [ForgetScope(REPO, "7", glob) for glob in "ab"]
        assert (await ledger.forget_rules(REPO)).rules == []
        for scope in (ForgetScope(OTHER), ForgetScope(REPO, "8\x00", "\udcff\\"), *globs, globs[0]):
            await ledger.begin_forgetting(ForgetRule(scope))
        rules = (await ledger.forget_rules(REPO)).rules
        assert [it.scope for it in rules] == [
            ForgetScope(REPO, "8\x00", "\udcff\\"), globs[1], globs[0],
        ]  # fmt: skip
        await ledger.begin_forgetting(ForgetRule(run, deletes=True))
        await ledger.end_forgetting(run)
        await ledger.end_forgetting(ForgetScope(REPO, "9"))
        rules = await ledger.forget_rules(REPO)
        assert rules.rules[1:] == [ForgetRule(run, deletes=True, done=True)]
        assert [it.scope.run for it in rules.unfinished] == ["8\x00"]
        await ledger.remember(globs[0])
        rules = (await ledger.forget_rules(REPO)).rules
        assert rules[2:] == [ForgetRule(globs[0], forgets=False, done=True)]
        await ledger.remember(ForgetScope(REPO))
        assert (await ledger.forget_rules(REPO)).rules == []
        assert len((await ledger.forget_rules(OTHER)).rules) == 1

    play(story)


def test_runs_of_which_something_is_remembered_are_due(play):
    async def story(ledger):
        for run in ("7", "8", "9"):
            await ledger.record_mirrored(mirrored(key(run)))
            await ledger.settle(RunKey(REPO, run), "s", 1)
        await ledger.settle(RunKey(REPO, "9"), "s", None)
        await ledger.begin_forgetting(ForgetRule(ForgetScope(REPO)))
        await ledger.forget_artifacts([key("7")])
        await ledger.remember(ForgetScope(REPO))
        assert await slugs_of_runs(ledger.unsettled(RunScope(REPO, "s"))) == ["9", "7"]
        await ledger.remember(ForgetScope(REPO, "8"))
        await ledger.remember(ForgetScope(OTHER, "8"))
        assert await slugs_of_runs(ledger.unsettled(RunScope(REPO, "s"))) == ["9", "8", "7"]

    play(story)


def test_what_a_settled_run_keeps_is_counted_anew(play):
    async def story(ledger):
        keys = [key(local_path=name) for name in "abc"]
        for which in keys:
            await ledger.record_mirrored(mirrored(which))
        await ledger.note_artifacts([ArtifactNote(keys[2], State.MIRRORED, wanted=False)], NOW)
        run = RunKey(REPO, "7")
        await ledger.settle(run, "s", 2)
        await ledger.forget_artifacts(keys[:1])
        await ledger.recount(run)
        assert await ledger.settled_totals(RunScope(REPO, "s")) == (1, 1)
        await ledger.settle(run, "s", None)
        await ledger.recount(run)
        assert await ledger.settled_totals(RunScope(REPO, "s")) == (0, 0)
        await ledger.look_again(run, LATER)
        await ledger.recount(run)
        assert (await ledger.run(run)).next_look is None
        await ledger.recount(RunKey(REPO, "99"))

    play(story)


def test_pruning_may_be_said_again_and_a_new_download_ends_it(play):
    async def story(ledger):
        await ledger.record_mirrored(mirrored(key(), 10))
        for _ in range(2):
            await ledger.pruning([key()])
        for _ in range(2):
            await ledger.pruned([key()])
        assert await ledger.being_pruned(REPO) == []
        assert (await ledger.totals(REPO)).states[State.PRUNED] == 1
        await ledger.record_mirrored(mirrored(key(), 11))
        totals = await ledger.totals(REPO)
        assert (totals.states[State.PRUNED], totals.states[State.MIRRORED]) == (0, 1)
        assert totals.bytes == 11

    play(story)


def test_a_pruning_that_was_broken_off_is_found_when_the_ledger_is_opened_again(url):
    async def main():
        async with await open_ledger(url, durability="full") as ledger:
            await ledger.record_mirrored(mirrored(key()))
            await ledger.pruning([key()])
        async with await open_ledger(url, durability="full") as ledger:
            assert [row.key for row in await ledger.being_pruned(REPO)] == [key()]
            assert await ledger.being_pruned(OTHER) == []

    if url != "sqlite://":
        asyncio.run(main())


def test_the_most_recent_files_are_those_of_the_newest_runs(play):
    async def story(ledger):
        for run in ("9", "10", "odd"):
            for name in ("a", "b"):
                await ledger.record_mirrored(mirrored(key(run, name)))
        await ledger.record_states([(key("11"), State.WANTED, "")], NOW)
        found = await ledger.recent(REPO, 3)
        assert [(it.run.run, it.path.rpartition("/")[2]) for it in found] == [
            ("10", "a"),
            ("10", "b"),
            ("9", "a"),
        ]
        assert len(await ledger.recent(REPO, 100)) == 6
        assert await ledger.recent(OTHER, 100) == []

    play(story)


def test_mirrored_files_come_by_path_within_their_scope(play):
    async def story(ledger):
        keys = [
            key(run, str(name), repo)
            for run in "12"
            for name in range(300)
            for repo in (REPO, OTHER)
        ]
        files = [
            mirrored(which, path=f"{hash(which) % 1000:03}/{n}") for n, which in enumerate(keys)
        ]
        await asyncio.gather(*(ledger.record_mirrored(file) for file in files))
        await ledger.record_states([(key("1", "missing"), State.WANTED, "")], NOW)
        scopes = [(None, None), (REPO, None), (None, "2"), (OTHER, "1")]
        for repo, run in scopes:
            got = [row.path async for row in ledger.mirrored(repo, run)]
            assert got == sorted(
                file.path
                for file in files
                if repo in (None, file.key.run_key.repo) and run in (None, file.key.run)
            )

    play(story)


def test_a_listing_has_every_state_newest_run_first(play):
    async def story(ledger):
        keys = [key(str(run), str(name)) for run in range(1, 13) for name in range(120)]
        await ledger.record_states([(which, State.PENDING, "") for which in keys], NOW)
        await ledger.note_runs([a_run(99), a_run(5, repo=OTHER)], NOW)
        await ledger.record_mirrored(mirrored(key("5", "x", OTHER)))
        await ledger.record_failure(key("odd"), State.REFUSED, failure(key("odd")), NOW)
        expected = sorted(keys, key=lambda which: (-int(which.run), int(which.local_path)))
        assert [row.key async for row in ledger.listing(REPO)] == [*expected, key("odd")]
        everything = [row.key async for row in ledger.listing()]
        assert everything == [key("5", "x", OTHER), *expected, key("odd")]
        fifth = [row.key async for row in ledger.listing(run="5")]
        assert fifth == [key("5", "x", OTHER), *(which for which in expected if which.run == "5")]

    play(story)


def test_what_is_unwell_in_settled_runs_is_told(play):
    async def story(ledger):
        await ledger.note_runs([a_run(1, created_at=NOW - timedelta(days=9))], NOW)
        await ledger.note_runs([a_run(n) for n in (2, 3, 4)], NOW)
        for run, state in (
            ("1", State.GONE),
            ("2", State.REFUSED),
            ("3", State.FAILED),
            ("4", State.GONE),
        ):
            await ledger.record_failure(key(run), state, failure(key(run)), NOW)
            await ledger.record_mirrored(mirrored(key(run, "well")))
        for run in ("1", "2", "4"):
            await ledger.settle(RunKey(REPO, run), "s", 1)
        assert [row.key.run for row in await ledger.unwell(RunScope(REPO, "s"))] == ["4", "2", "1"]
        assert [row.key.run for row in await ledger.unwell(RunScope(REPO, "s", NOW))] == ["4", "2"]
        assert await ledger.unwell(RunScope(REPO, "other")) == []

    play(story)


def test_totals_count_runs_states_and_bytes(play):
    async def story(ledger):
        await ledger.note_runs([a_run(n) for n in ("9", "10", "odd")], NOW)
        await ledger.settle(RunKey(REPO, "9"), "s", 1)
        await ledger.record_mirrored(mirrored(key("9", "a"), 5 * 2**40))
        await ledger.record_mirrored(mirrored(key("10", "b"), 7, fetched_at=LATER))
        await ledger.record_mirrored(mirrored(key("10", "b"), 8, fetched_at=LATER))
        await ledger.record_mirrored(mirrored(key("10", "b", OTHER), 100))
        states = [State.WANTED, State.PENDING, State.PENDING]
        await ledger.record_states([(key("10", str(n)), s, "") for n, s in enumerate(states)], NOW)
        await ledger.record_failure(key("10", "x"), State.FAILED, failure(key()), NOW)
        assert await ledger.totals(REPO) == Totals(
            REPO,
            runs=3,
            settled=1,
            bytes=5 * 2**40 + 8,
            states={**dict.fromkeys(State, 0), State.WANTED: 1, State.PENDING: 2}
            | {State.MIRRORED: 2, State.FAILED: 1},
            newest_run="10",
            last_mirrored=LATER,
            oldest_verified=NOW,
            last_error="cut short",
        )

    play(story)


def test_bytes_leave_the_totals_with_the_file(play):
    async def story(ledger):
        await ledger.record_mirrored(mirrored(key(), 42))
        await ledger.record_states([(key(), State.WANTED, "")], NOW)
        assert (await ledger.totals(REPO)).bytes == 0
        await ledger.record_mirrored(mirrored(key(), 43))
        assert (await ledger.totals(REPO)).bytes == 43
        await ledger.forget([key()])
        totals = await ledger.totals(REPO)
        assert (totals.bytes, totals.states[State.MIRRORED]) == (0, 0)

    play(story)


def test_the_totals_of_all_are_those_of_each_sorted(play):
    async def story(ledger):
        assert await ledger.all_totals() == []
        await ledger.note_runs([a_run(n) for n in ("9", "10", "odd")], NOW)
        await ledger.settle(RunKey(REPO, "9"), "s", 1)
        await ledger.record_mirrored(mirrored(key("9", "a"), 5 * 2**40))
        await ledger.record_mirrored(mirrored(key("10", "b", OTHER), 100, fetched_at=LATER))
        await ledger.record_failure(key("10", "x"), State.FAILED, failure(key()), NOW)
        empty = RepoName("b", "a")
        await ledger.end_pass(await ledger.begin_pass(empty, NOW), Report(), LATER)
        found = await ledger.all_totals()
        assert found == [await ledger.totals(it) for it in (OTHER, REPO, empty)]
        assert [(it.runs, it.bytes) for it in found] == [(1, 100), (3, 5 * 2**40), (0, 0)]
        assert [it.newest_run for it in found] == ["10", "10", ""]
        assert [it.last_error for it in found] == ["", "cut short", ""]
        assert [it.last_complete for it in found] == [None, None, LATER]

    play(story)


def test_what_vanishes_within_a_time_is_outstanding_and_still_there(play):
    async def story(ledger):
        window = CreationWindow(NOW, LATER)
        moments = {"old": NOW, "due": NOW + timedelta(seconds=1), "last": LATER}
        moments |= {"new": LATER + timedelta(seconds=1), "dateless": None}
        for run, created in moments.items():
            await ledger.note_runs([a_run(run, created_at=created)], NOW)
            rows = [(key(run, str(state)), state, "v") for state in State]
            await ledger.record_states(rows, NOW)
        await ledger.note_runs([a_run("forgotten", created_at=LATER)], NOW)
        await ledger.record_states([(key("forgotten"), State.WANTED, "v")], NOW)
        await ledger.lose_run(RunKey(REPO, "forgotten"), NOW)
        await ledger.note_runs([a_run("1", repo=OTHER)], NOW)
        runs = len(moments)
        counts = Endangered(REPO, 2 * 3, failing=2, expired=runs, gone=runs, lost=runs)
        assert await ledger.endangered(window) == [Endangered(OTHER), counts]
        await ledger.lose_repository(REPO, NOW)
        assert (await ledger.endangered(window))[1].vanishing == 0

    play(story)


def test_kept_repositories_are_those_of_which_more_is_known_than_failures(play):
    async def story(ledger):
        names = ("lost", "here", "pruning", "unwanted", "gone")
        lost, here, pruning, unwanted, gone = (RepoName("acme", name) for name in names)
        for repo in (lost, here, pruning, RepoName("other", "here")):
            await ledger.record_mirrored(mirrored(key("1", repo=repo), 42))
        await ledger.note_runs([a_run(1, repo=gone)], NOW)
        await ledger.record_failure(key("1", repo=gone), State.GONE, failure(key()), NOW)
        await ledger.note_artifacts([ArtifactNote(key("1", repo=unwanted), State.UNWANTED)], NOW)
        await ledger.pruning([key("1", repo=pruning)])
        await ledger.note_lost((await ledger.artifacts(RunKey(lost, "1"))).values(), NOW)
        assert await ledger.kept_repositories("acme") == [here, lost, pruning, unwanted]
        assert await ledger.kept_repositories("nobody") == []

    play(story)


def test_repositories_are_sorted(play):
    async def story(ledger):
        for repo in (RepoName("b", "a"), REPO, OTHER):
            await ledger.raise_horizon(repo, Horizon(1))
        assert await ledger.repositories() == [OTHER, REPO, RepoName("b", "a")]

    play(story)


def test_passes_are_numbered_and_the_last_results_are_told(play):
    async def story(ledger):
        first = await ledger.begin_pass(REPO, NOW)
        second = await ledger.begin_pass(OTHER, NOW)
        assert second > first
        await ledger.end_pass(first, Report(runs=1, found=2, kept=2), NOW)
        third = await ledger.begin_pass(REPO, LATER)
        report = Report(found=1, bytes=2**40, failures=[failure(key(), message="no luck")])
        await ledger.end_pass(third, report, LATER)
        totals = await ledger.totals(REPO)
        assert (totals.last_pass, totals.last_complete) == (LATER, NOW)
        assert totals.last_error == "no luck"
        assert (await ledger.totals(OTHER)).last_pass is None

    play(story)


def test_an_interruption_is_not_the_last_error_of_a_repository(play):
    """Guards what a signal leaves in the ledger: nothing that looks like a fault."""

    async def story(ledger):
        broken_off = failure(key(), reason=Reason.INTERRUPTED, message="stopped")
        no_luck = failure(key(), message="no luck")
        known = []
        for failures in ([broken_off], [no_luck], [broken_off], [no_luck, broken_off], []):
            number = await ledger.begin_pass(REPO, NOW)
            await ledger.end_pass(number, Report(failures=failures), LATER)
            known.append((await ledger.totals(REPO)).last_error)
        assert known == ["", "no luck", "no luck", "no luck", ""]

    play(story)


def test_times_come_back_in_utc_and_exact(play):
    async def story(ledger):
        elsewhere = datetime(2026, 11, 23, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=5)))
        first, last = datetime(1, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
        await ledger.note_runs([a_run(1, created_at=elsewhere, finished_at=first)], last)
        row = await ledger.run(RunKey(REPO, "1"))
        assert (row.created_at, row.finished_at, row.seen_at) == (elsewhere, first, last)
        assert row.created_at.tzinfo is UTC

    play(story)


HOSTILE = [
    "a\x00b",
    "\udc80\ud83d\ude00",
    "back\\slash\\u0000",
    "\\",
    "new\nline\t\x1b[31m",
    "'; DROP TABLE runs; --",
    "имя и пробел",
    "e\u0301",
    "\u00e9",
    "\U0001f600",
    "%s :x ?",
    "",
    " ",
    "long" * 20_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=[ascii(text)[:20] for text in HOSTILE])
def test_any_text_comes_back_as_it_was(play, text):
    async def story(ledger):
        which = ArtifactKey(text or "org", text or "repo", text or "1", text, text, text, text)
        await ledger.note_runs([Run(which.run_key, text, text)], NOW)
        file = mirrored(
            which, path=text[:500] or "x", version=text, etag=text, evidence=(text, "b")
        )
        if len(text) < 1000:
            await ledger.record_mirrored(file)
            row = (await ledger.artifacts(which.run_key))[which]
            assert (row.path, row.version, row.etag) == (file.path, text, text)
            assert row.evidence == (text, "b")
        await ledger.record_failure(which, State.FAILED, failure(which, message=text), NOW)
        assert (await ledger.artifacts(which.run_key))[which].message == text

    def skip_what_postgresql_cannot_index():
        if len(text) > 1000:
            return ArtifactKey(*REPO, "1", text, text, text, text)
        return None

    if (which := skip_what_postgresql_cannot_index()) is None:
        play(story)
        return

    async def long_story(ledger):
        await ledger.record_failure(which, State.FAILED, failure(which, message=text), NOW)
        assert (await ledger.artifacts(which.run_key))[which].message == text

    play(long_story)


def test_hundreds_of_tasks_at_once_lose_nothing(play):
    async def story(ledger):
        keys = [key(str(n % 7), str(n)) for n in range(210)]

        async def one(which):
            await ledger.record_states([(which, State.WANTED, "")], NOW)
            if which.local_path.endswith("3"):
                await ledger.record_failure(which, State.FAILED, failure(which), NOW)
            await ledger.record_mirrored(mirrored(which, 1))
            assert (await ledger.artifacts(which.run_key))[which].state is State.MIRRORED

        await asyncio.gather(*map(one, keys))
        totals = await ledger.totals(REPO)
        assert totals.states == {**dict.fromkeys(State, 0), State.MIRRORED: 210}
        assert totals.bytes == 210

    play(story)


def test_one_write_that_cannot_be_done_fails_alone(play):
    async def story(ledger):
        naive = NOW.replace(tzinfo=None)
        writes = [
            ledger.record_mirrored(mirrored(key(local_path="a"))),
            ledger.record_mirrored(mirrored(key(local_path="bad"), fetched_at=naive)),
            ledger.record_mirrored(mirrored(key(local_path="b"))),
            ledger.look_again(RunKey(REPO, "7"), naive),
            ledger.settle(RunKey(REPO, "7"), "s", 2),
        ]
        results = await asyncio.gather(*writes, return_exceptions=True)
        assert [result is None for result in results] == [True, False, True, False, True]
        assert {k.local_path for k in await ledger.artifacts(RunKey(REPO, "7"))} == {"a", "b"}
        assert (await ledger.totals(REPO)).states[State.MIRRORED] == 2
        row = await ledger.run(RunKey(REPO, "7"))
        assert (row.settled_for, row.looks) == ("s", 0)

    play(story)


def test_a_caller_that_is_cancelled_has_written_all_the_same(play):
    async def story(ledger):
        tasks = [
            asyncio.create_task(ledger.record_mirrored(mirrored(key(local_path=str(n)))))
            for n in range(20)
        ]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert results[1::2] == [None] * 10
        assert len(await ledger.artifacts(RunKey(REPO, "7"))) == 20

    play(story)


def test_closing_commits_what_is_queued_and_may_be_done_twice(url):
    async def main():
        ledger = await open_ledger(url, durability="fast")
        writes = [
            asyncio.create_task(ledger.record_mirrored(mirrored(key(local_path=str(n)))))
            for n in range(50)
        ]
        await asyncio.sleep(0)
        await asyncio.gather(ledger.aclose(), ledger.aclose())
        assert await asyncio.gather(*writes) == [None] * 50
        await ledger.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await ledger.repositories()

    asyncio.run(main())


def test_what_was_written_is_there_when_it_is_opened_again(url):
    async def main():
        async with await open_ledger(url, durability="full") as ledger:
            await ledger.record_mirrored(mirrored(key()))
        async with await open_ledger(url, durability="full", create=False) as ledger:
            assert list(await ledger.artifacts(RunKey(REPO, "7"))) == [key()]

    if url != "sqlite://":
        asyncio.run(main())


def test_reading_only_changes_nothing_whatever_is_called(url):
    if url == "sqlite://":
        pytest.skip("a ledger in memory is a fresh one each time")

    async def rehearse(ledger):
        number = await ledger.begin_pass(REPO, LATER)
        await ledger.note_runs([a_run(7, updated_at=LATER), a_run(8)], LATER)
        assert await slugs(ledger.unsettled(RunScope(REPO, "s"))) == ["7", "8"]
        await ledger.settle(RunKey(REPO, "8"), "s", 0)
        await ledger.note_run(a_run(9, repo=OTHER), LATER)
        await ledger.raise_horizon(OTHER, Horizon(9))
        assert await ledger.claim_layout("other") == "mine"
        await ledger.end_pass(number, Report(), LATER)
        assert await ledger.settled_totals(RunScope(REPO, "s")) == (1, 0)
        assert list(await ledger.artifacts(RunKey(REPO, "7"))) == [key()]
        assert await ledger.repositories() == [OTHER, REPO]

    async def unchanged(ledger):
        assert await ledger.repositories() == [REPO]
        assert await ledger.run(RunKey(REPO, "8")) is None
        assert await ledger.settled_totals(RunScope(REPO, "s")) == (1, 1)
        totals = await ledger.totals(REPO)
        assert (totals.last_pass, totals.runs, totals.settled) == (None, 1, 1)

    async def main():
        async with await open_ledger(url, durability="full") as ledger:
            await ledger.claim_layout("mine")
            await ledger.note_runs([a_run(7)], NOW)
            await ledger.record_mirrored(mirrored(key()))
            await ledger.settle(RunKey(REPO, "7"), "s", 1)
            async with await open_ledger(url, durability="full", read_only=True) as reader:
                await unchanged(reader)
                await rehearse(reader)
            await unchanged(ledger)
        async with await open_ledger(url, durability="full", read_only=True) as reader:
            await rehearse(reader)
            await ledger_refuses(reader)
        async with await open_ledger(url, durability="full", read_only=True) as reader:
            await unchanged(reader)

    async def ledger_refuses(reader):
        with pytest.raises(DiskError, match=r"only|cannot be written"):
            await reader.record_mirrored(mirrored(key(local_path="new")))

    asyncio.run(main())


def test_a_file_that_is_lost_and_put_back_counts_again(play):
    """Whatever was recorded since a row was read counts more."""

    async def story(ledger):
        run, scope = RunKey(REPO, "7"), RunScope(REPO, "s")
        await ledger.note_runs([a_run(7)], NOW)
        await ledger.record_mirrored(mirrored(key(), 42))
        await ledger.settle(run, "s", 1)
        (row,) = (await ledger.artifacts(run)).values()
        await ledger.note_lost([row], LATER)
        await ledger.settle(run, "s", 0)
        (lost,) = await ledger.missing(REPO)
        assert (lost.state, lost.lost_since, lost.sha256) == (State.LOST, LATER, row.sha256)
        assert [it.key async for it in ledger.missing_at(row.path)] == [key()]
        assert [it.key for it in await ledger.unwell(scope)] == [key()]
        assert (await ledger.totals(REPO)).bytes == 0
        await ledger.adopt([replace(lost, sha256="cd" * 32)], LATER)
        assert len(await ledger.missing(REPO)) == 1
        await ledger.adopt([lost], LATER)
        (back,) = (await ledger.artifacts(run)).values()
        assert back == replace(row, verified_at=LATER)
        assert await ledger.settled_totals(scope) == (1, 1)
        assert await ledger.missing(REPO) == []

    play(story)


def test_what_is_said_of_artifacts_is_noted_and_since_when_stays(play):
    async def story(ledger):
        run, scope = RunKey(REPO, "7"), RunScope(REPO, "s")
        gone = ArtifactNote(key(), State.EXPIRED, "v1", upstream=Upstream.GONE)
        await ledger.note_artifacts([gone._replace(state=State.UNWANTED, wanted=False)], NOW)
        (row,) = (await ledger.artifacts(run)).values()
        facts = (row.state, row.wanted, row.upstream, row.gone_since, row.first_seen)
        assert facts == (State.UNWANTED, False, Upstream.GONE, NOW, NOW)
        await ledger.note_artifacts([gone], LATER)
        await ledger.settle(run, "s", 0)
        (row,) = (await ledger.artifacts(run)).values()
        assert (row.state, row.wanted, row.gone_since) == (State.EXPIRED, True, NOW)
        assert (await ledger.expired(scope), await ledger.unwell(scope)) == (1, [])
        await ledger.note_artifacts([gone._replace(upstream=Upstream.LISTED)], LATER)
        (row,) = (await ledger.artifacts(run)).values()
        assert (row.upstream, row.gone_since) == (Upstream.LISTED, None)

    play(story)


def test_a_run_and_a_repository_that_are_forgotten_are_back_when_they_are_listed(play):
    async def story(ledger):
        run = RunKey(REPO, "7")
        await ledger.note_runs([a_run(7)], NOW)
        await ledger.record_mirrored(mirrored(key(), 42))
        await ledger.settle(run, "s", 1)
        await ledger.lose_repository(REPO, NOW)
        await ledger.lose_run(run, LATER)
        (row,) = (await ledger.artifacts(run)).values()
        assert (row.upstream, row.gone_since) == (Upstream.GONE, LATER)
        assert (await ledger.run(run)).gone_since == LATER
        await ledger.note_runs([a_run(7)], LATER)
        (row,) = (await ledger.artifacts(run)).values()
        assert (row.upstream, row.gone_since) == (Upstream.LISTED, None)
        known = await ledger.run(run)
        assert (known.gone_since, known.settled_for) == (None, "")

    play(story)


def told(user="alice", **more):
    workflows = [WorkflowRecord(slug="ci\x00\\\u2028", status="success")]
    return RunRecord(user=Embedded(slug=user), workflows=workflows, **more)


def test_what_was_told_of_a_run_is_kept_until_something_else_is(play):
    run = RunKey(REPO, "7")

    async def story(ledger):
        assert await ledger.record(run) is None
        await ledger.note_runs([a_run(7)], NOW)
        await ledger.note_run(a_run(7, record=told()), NOW)
        assert await ledger.record(run) == told()
        await ledger.settle(run, "s", 1)
        await ledger.note_run(a_run(7, record=told()), LATER)
        await ledger.note_run(a_run(7), LATER)
        assert (await ledger.run(run)).settled_for == "s"
        await ledger.note_run(a_run(7, record=told(error_messages=["no\nroom"])), LATER)
        assert (await ledger.run(run)).settled_for == ""
        await ledger.lose_run(run, LATER)
        assert (await ledger.record(run)).error_messages == ["no\nroom"]
        await ledger.forget_run(run)
        assert await ledger.record(run) is None

    play(story)


def test_another_run_of_the_number_has_a_record_of_its_own(play):
    run = RunKey(REPO, "7")

    async def story(ledger):
        await ledger.note_run(a_run(7, record=told()), NOW)
        await ledger.begin_anew(a_run(7, created_at=LATER), LATER)
        assert await ledger.record(run) is None
        await ledger.begin_anew(a_run(7, record=told("bob"), created_at=LATER), LATER)
        assert (await ledger.record(run)).user.slug == "bob"

    play(story)


def test_a_runs_artifacts_of_every_state_are_listed_in_batches(play):
    async def story(ledger):
        keys = [key(local_path=f"{n:04}") for n in range(1203)]
        await ledger.record_states([(it, State.UNWANTED, "") for it in keys[1:]], NOW)
        await ledger.record_mirrored(mirrored(keys[0]))
        await ledger.record_mirrored(mirrored(key(run="8")))
        found = [row async for row in ledger.each_artifact(RunKey(REPO, "7"))]
        assert sorted(row.key for row in found) == keys
        assert [row.key for row in found if row.here] == keys[:1]
        assert [row async for row in ledger.each_artifact(RunKey(REPO, "99"))] == []

    play(story)


def test_what_was_told_is_read_where_the_ledger_may_only_be_read(url):
    if url == "sqlite://":
        pytest.skip("a ledger in memory is a fresh one each time")
    run = RunKey(REPO, "7")

    async def main():
        async with await open_ledger(url, durability="full") as ledger:
            await ledger.note_run(a_run(7, record=told()), NOW)
        async with await open_ledger(url, durability="full", read_only=True) as ledger:
            assert await ledger.record(run) == told()

    asyncio.run(main())


def found(which, state=State.MIRRORED, **facts):
    """An artifact as a manifest tells of it."""
    facts = {"path": MirrorPath(f"org/repo/7/{which.local_path}"), "size": 5, **facts}
    facts = {"sha256": "a" * 64, "strength": Strength.DIGEST, "evidence": ("etag:md5",), **facts}
    return ArtifactRow(which, state, version="v1", mirrored_at=NOW, **facts)


def test_a_run_is_adopted_whole_with_what_its_manifest_tells(play):
    async def story(ledger):
        run = Run(RunKey(REPO, "7"), "success", "push", NOW, LATER)
        here = found(key(local_path="a"), verified_at=LATER)
        lost = found(key(local_path="b"), State.LOST, lost_since=NOW)
        await ledger.adopt_run(run, [here, lost], LATER)
        rows = await ledger.artifacts(run.key)
        since = {"first_seen": LATER, "created_at": NOW, "verified_at": LATER}
        assert rows[here.key] == replace(here, **since)
        assert rows[lost.key] == replace(lost, **{**since, "verified_at": NOW})
        known = await ledger.run(run.key)
        assert (known.status, known.event, known.complete) == ("success", "push", True)
        assert (known.settled_for, known.creation.at, known.noted) == ("", NOW, False)
        totals = await ledger.totals(REPO)
        assert (totals.states[State.MIRRORED], totals.states[State.LOST]) == (1, 1)
        assert (totals.bytes, totals.last_mirrored) == (5, NOW)

    play(story)


def test_adopting_changes_nothing_of_what_the_ledger_knows(play):
    async def story(ledger):
        run = Run(RunKey(REPO, "7"), "failed", "push", NOW, LATER)
        kept, let_go, wanted = (key(local_path=name) for name in "abc")
        await ledger.note_run(run, NOW)
        await ledger.record_mirrored(mirrored(kept, 7))
        await ledger.record_states([(let_go, State.WANTED, "")], NOW)
        await ledger.forget_artifacts([let_go])
        await ledger.record_failure(wanted, State.GONE, failure(wanted), NOW)
        before = await ledger.artifacts(run.key)
        told = Run(run.key, "success", "manual", LATER)
        await ledger.adopt_run(told, [found(it) for it in (kept, let_go, wanted)], LATER)
        after = await ledger.artifacts(run.key)
        assert after[kept] == before[kept]
        assert after[let_go] == before[let_go]
        row = after[wanted]
        assert (row.state, row.sha256, row.attempts) == (State.MIRRORED, "a" * 64, 0)
        assert (row.upstream, row.reason, row.message) == (Upstream.GONE, "", "")
        known = await ledger.run(run.key)
        assert (known.status, known.event, known.complete) == ("failed", "push", True)
        assert (await ledger.totals(REPO)).states == {
            **dict.fromkeys(State, 0), State.MIRRORED: 2, State.FORGOTTEN: 1,
        }  # fmt: skip

    play(story)


def test_of_what_has_no_file_only_the_unknown_is_adopted(play):
    async def story(ledger):
        run = Run(RunKey(REPO, "7"), "success", "push", NOW, LATER)
        known, let_go, failed, expired = (key(local_path=name) for name in "abcd")
        await ledger.record_states([(known, State.WANTED, "v0")], NOW)
        why = {"reason": "bad_response", "message": "HTTP 500"}
        rows = [
            ArtifactRow(known, State.FORGOTTEN, wanted=False),
            found(let_go, State.FORGOTTEN, wanted=False),  # its file stands
            ArtifactRow(failed, State.FAILED, **why),
            ArtifactRow(expired, State.EXPIRED, upstream=Upstream.GONE),
        ]
        await ledger.adopt_run(run, rows, LATER)
        after = await ledger.artifacts(run.key)
        assert (after[known].state, after[known].version) == (State.WANTED, "v0")
        told = {"first_seen": LATER, "created_at": NOW}
        assert after[let_go] == replace(rows[1], verified_at=NOW, **told)
        assert after[failed] == replace(rows[2], **told)
        assert after[expired] == replace(rows[3], gone_since=LATER, **told)
        assert (await ledger.totals(REPO)).bytes == 0

    play(story)


def test_what_was_verified_longest_ago_comes_first(play):
    """Mirrored counts as verified; what is here no more is in no one's way."""

    async def story(ledger):
        files = {it: mirrored(key(local_path=it), fetched_at=NOW) for it in "abc"}
        files["d"] = mirrored(key(run="8", local_path="d", repo=OTHER), fetched_at=LATER)
        for file in files.values():
            await ledger.record_mirrored(file)

        async def told(before=LATER + DAY, **more):
            return [it.key.local_path async for it in ledger.least_verified(before, **more)]

        rows = {it.key.local_path: it async for it in ledger.listing()}
        assert (await told(), await told(LATER)) == (["a", "b", "c", "d"], ["a", "b", "c"])
        await ledger.note_verified([rows["a"]], LATER)
        await ledger.note_verified([replace(rows["b"], sha256="cd" * 32)], LATER)
        assert (await told(), await told(since=LATER)) == (["b", "c", "a", "d"], ["a", "d"])
        assert await told(repos=[OTHER]) == ["d"]
        assert (await ledger.totals(REPO)).oldest_verified == NOW
        await ledger.note_verified([rows["b"]], LATER + DAY)
        await ledger.note_lost([rows["c"]], NOW)
        assert await told(LATER + 2 * DAY) == ["a", "d", "b"]
        assert (await ledger.totals(REPO)).oldest_verified == LATER
        await ledger.record_mirrored(replace(files["a"], fetched_at=LATER + DAY))
        assert (await ledger.totals(REPO)).oldest_verified == LATER + DAY
        assert [it.oldest_verified for it in await ledger.all_totals()] == [LATER, LATER + DAY]
        oldest = {REPO: LATER + DAY, OTHER: LATER}
        await ledger.note_runs([a_run(1, repo=RepoName("acme", "nothing"))], NOW)
        assert await ledger.oldest_verifications() == oldest
        assert (await ledger.totals(RepoName("acme", "nothing"))).oldest_verified is None

    play(story)


def test_a_reading_that_was_broken_off_is_known_until_the_file_is_verified(play):
    async def story(ledger):
        for each in "abc":
            await ledger.record_mirrored(mirrored(key(local_path=each)))
        rows = [it async for it in ledger.listing()]

        async def told():
            return [it.key.local_path for it in await ledger.broken_off()]

        assert await told() == []
        await ledger.begin_reading(rows[:1], LATER)
        await ledger.begin_reading(rows[1:], NOW)
        assert await told() == ["b", "c", "a"]
        await ledger.begin_reading([rows[1]], LATER + DAY)
        assert await told() == ["c", "a", "b"]
        await ledger.note_verified(rows[:1], LATER)
        await ledger.record_mirrored(mirrored(rows[1].key))
        assert await told() == ["c"]
        unread = ledger.least_verified(LATER + 2 * DAY, unread=True)
        assert {it.key.local_path async for it in unread} == {"a", "b"}

    play(story)
