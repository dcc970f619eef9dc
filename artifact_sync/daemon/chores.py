"""When work beside passes is due as jobs: pruning, scrub, hooks."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from artifact_sync.daemon.scrub.timing import pause
from artifact_sync.domain.jobs import Job, JobKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from artifact_sync.domain.settings import Config

_PRUNE = 15.0
"""Seconds between two looks at ``keep.schedule``: a cron expression has minutes."""
_HOOKS = 2.0
"""Seconds between two looks for what hooks are to be told."""


class ChoreTimes:
    """Remembers when each chore was last due. Pure but for that."""

    def __init__(self) -> None:
        self._last: dict[JobKind, float] = {}

    def due(self, config: Config, now: float) -> Sequence[Job]:
        """The chores that are due by the monotonic clock."""
        found = [
            kind
            for kind, seconds in _periods(config)
            if now - self._last.get(kind, -inf) >= seconds
        ]
        self._last.update(dict.fromkeys(found, now))
        return [Job(kind) for kind in found]


def _periods(config: Config) -> Iterator[tuple[JobKind, float]]:
    keeps = (it.keep for it in config.repo if it.keep is not None)
    if config.keep.schedule or any(it.schedule for it in keeps):
        yield JobKind.PRUNE, _PRUNE
    if config.verify.every:
        yield JobKind.SCRUB, pause(config.verify)
    yield JobKind.HOOKS, _HOOKS if config.hook else _PRUNE
