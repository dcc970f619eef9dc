"""Logs passes and notices of the schedule, each failure once."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from artifact_sync.daemon.schedule.turns import (
    OrganisationListed,
    OutageBegan,
    OutageEnded,
    PassVerdict,
    RepoFailing,
    RepoRecovered,
    RunGivenUp,
)
from artifact_sync.domain.errors import Reason
from artifact_sync.domain.events import (
    Downloaded,
    Failed,
    LinkRenewed,
    Noticed,
    RepoEnded,
    Retrying,
    RunCompleted,
    RunPlanned,
)
from artifact_sync.domain.model import RepoName, RunKey
from artifact_sync.domain.report import shared_cause, shared_causes
from artifact_sync.runtime.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Hashable

    from artifact_sync.daemon.schedule.turns import Notice
    from artifact_sync.domain.events import Event
    from artifact_sync.domain.model import ArtifactKey, Failure
    from artifact_sync.domain.report import Report

_log = get_logger(__name__)

_LINES = 20
"""Warnings of one run, at most; further ones are counted."""

_TOPICS = 200
"""Failures of one repository that are remembered, at most."""

_REMEMBERED = 2_000
"""Repositories, and notices, that are remembered, at most."""

_LOGGED_ELSEWHERE = frozenset({Reason.INTERRUPTED, Reason.NO_SPACE})
"""Reported once for the whole daemon, so not repeated per repository."""


@dataclass(slots=True)
class _Logged:
    """What was logged of a repository, and what was only counted."""

    topics: OrderedDict[Hashable, tuple[str, str, int]] = field(default_factory=OrderedDict)
    """Run, reason, and number of the last pass of each failure, by topic."""
    of_run: Counter[str] = field(default_factory=Counter)
    """How many topics each run has."""
    more: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Failures of this pass that were only counted, by run and reason."""
    logged_more: OrderedDict[tuple[str, str], int] = field(default_factory=OrderedDict)
    """The largest of these counts that were logged."""
    number: int = 2
    """The number of this pass among those with failures."""
    failing: bool = False

    def is_new(self, topic: Hashable, run: str, state: str) -> bool:
        """Whether to log a failure; one too many is only counted."""
        self.failing = True
        known = self.topics.get(topic)
        if known is None and not self._has_room(run):
            self._count(run, state)
            return False
        self.of_run[run] += known is None
        self.topics[topic] = (run, state, self.number)
        self.topics.move_to_end(topic)
        return known is None or known[1] != state

    def _has_room(self, run: str) -> bool:
        """Whether a topic can be added, perhaps in place of one that is over."""
        if len(self.topics) >= _TOPICS:
            oldest = next(iter(self.topics))
            if self.topics[oldest][2] < self.number - 1:
                self.forget(oldest)
        return len(self.topics) < _TOPICS and self.of_run[run] < _LINES

    def _count(self, run: str, state: str) -> None:
        where = (run, state)
        known = where in self.more or where in self.logged_more
        self.more[where if known or len(self.more) < _LINES else ("", state)] += 1

    def forget(self, topic: Hashable) -> bool:
        """Forget a failure that is over; whether it was logged."""
        found = self.topics.pop(topic, None)
        if found is not None:
            self.of_run -= Counter([found[0]])
        return found is not None

    def ended(self) -> list[tuple[str, str, int]]:
        """Run, reason and count, where more failures were counted than logged before."""
        news = {it: count for it, count in self.more.items() if count > self.logged_more.get(it, 0)}
        for where in self.more:
            self.logged_more[where] = max(self.more[where], self.logged_more.pop(where, 0))
        while len(self.logged_more) > _TOPICS:
            self.logged_more.popitem(last=False)
        self.number += self.failing
        self.failing = False
        self.more.clear()
        return [(*where, count) for where, count in news.items()]


