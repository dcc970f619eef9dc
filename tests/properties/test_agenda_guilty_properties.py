"""However many repositories are in trouble of their own, the others are looked at in time."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from artifact_sync.daemon.schedule.agenda import Agenda
from artifact_sync.daemon.schedule.turns import (
    Ended,
    Interval,
    Moment,
    Notice,
    OutageBegan,
    OutageEnded,
    PassVerdict,
    RepoFailing,
)
from artifact_sync.domain.model import RepoName

INTERVAL = 300.0
TOOK = 0.2
LATEST = INTERVAL + 15.0
"""An outage that was none is over after five seconds."""
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class World:
    """Passes over repositories of which some are guilty: they never end well, after so long."""

    guilty: dict[RepoName, tuple[PassVerdict, float]]
    agenda: Agenda
    now: float = 0.0
    out: PassVerdict | None = None
    """What all of them meet."""
    running: dict[RepoName, float] = field(default_factory=dict)
    looked: dict[RepoName, float] = field(default_factory=dict)
    worst: float = 0.0
    notices: list[Notice] = field(default_factory=list)

    @property
    def moment(self) -> Moment:
        return Moment(self.now, START + timedelta(seconds=self.now))

    def live(self, seconds: float) -> None:
        """Let time pass, from event to event."""
        end = self.now + seconds
        while self.now < end:
            for turn in self.agenda.take(self.moment, 100):
                self.running[turn.repo] = self.now + self.guilty.get(turn.repo, (None, TOOK))[1]
            due = self.agenda.next_in(self.moment)
            coming = [*self.running.values(), end, *([] if due is None else [self.now + due])]
            self.now = max(min(coming), self.now + 1e-3)
            for repo in [it for it, at in self.running.items() if at <= self.now]:
                self.end(repo)

    def end(self, repo: RepoName) -> None:
        del self.running[repo]
        verdict = self.out or self.guilty.get(repo, (PassVerdict.WELL, 0.0))[0]
        self.notices += self.agenda.ended(repo, Ended(verdict, str(verdict)), self.moment)
        if repo not in self.guilty:
            self.worst = max(self.worst, self.now - self.looked.get(repo, 0.0))
            self.looked[repo] = self.now


TROUBLES = st.tuples(
    st.sampled_from([PassVerdict.UNREACHABLE, PassVerdict.REFUSED, PassVerdict.FAILED]),
    st.sampled_from([0.0, TOOK, 5.0, 60.0]),
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """One repository at least is none of the guilty."""
    troubles = draw(st.lists(st.none() | TROUBLES, min_size=1, max_size=9))
    repos = [RepoName("o", str(number)) for number in range(len(troubles) + 1)]
    order = draw(st.permutations(repos))
    guilty = {repo: it for repo, it in zip(repos, troubles, strict=False) if it is not None}
    world = World(guilty, Agenda(random.Random(draw(st.integers(0, 99)))))  # noqa: S311
    world.agenda.assign(dict.fromkeys(order, Interval(INTERVAL)), world.moment)
    return world


@settings(max_examples=150, deadline=None)
@given(world=worlds())
def test_beside_guilty_ones_every_other_is_looked_at_within_about_its_interval(
    world: World,
) -> None:
    world.live(3 * 3600)
    assert world.worst <= LATEST
    failing = [it.repo for it in world.notices if isinstance(it, RepoFailing)]
    assert sorted(failing) == sorted(world.guilty)
    assert sum(isinstance(it, OutageBegan) for it in world.notices) <= len(world.guilty)


@settings(max_examples=100, deadline=None)
@given(world=worlds(), kind=st.sampled_from([PassVerdict.UNREACHABLE, PassVerdict.REFUSED]))
def test_beside_guilty_ones_a_real_outage_is_noticed_with_the_first_look_and_said_once(
    world: World, kind: PassVerdict
) -> None:
    world.live(3600)
    world.notices.clear()
    world.out = kind
    world.live(LATEST)
    assert not world.agenda.outage.reachable
    world.out = None
    world.live(2 * INTERVAL)
    assert world.agenda.outage.reachable
    said = [it for it in world.notices if isinstance(it, OutageBegan | OutageEnded)]
    assert [(type(it), it.kind) for it in said] == [(OutageBegan, kind), (OutageEnded, kind)]
