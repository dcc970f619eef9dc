from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from artifact_sync.daemon.schedule.agenda import Agenda
from artifact_sync.daemon.schedule.turns import (
    Ended,
    Interval,
    Moment,
    OutageBegan,
    OutageEnded,
    PassVerdict,
    RepoFailing,
    RepoRecovered,
    Why,
)
from artifact_sync.domain.cron import Cron
from artifact_sync.domain.model import RepoName

REPOS = [RepoName("o", name) for name in "abcd*"]
RHYTHMS = [Interval(300), Interval(7200), Cron("*/7 * * * *", UTC), Cron("30 2 * * *", UTC)]
LONGEST = 86_400.0
"""Seconds that any of the rhythms may let pass."""


class AnyDay(RuleBasedStateMachine):
    """Whatever happens, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.wall = datetime(2026, 3, 1, tzinfo=UTC)
        self.running: set[RepoName] = set()
        self.owed: set[RepoName] = set()
        """Woken since their last pass began."""
        self.assigned: set[RepoName] = set()
        self.out = False
        self.failing: set[RepoName] = set()

    @property
    def moment(self) -> Moment:
        return Moment(self.now, self.wall)

    @initialize(seed=st.integers(0, 1000), count=st.integers(1, 5))
    def begin(self, seed: int, count: int) -> None:
        self.agenda = Agenda(random.Random(seed))  # noqa: S311
        self.assign([RHYTHMS[number % 4] if number < count else None for number in range(5)])

    @rule(rhythms=st.lists(st.sampled_from([*RHYTHMS, None]), min_size=5, max_size=5))
    def assign(self, rhythms: list[Interval | Cron | None]) -> None:
        repos = {it: rhythm for it, rhythm in zip(REPOS, rhythms, strict=True) if rhythm}
        self.agenda.assign(repos, self.moment)
        # One that is taken away while it runs, and comes back, is none that was lost
        self.assigned = set(repos)
        self.owed &= self.assigned | self.running
        self.failing &= self.assigned | self.running

    @rule(repo=st.sampled_from(REPOS), run=st.sampled_from([None, "1", "2"]), eager=st.booleans())
    def wake(self, repo: RepoName, run: str | None, eager: bool) -> None:  # noqa: FBT001
        woken = self.agenda.wake(repo, Why.WEBHOOK, self.moment, run=run, eager=eager)
        assert woken == (repo in self.assigned)
        if woken:
            self.owed.add(repo)

    @rule(room=st.integers(0, 4), busy=st.sets(st.sampled_from(REPOS), max_size=2))
    def take(self, room: int, busy: set[RepoName]) -> None:
        waits = self.agenda.next_in(self.moment)
        turns = [turn.repo for turn in self.agenda.take(self.moment, room, busy)]
        assert len(turns) == len(set(turns)) <= room
        assert not set(turns) & (self.running | busy)
        assert set(turns) <= self.assigned
        assert not turns or waits == 0
        assert not (self.out and len(turns) > 1)
        self.running |= set(turns)
        self.owed -= set(turns)

    @rule(
        which=st.integers(0, 4),
        verdict=st.sampled_from(PassVerdict),
        finished=st.sets(st.sampled_from(["1", "2"])),
        again=st.none() | st.floats(-1e5, 1e5),
    )
    def end(
        self, which: int, verdict: PassVerdict, finished: set[str], again: float | None
    ) -> None:
        if not self.running:
            return
        repo = sorted(self.running)[which % len(self.running)]
        again_at = None if again is None else self.wall + timedelta(seconds=again)
        ended = Ended(verdict, "it is so", tuple(finished), again_at)
        self.note(self.agenda.ended(repo, ended, self.moment))
        self.running.discard(repo)
        if repo not in self.assigned:
            self.owed.discard(repo)
            self.failing.discard(repo)

    @rule(repo=st.sampled_from(REPOS))
    def answered(self, repo: RepoName) -> None:
        self.note(self.agenda.answered(repo, self.moment))

    def note(self, notices: tuple[object, ...]) -> None:
        """What begins and ends is said in turns."""
        for notice in notices:
            match notice:
                case OutageBegan():
                    assert not self.out
                    self.out = True
                case OutageEnded(seconds=seconds):
                    assert self.out
                    assert seconds >= 0
                    self.out = False
                case RepoFailing(repo):
                    assert repo not in self.failing
                    self.failing.add(repo)
                case RepoRecovered(repo, after):
                    assert repo in self.failing
                    assert after >= 0
                    self.failing.discard(repo)

    @rule(seconds=st.floats(0, 1e5) | st.floats(0, 2), drift=st.floats(-1, 1))
    def wait(self, seconds: float, drift: float) -> None:
        self.now += seconds
        self.wall += timedelta(seconds=seconds + drift)

    @rule(seconds=st.floats(-1e7, 1e7))
    def jump(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)

    @rule()
    def sleep_as_told(self) -> None:
        """Who sleeps as long as ``next_in`` says finds something to begin, soon at the latest."""
        for _ in range(3):
            waits = self.agenda.next_in(self.moment)
            if waits is None:
                return
            self.now += waits
            self.wall += timedelta(seconds=waits)
            before = len(self.running)
            self.take(4, set())
            if len(self.running) > before:
                return
        # Only a time of cron may be put off, by as much as the clocks drift
        waits = self.agenda.next_in(self.moment)
        assert waits is not None
        assert waits <= LONGEST

    @invariant()
    def none_is_lost(self) -> None:
        states = {it.repo: it for it in self.agenda.states(self.moment)}
        assert set(states) == self.assigned
        for repo, it in states.items():
            assert it.running == (repo in self.running)
            assert (it.due_in is None) == it.running
            if it.due_in is not None:
                assert math.isfinite(it.due_in)
                assert 0 <= it.due_in <= LONGEST + 1
            if it.why is Why.RETRY and it.due_in is not None:
                assert it.due_in <= 3600

    @invariant()
    def every_wake_is_owed_a_pass_soon(self) -> None:
        for it in self.agenda.states(self.moment):
            if it.repo in self.owed and not it.running:
                assert it.due_in is not None
                assert it.due_in <= 1.0 + 1e-6

    @invariant()
    def something_always_follows(self) -> None:
        waits = self.agenda.next_in(self.moment)
        idle = self.assigned - self.running
        if waits is None or not idle:
            assert waits is None
            assert not idle or (self.out and self.running)
        else:
            assert 0 <= waits <= (300 if self.out else LONGEST + 1)
        assert self.agenda.outage.reachable == (not self.out)


TestAnyDay = AnyDay.TestCase
TestAnyDay.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
