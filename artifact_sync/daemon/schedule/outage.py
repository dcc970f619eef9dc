"""Detects outages of the service, and decides when to probe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

from artifact_sync.daemon.schedule.turns import OutageBegan, OutageEnded, PassVerdict, jittered

if TYPE_CHECKING:
    from datetime import datetime
    from random import Random

    from artifact_sync.daemon.schedule.turns import Ended, Moment, Notice
    from artifact_sync.domain.model import RepoName

_FIRST_PROBE = 5.0
_LONGEST_UNREACHABLE = 60.0
_LONGEST_REFUSED = 300.0
_APART = 1.0
"""Seconds between two probes, even urgent ones."""
_ANSWERS = frozenset({PassVerdict.WELL, PassVerdict.FAILED})


@dataclass(frozen=True, slots=True)
class PassWitness:
    """The repository a pass reports on, with its state from before that pass."""

    repo: RepoName
    began: float
    """When the pass began."""
    credible: bool = True
    """Whether the service answered the previous pass, or there was none."""
    blamed: bool = False
    """Whether its failure is known to be its own, and that of some others is not."""
    alone: bool = False
    """Whether there is no other credible repository to compare with."""


@dataclass(frozen=True, slots=True)
class _Suspicion:
    kind: PassVerdict
    at: float


class Outage:
    """Whether the service can be used. Times are monotonic, except ``since``.

    A failure of one repository raises a suspicion. An outage begins when another one, which the
    service answered before, fails in the same way, or when there is no other. Then single probes
    are sent until one is answered.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.kind: PassVerdict | None = None
        """``UNREACHABLE`` or ``REFUSED``; None: the service can be used."""
        self.since: datetime | None = None
        """When the outage began, in UTC."""
        self.why = ""
        """The error of the pass that revealed it."""
        self.suspicions: dict[RepoName, _Suspicion] = {}
        """Of repositories that failed, without an answer to a pass that began since."""
        self._checker: RepoName | None = None
        """The repository whose running pass will confirm or clear them."""
        self._began = 0.0
        self._ended = -inf
        """When the last outage ended."""
        self._prober: RepoName | None = None
        """The repository whose running pass is the probe."""
        self._probed = 0.0
        """When the last probe, or else the outage, began."""
        self._urged = False
        self._delay = 0.0
        self._next = 0.0

    @property
    def reachable(self) -> bool:
        """Whether the service can be used, as far as is known."""
        return self.kind is None

    @property
    def in_doubt(self) -> bool:
        """Whether a pass over another repository should check the service at once."""
        return self.kind is None and bool(self.suspicions) and self._checker is None

    def next_probe(self) -> float | None:
        """When the next probe may begin; None: one is running."""
        if self._prober is not None:
            return None
        return min(self._next, self._probed + _APART) if self._urged else self._next

    def urge(self) -> None:
        """Have the next probe soon."""
        self._urged = True

    def probe(self, repo: RepoName, now: float) -> None:
        """A probe has begun."""
        self._prober, self._probed, self._urged = repo, now, False

    def check(self, repo: RepoName) -> None:
        """A pass has begun that will confirm or clear suspicions."""
        self._checker = repo

    def broken_off(self, repo: RepoName, now: float) -> None:
        """A pass that was to tell something has not come to its end."""
        if repo == self._checker:
            self._checker = None
        if repo == self._prober:
            self._prober, self._next = None, now + jittered(_FIRST_PROBE, self._rng)

    def forget(self, repo: RepoName) -> None:
        """Drop a repository."""
        self.suspicions.pop(repo, None)

    def outdated(self, began: float) -> bool:
        """Whether a pass began before the last outage ended."""
        return began < self._ended

    def slept(self, seconds: float) -> None:
        """Account for time that the monotonic clock has missed."""
        self._began -= seconds
        self._next -= seconds
        self._ended -= seconds
        for repo, it in self.suspicions.items():
            self.suspicions[repo] = replace(it, at=it.at - seconds)

    def answered(self, witness: PassWitness, moment: Moment) -> tuple[Notice, ...]:
        """Note that the service answered. Only a probe ends an outage."""
        if witness.repo == self._checker:
            self._checker = None
        cleared = [repo for repo, it in self.suspicions.items() if it.at <= witness.began]
        for repo in cleared:
            del self.suspicions[repo]
        if self.kind is None or witness.repo != self._prober:
            return ()
        notice = OutageEnded(self.kind, moment.monotonic - self._began)
        self.kind, self.since, self.why = None, None, ""
        self._prober, self._ended = None, moment.monotonic
        return (notice,)

    def heard(self, witness: PassWitness, ended: Ended, moment: Moment) -> tuple[Notice, ...]:
        """Take the end of a pass into account."""
        if ended.verdict in _ANSWERS:
            return self.answered(witness, moment)
        if ended.verdict is PassVerdict.UNASKED:
            self.broken_off(witness.repo, moment.monotonic)
            return ()
        if self.kind is not None:
            return self._goes_on(witness, ended, moment)
        if witness.repo == self._checker:
            self._checker = None
        if witness.alone or (witness.credible and self._is_confirmed(witness.repo, ended.verdict)):
            return self._begin(ended, moment)
        if not witness.blamed:
            suspicion = _Suspicion(ended.verdict, moment.monotonic)
            self.suspicions.setdefault(witness.repo, suspicion)
        return ()

    def _is_confirmed(self, repo: RepoName, kind: PassVerdict) -> bool:
        """Whether another repository has failed in the same way."""
        return any(it.kind is kind and other != repo for other, it in self.suspicions.items())

    def _begin(self, ended: Ended, moment: Moment) -> tuple[Notice, ...]:
        now = moment.monotonic
        self.kind, self.since, self.why = ended.verdict, moment.wall, ended.error
        self.suspicions.clear()
        self._checker, self._prober, self._urged = None, None, False
        self._began = self._probed = now
        self._delay = _FIRST_PROBE
        self._next = now + jittered(self._delay, self._rng)
        return (OutageBegan(ended.verdict, ended.error),)

    def _goes_on(self, witness: PassWitness, ended: Ended, moment: Moment) -> tuple[Notice, ...]:
        if witness.repo != self._prober:
            return ()
        refused = ended.verdict is PassVerdict.REFUSED and not witness.blamed
        if refused and self.kind is PassVerdict.UNREACHABLE:
            over = OutageEnded(self.kind, moment.monotonic - self._began)
            return (over, *self._begin(ended, moment))
        longest = _LONGEST_REFUSED if self.kind is PassVerdict.REFUSED else _LONGEST_UNREACHABLE
        self._prober = None
        if witness.blamed:  # it says nothing about the others
            delay = _FIRST_PROBE
        else:
            delay = self._delay = min(2 * self._delay, longest)
        self._next = moment.monotonic + jittered(delay, self._rng)
        return ()
