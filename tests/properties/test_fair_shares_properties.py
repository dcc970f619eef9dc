"""What processes may take together of one limit: never more than that, and none is starved."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifact_sync.fleet.fair_shares import LimitTerms, RateLease, SharedRate

LIMITS = [0.5, 1.0, 2.0, 2.5, 25.0, 1000.0]
CRUMB = 1e-6


class Step(NamedTuple):
    """One process renews after a while, and its answer comes, or is lost, or nothing was done."""

    after: float
    who: int
    want: float
    fate: str


STEPS = st.lists(
    st.builds(
        Step,
        st.floats(0, 5),
        st.integers(0, 4),
        st.floats(0.01, 2000),
        st.sampled_from(["well", "well", "lost before", "lost after", "gives back", "late"]),
    ),
    max_size=25,
)


class Process:
    """Goes by its own clock, which is any number of seconds off, from the moment that it asks."""

    def __init__(self, name: str, ahead: float) -> None:
        self.name, self.ahead = name, ahead
        self.lease = RateLease()

    def at(self, now: float) -> float:
        return self.lease.at(now + self.ahead)


def play(processes: list[Process], steps: list[Step], terms: LimitTerms) -> None:
    now, known = 1e9, SharedRate()
    for step in steps:
        for part in (0.3, 0.9):  # also between the steps
            moment = now + step.after * part
            assert sum(it.at(moment) for it in processes) <= terms.limit + CRUMB
        now += step.after
        process = processes[step.who]
        if step.fate == "gives back":
            process.lease = RateLease()
            known = known.released(process.name, now)
            continue
        asked = now
        now += 0.4 if step.fate == "late" else 0.001
        renewed = known.renewed(process.name, step.want, terms, now)
        lease = renewed.leases[process.name].moved(asked + process.ahead - now)
        old = process.lease
        process.lease = old.lesser(lease)  # as long as it does not know what has become of it
        assert sum(it.at(now) for it in processes) <= terms.limit + CRUMB
        if step.fate != "lost before":
            known = renewed
            assert sum(it.at(now) for it in processes) <= terms.limit + CRUMB
        if step.fate in {"well", "late"}:
            process.lease = lease
        assert sum(it.at(now) for it in processes) <= terms.limit + CRUMB


@settings(max_examples=80, deadline=None)
@given(
    steps=STEPS,
    limit=st.sampled_from(LIMITS),
    whole=st.booleans(),
    clocks=st.lists(st.floats(-3600, 3600), min_size=5, max_size=5),
)
def test_together_they_never_have_more_than_the_limit(
    steps: list[Step], limit: float, *, whole: bool, clocks: list[float]
) -> None:
    processes = [Process(str(number), ahead) for number, ahead in enumerate(clocks)]
    play(processes, steps, LimitTerms(limit, whole))


def taken(limit: float, wants: list[float], *, whole: bool, seconds: int = 60) -> list[float]:
    """What each process may take in a minute in which all renew four times a lease."""
    terms, known = LimitTerms(limit, whole), SharedRate()
    sums, step = [0.0] * len(wants), terms.seconds / 4
    for turn in range(int(4 * seconds / terms.seconds)):
        now = 1e9 + turn * step
        for number, want in enumerate(wants):
            known = known.renewed(str(number), want, terms, now + number * step / 100)
        for number in range(len(wants)):
            sums[number] += known.leases[str(number)].rate * step
    return sums


@pytest.mark.parametrize("number", [2, 3, 5])
@pytest.mark.parametrize(
    ("limit", "whole"), [(0.5, True), (2.0, True), (2.5, True), (25.0, True), (25.0, False)]
)
def test_who_wants_as_much_gets_as_much(limit: float, number: int, *, whole: bool) -> None:
    sums = taken(limit, [1e9] * number, whole=whole, seconds=200)
    even = sum(sums) / number
    assert all(0.7 * even <= it <= 1.3 * even for it in sums), sums
    least = 0.95 if limit > 5 * number else 0.45  # more may wait than are served in a second
    assert sum(sums) >= least * 200 * limit


def test_who_asks_much_does_not_starve_who_asks_little() -> None:
    much, little = taken(100.0, [1e9, 5.0], whole=False)
    assert little >= 5 * 55
    assert much >= 90 * 55


def test_who_has_the_limit_alone_has_all_of_it() -> None:
    assert SharedRate().renewed("a", 0.1, LimitTerms(2.5, whole=True), 1e9).leases["a"].rate == 2.5


def test_a_process_that_is_gone_keeps_back_a_share_for_a_while_and_then_nothing() -> None:
    terms, known = LimitTerms(30.0), SharedRate()
    known = known.renewed("dead", 30.0, terms, 1e9)
    assert known.renewed("new", 30.0, terms, 1e9 + 0.5).leases["new"].rate == 0
    assert known.renewed("new", 30.0, terms, 1e9 + 1.5).leases["new"].rate == 15
    assert known.renewed("new", 30.0, terms, 1e9 + 17).leases["new"].rate == 30


def test_a_server_whose_clock_is_set_back_does_not_keep_back_anything_for_long() -> None:
    terms = LimitTerms(30.0)
    known = SharedRate().renewed("old", 30.0, terms, 1e9)
    assert known.renewed("new", 30.0, terms, 1e9 - 3600).leases["new"].rate == 30


def test_nobody_begins_with_what_another_may_just_have_taken() -> None:
    terms = LimitTerms(10.0)
    known = SharedRate().renewed("a", 10.0, terms, 1e9)
    assert known.unused("b", 1e9 + 2) == 0
    assert known.released("a", 1e9 + 2).unused("b", 1e9 + 5) == 3
    assert SharedRate().unused("b", 1e9) == 1e9
