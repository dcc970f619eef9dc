"""What the daemon's log says of the passes. A failure is said once, not in every pass again."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import structlog

from artifact_sync.errors import Reason
from artifact_sync.events import (
    Downloaded,
    Failed,
    LinkRenewed,
    Noticed,
    RepoEnded,
    Retrying,
    RunCompleted,
    RunPlanned,
)
from artifact_sync.model import RepoName, RunKey

if TYPE_CHECKING:
    from collections.abc import Hashable

    from artifact_sync.events import Event
    from artifact_sync.model import ArtifactKey, Failure

_log = structlog.get_logger(__name__)

_REMEMBERED = 10_000
"""What was said lately and need not be said again."""

_SAID_ELSEWHERE = frozenset({Reason.INTERRUPTED, Reason.NO_SPACE})
"""The daemon as a whole has these, and says so itself."""

_SHARED = frozenset(
    {
        Reason.UNREACHABLE,
        Reason.CREDENTIALS,
        Reason.THROTTLED,
        Reason.TIMEOUT,
        Reason.CUT,
        Reason.BAD_RESPONSE,
    }
)
"""The network's, which everything beside it has as well: a line for the repository is enough."""


class Chronicle:
    """An observer that writes the log."""

    def __init__(self) -> None:
        self._said: OrderedDict[Hashable, str] = OrderedDict()

    def notify(self, event: Event) -> None:
        """Say it if it is worth a line."""
        match event:
            case RunPlanned(plan):
                self._said.pop(plan.run.key, None)  # it could be looked at
            case RunCompleted(run, files):
                self._forget_shared(str(run.repo))
                _log.info("complete", repo=str(run.repo), run=run.run, files=files)
            case RepoEnded(repo, report) if report.downloaded:
                _log.info("mirrored", repo=str(repo), files=report.downloaded, bytes=report.bytes)
            case Downloaded(mirrored, displaced):
                self._downloaded(mirrored.key, displaced)
            case Failed(failure, key):
                self._failed(failure, key)
            case Noticed(message):
                self._warn(message, "", message)
            case Retrying(what, delay, why):
                _log.debug("trying again", what=what, in_s=round(delay, 1), why=why)
            case LinkRenewed(run, links):
                _log.debug("links renewed", repo=str(run.repo), run=run.run, links=links)
            case _:
                pass

    def _downloaded(self, key: ArtifactKey, displaced: str | None) -> None:
        repo = str(key.run_key.repo)
        _log.debug("mirrored", repo=repo, run=key.run, local_path=key.local_path)
        if displaced:
            _log.warning(
                "a stranger was in the way",
                repo=repo,
                local_path=key.local_path,
                moved_to=displaced,
            )
        if self._said.pop(key, None) is not None:
            _log.info("mirrored after all", repo=repo, run=key.run, local_path=key.local_path)

    def _failed(self, failure: Failure, key: ArtifactKey | None) -> None:
        where = {"repo": failure.repo, "run": failure.run, "local_path": failure.local_path}
        told = {name: value for name, value in where.items() if value}
        told["reason"] = str(failure.reason)
        # That a repository cannot be looked at is for the schedule to say.
        if failure.run is None or failure.reason in _SAID_ELSEWHERE:
            _log.debug(failure.message, **told)
        else:
            self._warn(_topic(failure, key), failure.reason, failure.message, **told)

    def _forget_shared(self, repo: str) -> None:
        for reason in _SHARED:
            self._said.pop((repo, reason), None)

    def _warn(self, topic: Hashable, state: str, message: str, **told: str) -> None:
        """Say it, unless that was what was said of it last."""
        known = self._said.get(topic) == state
        self._said[topic] = state
        self._said.move_to_end(topic)
        if len(self._said) > _REMEMBERED:
            self._said.popitem(last=False)
        if known:
            _log.debug(message, **told)
        else:
            _log.warning(message, **told)


def _topic(failure: Failure, key: ArtifactKey | None) -> Hashable:
    """What a failure is told of: two of the same topic and reason make one line."""
    if failure.reason in _SHARED:
        return failure.repo, failure.reason
    if failure.reason is Reason.DISK:
        return failure.repo, failure.message
    if failure.local_path is None:
        return RunKey(RepoName.parse(failure.repo), failure.run or "")
    return key if key is not None else (failure.repo, failure.run, failure.reason)
