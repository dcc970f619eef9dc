"""The schedule of all repositories: what is due, running, or failing."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from artifact_sync.daemon.schedule.outage import Outage, PassWitness
from artifact_sync.daemon.schedule.repository import SERVICE, RepositorySchedule
from artifact_sync.daemon.schedule.turns import Clocks, Due, PassVerdict, ScheduleState, Why

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from random import Random

    from artifact_sync.daemon.schedule.turns import (
        EarlierTurn,
        Ended,
        Moment,
        Notice,
        OrganisationListed,
        Rhythm,
        Turn,
    )
    from artifact_sync.domain.model import RepoName

_SLACK = 64
"""Outdated entries that the heap may keep."""


class DueQueue:
    """One time for each repository. Equal times keep their order."""

    def __init__(self) -> None:
        self._entries: dict[RepoName, tuple[float, int, RepoName]] = {}
        self._heap: list[tuple[float, int, RepoName]] = []
        """The entries, and outdated ones, which are skipped."""
        self._count = 0

    def set(self, repo: RepoName, at: float) -> None:
        """Set a repository's time."""
        self._count += 1
        entry = (at, self._count, repo)
        self._entries[repo] = entry
        heappush(self._heap, entry)
        if len(self._heap) > 2 * len(self._entries) + _SLACK:
            self._heap = list(self._entries.values())
            heapify(self._heap)

    def drop(self, repo: RepoName) -> None:
        """Remove a repository, if it is there."""
        self._entries.pop(repo, None)

    def at(self, repo: RepoName) -> float | None:
        """A repository's time; None: it is not there."""
        entry = self._entries.get(repo)
        return None if entry is None else entry[0]

    def first(self) -> float | None:
        """The earliest time; None: the queue is empty."""
        while self._heap and self._entries.get(self._heap[0][2]) is not self._heap[0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop(self, latest: float, but: Collection[RepoName] = ()) -> RepoName | None:
        """Remove and return the first repository; None: none is due by ``latest``.

        Repositories in ``but`` are skipped and stay in the queue.
        """
        passed = []
        found = None
        while found is None and (at := self.first()) is not None and at <= latest:
            entry = heappop(self._heap)
            if entry[2] in but:
                passed.append(entry)
                continue
            found = entry[2]
            del self._entries[found]
        for entry in passed:
            heappush(self._heap, entry)
        return found

    def count(self, latest: float) -> int:
        """How many are due by ``latest``."""
        return sum(entry[0] <= latest for entry in self._entries.values())


_UNREPORTED = 1
"""Failures in a row to reach the service that are not reported yet: it may be an outage."""
_BROKEN_OFF = 1.0
"""Seconds until a pass that could not come to its end begins again."""


class Agenda:
    """The schedule of all repositories. Every call is given the time; none waits.

    A repository is running, or woken, or waits for its time. ``org/*``, the list of an
    organisation, is scheduled like a repository.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.outage = Outage(rng)
        self._clocks = Clocks()
        self._entries: dict[RepoName, RepositorySchedule] = {}
        self._woken = DueQueue()
        self._timed = DueQueue()

    def assign(self, repos: Mapping[RepoName, Rhythm], moment: Moment) -> None:
        """Schedule exactly these; new ones are due at once.

        One that is removed while it runs is dropped when its turn ends.
        """
        self._notice_jump(moment)
        for repo in self._entries.keys() - repos.keys():
            self._remove(self._entries[repo])
        for repo, rhythm in repos.items():
            entry = self._entries.get(repo)
            if entry is None:
                entry = RepositorySchedule(repo, rhythm, Due(moment.monotonic, Why.FIRST))
                self._entries[repo] = entry
                self._place(entry, moment)
                continue
            entry.removed = False
            if entry.rhythm != rhythm:
                entry.follow(rhythm, moment, self._rng)
                if self._timed.at(repo) is not None:
                    self._place(entry, moment)

    def restore(self, turns: Iterable[EarlierTurn], moment: Moment) -> None:
        """Take up the turns that another process has left, where they are assigned.

        What was lost is due at once. What was reported then is not reported again.
        """
        for it in sorted(turns, key=lambda it: -it.ended_ago):
            entry = self._entries.get(it.repo)
            if entry is None or entry.turn is not None:
                continue
            entry.take_up(it)
            if not it.running and it.ended is None:
                continue
            self._begin(entry, moment.before(it.began_ago))
            if it.ended is not None:
                self.ended(it.repo, it.ended, moment.before(it.ended_ago))

    def wake(
        self,
        repo: RepoName,
        why: Why,
        moment: Moment,
        *,
        run: str | None = None,
        eager: bool = False,
    ) -> bool:
        """Make a repository due now; False: it is not scheduled.

        Many calls before its turn begins make one turn. ``run`` was announced by a webhook, and is
        kept until ``ended`` reports it as finished. ``eager``: also check what was put off.
        """
        self._notice_jump(moment)
        entry = self._entries.get(repo)
        if entry is None or entry.removed:
            return False
        entry.wake(why, run, eager=eager)
        self.outage.urge()
        if entry.turn is None and self._woken.at(repo) is None:
            self._place(entry, moment)
        return True

    def wake_all(self, why: Why, moment: Moment, *, eager: bool = False) -> None:
        """Wake every repository."""
        for repo in self._entries:
            self.wake(repo, why, moment, eager=eager)

    def take(
        self, moment: Moment, room: int, busy: Collection[RepoName] = (), *, extra: int = 0
    ) -> list[Turn]:
        """Begin at most ``room`` turns: woken ones, then the longest due.

        Up to ``extra`` more turns are for the woken only. Repositories that run or are ``busy`` are
        left out; those returned count as running until ``ended``. During an outage there is one
        probe at a time. While the service is in doubt, a credible witness comes first, due or not.
        """
        self._notice_jump(moment)
        if not self.outage.reachable:
            return self._probe(moment, busy) if room + extra > 0 else []
        turns = self._check(moment, busy) if room + extra > 0 else []
        while len(turns) < room + extra:
            entry = self._next(moment.monotonic, busy, woken=len(turns) >= room)
            if entry is None:
                break
            if entry.is_early(moment):
                self._place(entry, moment)
            else:
                turns.append(entry.begin(moment))
        return turns

    def answered(self, repo: RepoName, moment: Moment) -> tuple[Notice, ...]:
        """The service has answered a running pass, which may end an outage already.

        May be called often; each notice is returned once.
        """
        self._notice_jump(moment)
        entry = self._entries.get(repo)
        if entry is None or entry.turn is None or entry.began is None:
            return ()
        suspects = frozenset(self.outage.suspicions)
        if self.outage.reachable and not suspects:
            return ()
        notices = self.outage.answered(PassWitness(repo, entry.began.monotonic), moment)
        return (*notices, *self._suspected(suspects, moment))

    def listed(self, listed: OrganisationListed) -> tuple[Notice, ...]:
        """Note a changed list; returns what to log."""
        return (listed,)

    def ended(self, repo: RepoName, ended: Ended, moment: Moment) -> tuple[Notice, ...]:
        """End a turn; returns what to log."""
        self._notice_jump(moment)
        entry = self._entries.get(repo)
        if entry is None or entry.turn is None or entry.began is None:
            return ()
        if ended.verdict is PassVerdict.BUSY:  # it says nothing, neither of it nor of the service
            self._break_off(entry, moment, _BROKEN_OFF)
            return ()
        suspects = frozenset(self.outage.suspicions)
        troubled = ended.verdict in SERVICE
        old = troubled and self.outage.outdated(entry.began.monotonic)
        # the others are examined only if needed: there may be thousands of them
        plain = PassWitness(repo, entry.began.monotonic)
        witness = self._witness(entry, entry.began) if troubled else plain
        notices = () if old else self.outage.heard(witness, ended, moment)
        entry.over(ended, moment.monotonic)
        notices = (
            *notices,
            *self._settle(entry, ended, moment, old=old),
            *self._suspected(suspects, moment),
        )
        self._place_again(entry, moment)
        return notices

    def lost(self, repo: RepoName, moment: Moment) -> None:
        """End a turn of which nobody knows any more: the repository is due."""
        entry = self._entries.get(repo)
        if entry is not None and entry.turn is not None:
            self._break_off(entry, moment)

    def _break_off(self, entry: RepositorySchedule, moment: Moment, pause: float = 0.0) -> None:
        self.outage.broken_off(entry.repo, moment.monotonic)
        entry.lost(moment.monotonic + pause)
        self._place_again(entry, moment)

    def next_in(self, moment: Moment) -> float | None:
        """Seconds until ``take`` may return a turn; None: not before another call."""
        self._notice_jump(moment)
        firsts = [at for at in (self._woken.first(), self._timed.first()) if at is not None]
        at: float | None = min(firsts, default=None)
        if at is not None and not self.outage.reachable:
            at = self.outage.next_probe()
        elif at is not None and self.outage.in_doubt:
            now = moment.monotonic
            at = min([at, *(it.not_before(now) for it in self._idle() if it.credible)])
        return None if at is None else max(0.0, at - moment.monotonic)

    def queue(self, moment: Moment) -> int:
        """How many repositories are due and have not begun."""
        return sum(queue.count(moment.monotonic) for queue in (self._woken, self._timed))

    def states(self, moment: Moment) -> list[ScheduleState]:
        """The state of each repository."""
        entries = (entry for entry in self._entries.values() if not entry.removed)
        return [self._state(entry, moment.monotonic) for entry in entries]

    def _state(self, entry: RepositorySchedule, now: float) -> ScheduleState:
        woken_at = self._woken.at(entry.repo)
        at = self._timed.at(entry.repo) if woken_at is None else woken_at
        since = entry.late_since if entry.late_since is not None else at
        return ScheduleState(
            entry.repo,
            entry.turn is not None,
            entry.why,
            None if at is None else max(0.0, at - now),
            0.0 if since is None else max(0.0, now - since),
            entry.failures,
            entry.error,
        )

    def _settle(
        self, entry: RepositorySchedule, ended: Ended, moment: Moment, *, old: bool
    ) -> Iterator[Notice]:
        if ended.verdict is PassVerdict.WELL:
            yield from entry.well(ended, moment, self._rng)
        elif old or (not self.outage.reachable and ended.verdict in SERVICE):
            entry.put_back(moment.monotonic)
        else:
            entry.failed(moment, self._rng)
            if ended.verdict not in SERVICE or entry.failures > _UNREPORTED:
                yield from entry.report_failing()

    def _witness(self, entry: RepositorySchedule, began: Moment) -> PassWitness:
        others = [it for it in self._entries.values() if it is not entry and not it.removed]
        alone = not any(it.credible for it in others)
        blamed = entry.blamed and not all(it.blamed for it in others)
        return PassWitness(entry.repo, began.monotonic, entry.credible, blamed, alone)

    def _suspected(self, suspects: frozenset[RepoName], moment: Moment) -> Iterator[Notice]:
        """Decide about repositories that are no longer under suspicion of an outage."""
        for repo in sorted(suspects - self.outage.suspicions.keys()):
            entry = self._entries.get(repo)
            if entry is None or entry.credible:
                continue
            if self.outage.reachable:
                yield from entry.blame()
            else:
                entry.acquit(moment.monotonic)
                self._place_again(entry, moment)

    def _notice_jump(self, moment: Moment) -> None:
        gained = self._clocks.jump(moment)
        if gained > 0:
            self.outage.slept(gained)
            for entry in self._entries.values():
                entry.clock_gained(gained, moment.monotonic)
        elif gained < 0:
            for entry in self._entries.values():
                entry.clock_set_back(moment, self._rng)
        if gained:
            for entry in self._entries.values():
                if self._timed.at(entry.repo) is not None:
                    self._place(entry, moment)

    def _probe(self, moment: Moment, busy: Collection[RepoName]) -> list[Turn]:
        """The turn that probes the service during an outage, due or not."""
        at = self.outage.next_probe()
        if at is None or at > moment.monotonic:
            return []
        entry = min(self._idle(busy), key=lambda it: it.probe_order, default=None)
        if entry is None:
            return []
        self.outage.probe(entry.repo, moment.monotonic)
        return [self._begin(entry, moment)]

    def _check(self, moment: Moment, busy: Collection[RepoName]) -> list[Turn]:
        """The turn that shows whether a failure is an outage, due or not."""
        if not self.outage.in_doubt:
            return []
        now = moment.monotonic
        able = (it for it in self._idle(busy) if it.credible and it.not_before(now) <= now)
        entry = min(able, key=lambda it: it.probe_order, default=None)
        if entry is None:
            return []
        self.outage.check(entry.repo)
        return [self._begin(entry, moment)]

    def _idle(self, busy: Collection[RepoName] = ()) -> Iterator[RepositorySchedule]:
        entries = self._entries.values()
        return (it for it in entries if it.turn is None and it.repo not in busy)

    def _begin(self, entry: RepositorySchedule, moment: Moment) -> Turn:
        """Begin a turn out of order."""
        self._woken.drop(entry.repo)
        self._timed.drop(entry.repo)
        return entry.begin(moment)

    def _next(
        self, latest: float, busy: Collection[RepoName], *, woken: bool = False
    ) -> RepositorySchedule | None:
        """Remove and return the next repository; ``woken``: of the woken only."""
        repo = self._woken.pop(latest, busy)
        if repo is None and not woken:
            repo = self._timed.pop(latest, busy)
        return None if repo is None else self._entries[repo]

    def _place_again(self, entry: RepositorySchedule, moment: Moment) -> None:
        if entry.turn is not None:
            return
        if entry.removed:
            self._entries.pop(entry.repo, None)
        else:
            self._place(entry, moment)

    def _place(self, entry: RepositorySchedule, moment: Moment) -> None:
        if entry.woken is None:
            self._timed.set(entry.repo, entry.not_before(entry.due.at))
        else:
            self._timed.drop(entry.repo)
            self._woken.set(entry.repo, entry.not_before(moment.monotonic))

    def _remove(self, entry: RepositorySchedule) -> None:
        entry.removed = True
        self.outage.forget(entry.repo)
        self._woken.drop(entry.repo)
        self._timed.drop(entry.repo)
        if entry.turn is None:
            del self._entries[entry.repo]
