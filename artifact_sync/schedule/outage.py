"""Whether the service as a whole can be used, judged by how passes end, and when to probe it."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from artifact_sync.schedule.notices import OutageBegan, OutageEnded
from artifact_sync.schedule.rhythm import jittered
from artifact_sync.schedule.turns import Verdict

if TYPE_CHECKING:
    from datetime import datetime
    from random import Random

    from artifact_sync.model import RepoName
    from artifact_sync.schedule.moment import Moment
    from artifact_sync.schedule.notices import Notice
    from artifact_sync.schedule.turns import Ended

_FIRST_PROBE = 5.0
_LONGEST_UNREACHABLE = 60.0
_LONGEST_REFUSED = 300.0
_APART = 1.0
"""Seconds between two probes, even when somebody is in a hurry."""
_ANSWERS = frozenset({Verdict.WELL, Verdict.FAILED})


class Outage:
    """The service's state. Times are monotonic, but for ``since``.

    It is out when it refuses the token, or when two different repositories in a row (or the only
    one) could not reach it. From then on single probes go out, until one of them is answered.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.kind: Verdict | None = None
        """``UNREACHABLE`` or ``REFUSED``; None: the service can be used."""
        self.since: datetime | None = None
        """Since when it cannot, in UTC."""
        self.why = ""
        """What the pass said that found it so."""
        self.suspect: RepoName | None = None
        """The one whose last pass could not reach the service, with no other outcome since."""
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

    def outdated(self, began: float) -> bool:
        """Whether a pass began before the last outage was over, so that its misfortune is old."""
        return began < self._ended

    def slept(self, seconds: float) -> None:
        """So much time has passed that the monotonic clock does not know of."""
        self._began -= seconds
        self._next -= seconds
        self._ended -= seconds

    def answered(self, repo: RepoName, moment: Moment) -> tuple[Notice, ...]:
        """The service has answered a pass. Only a probe ends an outage: others may be older."""
        self.suspect = None
        if self.kind is None or repo != self._prober:
            return ()
        notice = OutageEnded(self.kind, moment.monotonic - self._began)
        self.kind, self.since, self.why = None, None, ""
        self._prober, self._ended = None, moment.monotonic
        return (notice,)

    def heard(
        self, repo: RepoName, ended: Ended, moment: Moment, *, alone: bool
    ) -> tuple[Notice, ...]:
        """Judge by a pass that has ended. ``alone``: there is no other repository to compare."""
        if ended.verdict in _ANSWERS:
            return self.answered(repo, moment)
        if self.kind is not None:
            return self._goes_on(repo, ended, moment)
        if ended.verdict is Verdict.UNREACHABLE and not alone and self.suspect in {None, repo}:
            self.suspect = repo
            return ()
        return self._begin(ended, moment)

    def _begin(self, ended: Ended, moment: Moment) -> tuple[Notice, ...]:
        now = moment.monotonic
        self.kind, self.since, self.why = ended.verdict, moment.wall, ended.error
        self.suspect, self._prober, self._urged = None, None, False
        self._began = self._probed = now
        self._delay = _FIRST_PROBE
        self._next = now + jittered(self._delay, self._rng)
        return (OutageBegan(ended.verdict, ended.error),)

    def _goes_on(self, repo: RepoName, ended: Ended, moment: Moment) -> tuple[Notice, ...]:
        if ended.verdict is Verdict.REFUSED and self.kind is Verdict.UNREACHABLE:
            over = OutageEnded(self.kind, moment.monotonic - self._began)
            return (over, *self._begin(ended, moment))
        if repo == self._prober:
            refused = self.kind is Verdict.REFUSED
            self._prober = None
            self._delay = min(
                2 * self._delay, _LONGEST_REFUSED if refused else _LONGEST_UNREACHABLE
            )
            self._next = moment.monotonic + jittered(self._delay, self._rng)
        return ()
