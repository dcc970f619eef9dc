"""Whatever is recorded in whatever order, the ledger agrees with a plain model of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifact_sync.domain.errors import Reason
from artifact_sync.domain.model import (
    ArtifactKey,
    Failure,
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
from artifact_sync.ledger.sql.encoding import (
    read_moment,
    read_names,
    read_text,
    stored_moment,
    stored_names,
    stored_text,
)

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
REPO = RepoName("acme", "widgets")

texts = st.text(st.characters(exclude_categories=()))
times = st.datetimes(timezones=st.timezones()).filter(lambda it: 1 < it.year < 9999)
keys = st.builds(
    lambda run, name: ArtifactKey(*REPO, run, "w", "t", "c", name),
    st.sampled_from(["1", "2", "x"]),
    st.sampled_from(["a", "b", "\udc80", "\x00"]),
)
steps = st.one_of(
    st.tuples(st.just("mirrored"), keys, st.integers(0, 2**50)),
    st.tuples(st.just("state"), keys, st.sampled_from([State.WANTED, State.PENDING])),
    st.tuples(st.just("failure"), keys, st.sampled_from([State.FAILED, State.GONE, State.REFUSED])),
    st.tuples(st.just("pruning"), keys, st.sampled_from([State.PRUNING, State.PRUNED])),
    st.tuples(st.just("let go"), keys, st.booleans()),
    st.tuples(st.just("remember"), keys, st.sampled_from([State.MIRRORED, State.LOST])),
    st.tuples(st.just("forget"), keys, st.none()),
)
run_steps = st.tuples(
    st.sampled_from(["note", "change", "settle", "look", "unsettle"]),
    st.integers(1, 6),
    st.sampled_from(["s", "t"]),
)


@given(texts)
def test_any_text_is_stored_without_what_databases_refuse_and_comes_back(text):
    stored = stored_text(text)
    stored.encode()
    assert "\x00" not in stored
    assert read_text(stored) == text


@given(texts, texts)
def test_different_texts_are_stored_differently(one, other):
    assert (stored_text(one) == stored_text(other)) == (one == other)


@given(st.lists(texts).map(tuple))
def test_any_texts_come_back_in_their_order(names):
    stored = stored_names(names)
    stored.encode()
    assert read_names(stored) == names


@given(times, times)
def test_the_order_of_times_is_the_order_of_their_texts(one, other):
    first, second = map(stored_moment, (one, other))
    assert (first < second) == (one.astimezone(UTC) < other.astimezone(UTC))
    assert len(first) == len(second) == 27
    assert read_moment(first) == one.astimezone(UTC)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def fresh(request):
    """Makes the URL of an empty ledger."""
    if request.param == "sqlite":
        return lambda: "sqlite://"
    return request.getfixturevalue("postgres").ledger


async def recorded(ledger, step):
    match step:
        case ("mirrored", key, size):
            file = Mirrored(key, MirrorPath("p"), size, "", Strength.NONE, ())
            await ledger.record_mirrored(file)
        case ("state", key, state):
            await ledger.record_states([(key, state, "")], EPOCH)
        case ("failure", key, state):
            await ledger.record_failure(key, state, Failure.of(key, Reason.CUT, "cut"), EPOCH)
        case ("pruning", key, state):
            await (ledger.pruning if state is State.PRUNING else ledger.pruned)([key])
        case ("let go", key, removed):
            work = ledger.end_removal([key], EPOCH) if removed else ledger.forget_artifacts([key])
            await work
        case ("remember", key, state):
            await ledger.remember_artifacts([(key, state)])
        case (_, key, _):
            await ledger.forget([key])


@settings(max_examples=40, deadline=None)
@given(story=st.lists(steps, max_size=30))
def test_counts_are_those_of_the_artifacts(fresh, story):
    held = {}

    async def take(ledger, step):
        verb, key, what = step
        state, size = held.get(key, (None, 0))
        stays = state is State.FORGOTTEN
        if verb == "mirrored":
            held[key] = (state if stays else State.MIRRORED, what)
        elif verb == "forget":
            held.pop(key, None)
        elif verb in {"state", "failure"}:
            held[key] = (state if stays else what, size)
        elif (verb == "remember" and stays) or (verb in {"pruning", "let go"} and key in held):
            held[key] = (State.FORGOTTEN if verb == "let go" else what, size)
        await recorded(ledger, step)

    async def main():
        async with await open_ledger(fresh(), durability="fast") as ledger:
            await asyncio.gather(*(take(ledger, step) for step in story))
            rows = {row.key: row.state async for row in ledger.listing()}
            assert rows == {key: state for key, (state, _) in held.items()}
            totals = await ledger.totals(REPO)
            counted = Counter(state for state, _ in held.values())
            assert totals.states == {state: counted[state] for state in State}
            assert totals.bytes == sum(n for state, n in held.values() if state is State.MIRRORED)

    asyncio.run(main())


@settings(max_examples=40, deadline=None)
@given(story=st.lists(run_steps, max_size=30))
def test_a_run_is_either_settled_for_a_selection_or_listed_as_unsettled(fresh, story):
    settled, version = {}, Counter()

    async def take(ledger, step):
        verb, number, selection = step
        key = RunKey(REPO, str(number))
        if verb in {"note", "change"}:
            version[number] += verb == "change"
            if verb == "change" or number not in settled:
                settled[number] = ""
            updated = EPOCH + timedelta(days=version[number])
            await ledger.note_runs([Run(key, "success", updated_at=updated)], EPOCH)
        elif number in settled and verb == "settle":
            settled[number] = selection
            await ledger.settle(key, selection, number)
        elif number in settled:
            settled[number] = ""
            await (ledger.unsettle(key) if verb == "unsettle" else ledger.look_again(key, EPOCH))

    async def main():
        async with await open_ledger(fresh(), durability="fast") as ledger:
            await asyncio.gather(*(take(ledger, step) for step in story))
            for selection in ("s", "t"):
                done = [number for number, what in settled.items() if what == selection]
                scope = RunScope(REPO, selection)
                assert await ledger.settled_totals(scope) == (len(done), sum(done))
                left = [int(row.key.run) async for row in ledger.unsettled(scope)]
                # None has a date, so the newest comes first.
                assert left == sorted(set(settled) - set(done), reverse=True)

    asyncio.run(main())
