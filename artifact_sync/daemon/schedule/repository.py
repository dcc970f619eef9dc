"""One repository on the agenda: what is known of it, and when it is due after a turn. No clock."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING

from artifact_sync.daemon.schedule.announced_runs import Announced
from artifact_sync.daemon.schedule.intervals import Due, due_after, retry_delay
from artifact_sync.daemon.schedule.notices import RepoFailing, RepoRecovered, RunGivenUp
from artifact_sync.daemon.schedule.turns import PassVerdict, Turn, Why

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from artifact_sync.daemon.schedule.clocks import Moment
    from artifact_sync.daemon.schedule.intervals import Rhythm
    from artifact_sync.daemon.schedule.notices import Notice
    from artifact_sync.daemon.schedule.turns import Ended
    from artifact_sync.domain.model import RepoName

_APART = 1.0
"""Seconds between the begins of two passes over one repository, so that a flood of webhooks does
not take all the requests there are."""
_TICK = 0.01
"""Seconds that are waited for at the least, where the clocks differ by less."""
_SOONEST = 1.0
"""Seconds after a pass before which nothing outstanding is looked at again."""


@dataclass(slots=True)
class RepositorySchedule:
    """A repository. Changed by the agenda alone, which also knows its place in the order."""

    repo: RepoName
    rhythm: Rhythm
    due: Due
    """Why and when, unless it is woken; while it runs: why it was begun."""
    woken: Why | None = None
    eager: bool = False
    turn: Turn | None = None
    """What was begun and has not ended."""
    began: Moment | None = None
    """When the last turn was begun."""
    removed: bool = False
    """None of ours any more; only its last turn is waited for."""
    failures: int = 0
    """Looks in a row that could not be carried out."""
    failing_since: float = 0.0
    setbacks: int = 0
    """Like ``failures``, but since it was last woken: makes the delay grow."""
    told: bool = False
    """That it is failing has been said."""
    error: str = ""
    late_since: float | None = None
    """When it was due for a look that found no service."""
    announced: Announced = field(default_factory=Announced)
    well_at: float = -inf
    """When it was last looked at."""
    stumbled_at: float = -inf
    """When its last look found no service, or a refused token; never: it did not."""
    blamed: bool = False
    """That the last look found no service is its own trouble: others were answered since."""

    @property
    def credible(self) -> bool:
        """Whether it can bear witness to an outage: the service answered its last look."""
        return self.stumbled_at == -inf

    @property
    def hopeless(self) -> tuple[float, float]:
        """How little hope there is that the service will answer it; the least comes first."""
        return (self.stumbled_at, -self.well_at)

    @property
    def why(self) -> Why:
        """Why it runs, or will be looked at next."""
        return self.turn.why if self.turn is not None else self.woken or self.due.why

    def wake(self, why: Why, run: str | None, *, eager: bool) -> None:
        """Somebody wants it looked at; the first one's reason stays."""
        self.woken = self.woken or why
        self.eager |= eager
        if run is not None:
            self.announced.add(run)

    def is_early(self, moment: Moment) -> bool:
        """Whether cron's time has not come by the wall clock, though the clocks differ little.

        Then it waits for the rest.
        """
        wall = self.due.wall
        if self.woken is not None or wall is None or wall <= moment.wall:
            return False
        self.due = replace(self.due, at=moment.monotonic + max(_TICK, moment.until(wall)))
        return True

    def begin(self, moment: Moment) -> Turn:
        """Its turn has come; the woken are served by it."""
        turn = Turn(self.repo, self.why, self.eager, self.announced.ask())
        if self.woken is not None:
            self.due = Due(moment.monotonic, self.woken)
            self.setbacks = 0
        self.turn, self.began = turn, moment
        self.woken, self.eager = None, False
        return turn

    def not_before(self, at: float) -> float:
        """A time for its next turn, not too close to the last one's begin."""
        return at if self.began is None else max(at, self.began.monotonic + _APART)

    def over(self, ended: Ended, now: float) -> None:
        """Its turn has ended. What was wanted eagerly is so until it was looked at."""
        if ended.verdict is not PassVerdict.WELL and self.turn is not None:
            self.eager |= self.turn.eager
        if ended.verdict in SERVICE:
            self.stumbled_at = now
        else:
            self.stumbled_at, self.blamed = -inf, False
        self.turn = None
        self.error = ended.error
        self.announced.finished(ended.finished)

    def well(self, ended: Ended, moment: Moment, rng: Random) -> Iterator[Notice]:
        """It was looked at: due by its rhythm, or earlier for what is outstanding."""
        if self.told:
            yield RepoRecovered(self.repo, moment.monotonic - self.failing_since)
        self.failures = self.setbacks = 0
        self.told, self.late_since = False, None
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
        """It could not be looked at, and that is its own trouble: due after a growing delay."""
        if not self.failures and not self.told:
            self.failing_since = moment.monotonic
        self.failures += 1
        self.setbacks += 1
        self.late_since = None
        delay = retry_delay(self.rhythm, self.setbacks, rng)
        self.due = Due(moment.monotonic + delay, Why.RETRY)

    def tell(self) -> Iterator[Notice]:
        """That it is failing, unless it is not or that has been said."""
        if self.failures and not self.told:
            self.told = True
            yield RepoFailing(self.repo, self.error)

    def blame(self) -> Iterator[Notice]:
        """Others were answered since its last look was not."""
        self.blamed = True
        yield from self.tell()

    def put_back(self, now: float) -> None:
        """The service's trouble, not its own: due still, behind those that have waited longer."""
        if self.late_since is None:
            self.late_since = min(now, self.due.at)
        self.due = Due(now, self.due.why)

    def acquit(self, now: float) -> None:
        """Its last failures were the service's trouble too."""
        self.failures = self.setbacks = 0
        self.put_back(now)

    def follow(self, rhythm: Rhythm, moment: Moment, rng: Random) -> None:
        """Take another rhythm, without an immediate pass."""
        self.rhythm = rhythm
        if self.due.at <= moment.monotonic or self.due.why not in _REGULAR:
            return
        due = due_after(rhythm, self.began or moment, moment, rng)
        if due.at <= moment.monotonic:
            due = due_after(rhythm, moment, moment, rng)
        self.due = due if self.due.why is not Why.OUTSTANDING else min(due, self.due, key=_at)

    def put_on(self, seconds: float, now: float) -> None:
        """The wall clock has gained on the monotonic one: what it has passed is due, once."""
        if self.began is not None:
            self.began = replace(self.began, monotonic=self.began.monotonic - seconds)
        caught = self.due.at > now >= self.due.at - seconds
        why = Why.CATCH_UP if caught else self.due.why
        self.due = replace(self.due, at=self.due.at - seconds, why=why)

    def set_back(self, moment: Moment, rng: Random) -> None:
        """The wall clock was set back: times of cron are others now, but what is due stays so."""
        if self.due.wall is None:
            return
        if self.due.at <= moment.monotonic:
            self.due = replace(self.due, wall=None)
        else:
            self.due = due_after(self.rhythm, moment, moment, rng)


SERVICE = frozenset({PassVerdict.UNREACHABLE, PassVerdict.REFUSED})
"""What may be the service's trouble, and not the repository's own."""
_REGULAR = frozenset({Why.INTERVAL, Why.CRON, Why.OUTSTANDING})


def _at(due: Due) -> float:
    return due.at