class PassLog:
    """An observer that logs passes."""

    def __init__(self) -> None:
        self._logged: OrderedDict[str, _Logged] = OrderedDict()
        """By repository."""
        self._notices: OrderedDict[str, None] = OrderedDict()
        self._new_notices = 0

    def notify(self, event: Event) -> None:
        """Log an event if it is worth a line."""
        match event:
            case RunPlanned(plan):
                self._of(str(plan.run.key.repo)).forget(plan.run.key)  # it could be read
            case RunCompleted(run, files):
                self._forget_shared(str(run.repo))
                _log.info("complete", repo=str(run.repo), run=run.run, files=files)
            case RepoEnded(repo, report):
                self._ended(str(repo), report)
            case Downloaded(mirrored, displaced):
                self._downloaded(mirrored.key, displaced)
            case Failed(failure, key):
                self._failed(failure, key)
            case Noticed(message):
                self._noticed(message)
            case Retrying(what, delay, why):
                _log.debug("trying again", what=what, in_s=round(delay, 1), why=why)
            case LinkRenewed(run, links):
                _log.debug("links renewed", repo=str(run.repo), run=run.run, links=links)
            case _:
                pass

    def _of(self, repo: str) -> _Logged:
        logged = self._logged.setdefault(repo, _Logged())
        self._logged.move_to_end(repo)
        if len(self._logged) > _REMEMBERED:
            self._logged.popitem(last=False)
        return logged

    def _ended(self, repo: str, report: Report) -> None:
        if report.downloaded:
            _log.info("mirrored", repo=repo, files=report.downloaded, bytes=report.bytes)
        for run, reason, count in self._of(repo).ended():
            where = {"run": run} if run else {}
            _log.warning(f"and {count:,} more", repo=repo, **where, reason=reason)
        if self._new_notices > _LINES:
            _log.warning(f"and {self._new_notices - _LINES:,} more notices")
        self._new_notices = 0

    def _downloaded(self, key: ArtifactKey, displaced: str | None) -> None:
        repo = str(key.run_key.repo)
        _log.debug("mirrored", repo=repo, run=key.run, local_path=key.name)
        if displaced:
            _log.warning(
                "a stranger was in the way",
                repo=repo,
                local_path=key.name,
                moved_to=displaced,
            )
        if self._of(repo).forget(key):
            _log.info("mirrored after all", repo=repo, run=key.run, local_path=key.name)

    def _failed(self, failure: Failure, key: ArtifactKey | None) -> None:
        where = {"repo": failure.repo, "run": failure.run, "local_path": failure.local_path}
        if key is not None:
            where["local_path"] = key.name
        facts = {name: value for name, value in where.items() if value}
        facts["reason"] = str(failure.reason)
        # The schedule reports repositories that fail as a whole.
        if failure.run is None or failure.reason in _LOGGED_ELSEWHERE:
            _log.debug(failure.message, **facts)
        else:
            is_new = self._of(failure.repo).is_new(
                _topic(failure, key), failure.run, failure.reason
            )
            (_log.warning if is_new else _log.debug)(failure.message, **facts)

    def _forget_shared(self, repo: str) -> None:
        for cause in shared_causes(repo):
            self._of(repo).forget(cause)

    def _noticed(self, message: str) -> None:
        """Log a notice once, and few at a time."""
        known = message in self._notices
        self._notices[message] = None
        self._notices.move_to_end(message)
        if len(self._notices) > _REMEMBERED:
            self._notices.popitem(last=False)
        self._new_notices += not known
        (_log.debug if known or self._new_notices > _LINES else _log.warning)(message)


def _topic(failure: Failure, key: ArtifactKey | None) -> Hashable:
    """The topic of a failure: two with the same topic and reason make one line."""
    if (cause := shared_cause(failure)) is not None:
        return cause
    if failure.local_path is None:
        return RunKey(RepoName.parse(failure.repo), failure.run or "")
    return key if key is not None else (failure.repo, failure.run, failure.reason)


_BEGAN = {
    PassVerdict.UNREACHABLE: "the service cannot be reached; it is tried again now and then",
    PassVerdict.REFUSED: "the service refuses the token; put a valid one into its place",
}
_ENDED = {
    PassVerdict.UNREACHABLE: "the service can be reached again",
    PassVerdict.REFUSED: "the service accepts the token again",
}


def log_notice(notice: Notice) -> None:
    """Log a notice of the schedule."""
    match notice:
        case OutageBegan(kind, why):
            _log.error(_BEGAN[kind], why=why)
        case OutageEnded(kind, seconds):
            _log.warning(_ENDED[kind], after_s=round(seconds))
        case OrganisationListed(org, new, gone):
            _log.info("organisation listed", org=org, new=new, gone=gone)
        case RepoFailing(repo, why):
            _log.warning("cannot be looked at; tried again ever less often", repo=str(repo),
                         why=why)  # fmt: skip
        case RepoRecovered(repo, after):
            _log.info("can be looked at again", repo=str(repo), after_s=round(after))
        case RunGivenUp(repo, run):
            _log.warning("a webhook announced a run that did not show up", repo=str(repo),
                         run=run)  # fmt: skip
