"""Whether the service as a whole can be used, judged by how passes end, and when to probe it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

from artifact_sync.daemon.schedule.intervals import jittered
from artifact_sync.daemon.schedule.notices import OutageBegan, OutageEnded
from artifact_sync.daemon.schedule.turns import PassVerdict

if TYPE_CHECKING:
    from datetime import datetime
    from random import Random

    from artifact_sync.daemon.schedule.clocks import Moment
    from artifact_sync.daemon.schedule.notices import Notice
    from artifact_sync.daemon.schedule.turns import Ended
    from artifact_sync.domain.model import RepoName

_FIRST_PROBE = 5.0
_LONGEST_UNREACHABLE = 60.0
_LONGEST_REFUSED = 300.0
_APART = 1.0
"""Seconds between two probes, even when somebody is in a hurry."""
_ANSWERS = frozenset({PassVerdict.WELL, PassVerdict.FAILED})


@dataclass(frozen=True, slots=True)
class PassWitness:
    """The repository that a pass speaks for, as it was before."""

    repo: RepoName
    began: float
    """When the pass began."""
    credible: bool = True
    """The service answered the pass before this one, or there was none."""
    blamed: bool = False
    """Its trouble is known as its own, and there are others of which that is not known."""
    alone: bool = False
    """There is no other credible one to compare it with."""


@dataclass(frozen=True, slots=True)
class _Suspicion:
    kind: PassVerdict
    at: float


class Outage:
    """The service's state. Times are monotonic, but for ``since``.

    A repository that the service does not answer, or whose token it refuses, makes it suspect. It
    is out when another one, which was answered before, meets the same, or when there is no other.
    From then on single probes go out, until one of them is answered.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.kind: PassVerdict | None = None
        """``UNREACHABLE`` or ``REFUSED``; None: the service can be used."""
        self.since: datetime | None = None
        """Since when it cannot, in UTC."""
        self.why = ""
        """What the pass said that found it so."""
        self.suspicions: dict[RepoName, _Suspicion] = {}
        """Of those that failed, with no answer to a pass that began since."""
        self._checker: RepoName | None = None
        """The repository whose pass shows what is to be thought of them, while it runs."""
        self._began = 0.0
        self._ended = -inf
        """When the last outage ended."""
        self._prober: RepoName | None = None
        """The repository whose pass is the probe, while it runs."""
        self._probed = 0.0
        """When the last probe went out, or before that when the outage began."""
        self._urged = False
        self._delay = 0.0
        self._next = 0.0

    @property
    def reachable(self) -> bool:
        """Whether the service can be used, as far as is known."""
        return self.kind is None

    @property
    def in_doubt(self) -> bool:
        """Whether another repository should see at once if the service is there."""
        return self.kind is None and bool(self.suspicions) and self._checker is None

    def next_probe(self) -> float | None:
        """From when on a probe may go out; None: one is out."""
        if self._prober is not None:
            return None
        return min(self._next, self._probed + _APART) if self._urged else self._next

    def urge(self) -> None:
        """Somebody would like to know now."""
        self._urged = True

    def probe(self, repo: RepoName, now: float) -> None:
        """A pass goes out to see."""
        self._prober, self._probed, self._urged = repo, now, False

    def check(self, repo: RepoName) -> None:
        """A pass goes out to see if there is something in the suspicions."""
        self._checker = repo

    def forget(self, repo: RepoName) -> None:
        """This repository is none of ours any more."""
        self.suspicions.pop(repo, None)

    def outdated(self, began: float) -> bool:
        """Whether a pass began before the last outage was over, so that its misfortune is old."""
        return began < self._ended

    def slept(self, seconds: float) -> None:
        """So much time has passed that the monotonic clock does not know of."""
        self._began -= seconds
        self._next -= seconds
        self._ended -= seconds
        for repo, it in self.suspicions.items():
            self.suspicions[repo] = replace(it, at=it.at - seconds)

    def answered(self, voice: PassWitness, moment: Moment) -> tuple[Notice, ...]:
        """The service has answered a pass. Only a probe ends an outage: others may be older."""
        if voice.repo == self._checker:
            self._checker = None
        cleared = [repo for repo, it in self.suspicions.items() if it.at <= voice.began]
        for repo in cleared:
            del self.suspicions[repo]
        if self.kind is None or voice.repo != self._prober:
            return ()
        notice = OutageEnded(self.kind, moment.monotonic - self._began)
        self.kind, self.since, self.why = None, None, ""
        self._prober, self._ended = None, moment.monotonic
        return (notice,)

    def heard(self, voice: PassWitness, ended: Ended, moment: Moment) -> tuple[Notice, ...]:
        """Judge by a pass that has ended."""
        if ended.verdict in _ANSWERS:
            return self.answered(voice, moment)
        if self.kind is not None:
            return self._goes_on(voice, ended, moment)
        if voice.repo == self._checker:
            self._checker = None
        if voice.alone or (voice.credible and self._seconds(voice.repo, ended.verdict)):
            return self._begin(ended, moment)
        if not voice.blamed:
            suspicion = _Suspicion(ended.verdict, moment.monotonic)
            self.suspicions.setdefault(voice.repo, suspicion)
        return ()

    def _seconds(self, repo: RepoName, kind: PassVerdict) -> bool:
        """Whether another one has met the same."""
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

    def _goes_on(self, voice: PassWitness, ended: Ended, moment: Moment) -> tuple[Notice, ...]:
        if voice.repo != self._prober:
            return ()
        refused = ended.verdict is PassVerdict.REFUSED and not voice.blamed
        if refused and self.kind is PassVerdict.UNREACHABLE:
            over = OutageEnded(self.kind, moment.monotonic - self._began)
            return (over, *self._begin(ended, moment))
        longest = _LONGEST_REFUSED if self.kind is PassVerdict.REFUSED else _LONGEST_UNREACHABLE
        self._prober = None
        if voice.blamed:  # it says nothing of the others
            delay = _FIRST_PROBE
        else:
            delay = self._delay = min(2 * self._delay, longest)
        self._next = moment.monotonic + jittered(delay, self._rng)
        return ()
