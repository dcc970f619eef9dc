"""The scheduling state of one repository."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING

from artifact_sync.daemon.schedule.turns import (
    Due,
    PassVerdict,
    RepoFailing,
    RepoRecovered,
    RunGivenUp,
    Turn,
    Why,
    due_after,
    retry_delay,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from random import Random

    from artifact_sync.daemon.schedule.turns import EarlierTurn, Ended, Moment, Notice, Rhythm
    from artifact_sync.domain.model import RepoName

PATIENCE = 900.0
"""Seconds for an announced run to appear, from the first pass that did not find it."""
_LONGEST = 300.0
_MOST = 256
"""Runs to wait for at the same time; the list of runs shows the others."""


@dataclass(slots=True)
class _Awaited:
    """An announced run. Times are monotonic."""

    asked: bool = False
    """Whether a turn has looked for it."""
    looks: int = 0
    """Passes that did not find it."""
    since: float = 0.0
    due: float = 0.0

    def missed(self, now: float) -> bool:
        """Note a pass that did not find its runs; return those given up."""
        if not self.looks:
            self.since = now
        if now - self.since >= PATIENCE:
            return False
        if not self.looks or now >= self.due:
            self.due = min(now + min(_LONGEST, 2.0**self.looks), self.since + PATIENCE)
            self.looks += 1
        return True


class AnnouncedRuns:
    """Runs to wait for, looked for after 1, 2, 4, … 300 seconds."""

    def __init__(self) -> None:
        self._runs: dict[str, _Awaited] = {}

    @property
    def runs(self) -> tuple[str, ...]:
        """All of them, in the order of their announcement."""
        return tuple(self._runs)

    @property
    def due(self) -> float | None:
        """When to look for one of them again; None: there is none."""
        return min((it.due for it in self._runs.values()), default=None)

    def add(self, run: str) -> None:
        """Add a run that a webhook has announced."""
        if len(self._runs) < _MOST:
            self._runs.setdefault(run, _Awaited())

    def ask(self) -> tuple[str, ...]:
        """All of them, for a turn that begins to look for them."""
        for awaited in self._runs.values():
            awaited.asked = True
        return self.runs

    def finished(self, runs: Iterable[str]) -> None:
        """Stop waiting for these."""
        for run in runs:
            self._runs.pop(run, None)

    def missed(self, now: float) -> tuple[str, ...]:
        """Note that a pass did not find its runs; return those given up."""
        asked = [(run, awaited) for run, awaited in self._runs.items() if awaited.asked]
        given_up = tuple(run for run, awaited in asked if not awaited.missed(now))
        self.finished(given_up)
        return given_up


_APART = 1.0
"""Seconds between the begins of two passes over one repository, so that a flood of webhooks does
not use up all requests."""
_TICK = 0.01
"""The shortest wait in seconds, where the clocks differ by less."""
_SOONEST = 1.0
"""Seconds after a pass before something outstanding is checked again."""


@dataclass(slots=True)
class RepositorySchedule:
    """A repository. Changed by ``Agenda`` only, which also queues it."""

    repo: RepoName
    rhythm: Rhythm
    due: Due
    """When and why it is due, unless it is woken; while it runs, why it was begun."""
    woken: Why | None = None
    eager: bool = False
    turn: Turn | None = None
    """The turn that runs."""
    began: Moment | None = None
    """When the last turn began."""
    removed: bool = False
    """No longer scheduled; dropped when its turn ends."""
    failures: int = 0
    """Failed turns in a row."""
    failing_since: float = 0.0
    setbacks: int = 0
    """Failed turns in a row since it was last woken; the delay grows with them."""
    reported: bool = False
    """Whether it was reported as failing."""
    error: str = ""
    late_since: float | None = None
    """When it was due for a turn that failed because of the service."""
    announced: AnnouncedRuns = field(default_factory=AnnouncedRuns)
    well_at: float = -inf
    """When a turn last succeeded."""
    stumbled_at: float = -inf
    """When its last turn failed and the service had not answered; -inf: it had."""
    blamed: bool = False
    """Whether that failure is its own: the service has answered others since."""

    @property
    def credible(self) -> bool:
        """Whether its failure would indicate an outage: the service answered its last turn."""
        return self.stumbled_at == -inf

    @property
    def probe_order(self) -> tuple[float, float]:
        """Sort key for choosing whom to probe with: most recently successful first."""
        return (self.stumbled_at, -self.well_at)

    @property
    def why(self) -> Why:
        """Why it runs, or is due next."""
        return self.turn.why if self.turn is not None else self.woken or self.due.why

    def wake(self, why: Why, run: str | None, *, eager: bool) -> None:
        """Make it due now. The first reason is kept."""
        self.woken = self.woken or why
        self.eager |= eager
        if run is not None:
            self.announced.add(run)

    def take_up(self, turn: EarlierTurn) -> None:
        """Remember what another process knew before its turn ended."""
        for run in turn.announced:
            self.announced.add(run)
        self.failures = self.setbacks = max(turn.failures - 1, 0)
        self.reported = self.failures > 0

    def is_early(self, moment: Moment) -> bool:
        """Whether its cron time is still to come; then it is due then."""
        wall = self.due.wall
        if self.woken is not None or wall is None or wall <= moment.wall:
            return False
        self.due = replace(self.due, at=moment.monotonic + max(_TICK, moment.until(wall)))
        return True

    def begin(self, moment: Moment) -> Turn:
        """Begin its turn, which also serves those that woke it."""
        turn = Turn(self.repo, self.why, self.eager, self.announced.ask())
        if self.woken is not None:
            self.due = Due(moment.monotonic, self.woken)
            self.setbacks = 0
        self.turn, self.began = turn, moment
        self.woken, self.eager = None, False
        return turn

    def not_before(self, at: float) -> float:
        """The time ``at``, or later if too close to the last turn."""
        return at if self.began is None else max(at, self.began.monotonic + _APART)

    def over(self, ended: Ended, now: float) -> None:
        """End its turn. A failed eager turn leaves the next one eager."""
        if ended.verdict is not PassVerdict.WELL and self.turn is not None:
            self.eager |= self.turn.eager
        if ended.verdict in SERVICE or ended.verdict is PassVerdict.UNASKED:
            self.stumbled_at = now
        else:
            self.stumbled_at, self.blamed = -inf, False
        self.turn = None
        self.error = ended.error
        self.announced.finished(ended.finished)

    def well(self, ended: Ended, moment: Moment, rng: Random) -> Iterator[Notice]:
        """Its turn succeeded: due by interval or cron, or earlier for what is outstanding."""
        if self.reported:
            yield RepoRecovered(self.repo, moment.monotonic - self.failing_since)
        self.failures = self.setbacks = 0
        self.reported, self.late_since = False, None
        self.well_at = moment.monotonic
        for run in self.announced.missed(moment.monotonic):
            yield RunGivenUp(self.repo, run)
        self.due = min(self._coming(ended, moment, rng), key=lambda due: due.at)

    def _coming(self, ended: Ended, moment: Moment, rng: Random) -> Iterator[Due]:
        yield due_after(self.rhythm, self.began or moment, moment, rng)
        if ended.again_at is not None:
            delay = max(_SOONEST, moment.until(ended.again_at))
            yield Due(moment.monotonic + delay, Why.OUTSTANDING)
        if self.announced.due is not None:
            yield Due(self.announced.due, Why.WEBHOOK)

    def failed(self, moment: Moment, rng: Random) -> None:
        """Its turn failed by its own fault: due after a growing delay."""
        if not self.failures and not self.reported:
            self.failing_since = moment.monotonic
        self.failures += 1
        self.setbacks += 1
        self.late_since = None
        delay = retry_delay(self.rhythm, self.setbacks, rng)
        self.due = Due(moment.monotonic + delay, Why.RETRY)

    def report_failing(self) -> Iterator[Notice]:
        """A notice that it is failing, once."""
        if self.failures and not self.reported:
            self.reported = True
            yield RepoFailing(self.repo, self.error)

    def blame(self) -> Iterator[Notice]:
        """Note that its failure is its own: the service has answered others since."""
        self.blamed = True
        yield from self.report_failing()

    def put_back(self, now: float) -> None:
        """Its turn failed because of the service: still due, behind those that waited longer."""
        if self.late_since is None:
            self.late_since = min(now, self.due.at)
        self.due = Due(now, self.due.why)

    def lost(self, now: float) -> None:
        """Its turn has vanished: due, and as eager as it was."""
        self.eager |= self.turn is not None and self.turn.eager
        self.turn = None
        self.due = Due(now, self.due.why)

    def acquit(self, now: float) -> None:
        """Its last failures were because of the service, too."""
        self.failures = self.setbacks = 0
        self.put_back(now)

    def follow(self, rhythm: Rhythm, moment: Moment, rng: Random) -> None:
        """Use another interval or cron, without an immediate turn."""
        self.rhythm = rhythm
        if self.due.at <= moment.monotonic or self.due.why not in _REGULAR:
            return
        due = due_after(rhythm, self.began or moment, moment, rng)
        if due.at <= moment.monotonic:
            due = due_after(rhythm, moment, moment, rng)
        self.due = due if self.due.why is not Why.OUTSTANDING else min(due, self.due, key=_at)

    def clock_gained(self, seconds: float, now: float) -> None:
        """Handle a forward jump: what was missed is due, once."""
        if self.began is not None:
            self.began = replace(self.began, monotonic=self.began.monotonic - seconds)
        caught = self.due.at > now >= self.due.at - seconds
        why = Why.CATCH_UP if caught else self.due.why
        self.due = replace(self.due, at=self.due.at - seconds, why=why)

    def clock_set_back(self, moment: Moment, rng: Random) -> None:
        """After the wall clock is set back, recompute cron; anything already due stays due."""
        if self.due.wall is None:
            return
        if self.due.at <= moment.monotonic:
            self.due = replace(self.due, wall=None)
        else:
            self.due = due_after(self.rhythm, moment, moment, rng)


SERVICE = frozenset({PassVerdict.UNREACHABLE, PassVerdict.REFUSED})
"""Verdicts that may be about the service and not the repository."""
_REGULAR = frozenset({Why.INTERVAL, Why.CRON, Why.OUTSTANDING})


def _at(due: Due) -> float:
    return due.at
