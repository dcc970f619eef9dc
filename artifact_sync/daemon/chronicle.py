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
)

if TYPE_CHECKING:
    from collections.abc import Hashable

    from artifact_sync.events import Event
    from artifact_sync.model import ArtifactKey, Failure

_log = structlog.get_logger(__name__)

_REMEMBERED = 10_000
"""What was said lately and need not be said again."""


class Chronicle:
    """An observer that writes the log."""

    def __init__(self) -> None:
        self._said: OrderedDict[Hashable, str] = OrderedDict()

    def notify(self, event: Event) -> None:
        """Say it if it is worth a line."""
        match event:
            case RunCompleted(run, files):
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
        if failure.reason is Reason.INTERRUPTED:  # the daemon has said that it stops
            _log.debug(failure.message, **told)
            return
        topic = key if key is not None else (failure.repo, failure.run, failure.reason)
        self._warn(topic, failure.reason, failure.message, reason=str(failure.reason), **told)

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
