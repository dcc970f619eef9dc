"""Empty what was displaced long ago, by the rule in ``[keep]``."""

from __future__ import annotations

from datetime import timedelta
from math import inf
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.domain.errors import ArtifactSyncError
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.units import size_in_words
from artifact_sync.sync.displaced_files import empty_displaced

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from artifact_sync.domain.model import DisplacedFile, RepoName
    from artifact_sync.domain.ports import Clock, Displacement
    from artifact_sync.runtime.clock import ClockComparison
    from artifact_sync.runtime.threads import Offload

_log = get_logger(__name__)

_PERIOD = 3600.0
"""Seconds between two looks at what was displaced."""


class KeepDisplaced(Struct, frozen=True):
    """How many seconds what was displaced is kept. None: for ever."""

    every: float | None = None
    own: Mapping[RepoName, float] = {}
    """Of repositories for which it is said by itself."""
    owner_of: Callable[[DisplacedFile], RepoName | None] = lambda _: None

    @property
    def least(self) -> float | None:
        """The shortest of them."""
        said = [it for it in (self.every, *self.own.values()) if it is not None]
        return min(said, default=None)

    def of(self, file: DisplacedFile) -> float | None:
        """How long this file is kept."""
        owner = self.owner_of(file) if self.own else None
        return self.every if owner is None else self.own.get(owner, self.every)


class DisplacedKeeper:
    """Removes what was displaced long ago, at most once an hour."""

    def __init__(self, displacement: Displacement, offload: Offload, clock: Clock) -> None:
        self._displacement = displacement
        self._offload = offload
        self._clock = clock
        self._looked_at = -inf

    async def empty(self, keep: KeepDisplaced, comparison: ClockComparison) -> None:
        """Remove what was displaced longer ago than is kept.

        A file that cannot be removed is a warning only. Nothing is removed by a clock with which
        the service's does not agree.
        """
        if keep.least is None or self._clock.monotonic() - self._looked_at < _PERIOD:
            return
        now = comparison.agreed(self._clock.now())
        if now is None:
            _log.info("displaced files stay: the service's clock does not confirm this machine's")
            return
        self._looked_at = self._clock.monotonic()
        try:
            await self._offload(self._remove, now, keep)
        except ArtifactSyncError as error:
            _log.warning("displaced files could not be removed", why=str(error))

    def _remove(self, now: datetime, keep: KeepDisplaced) -> None:
        files, size, left, why = 0, 0, 0, ""
        try:
            before = now - timedelta(seconds=keep.least or 0)
        except OverflowError:  # before the beginning of the calendar
            return

        def goes(file: DisplacedFile) -> bool:
            kept = keep.of(file)
            return kept is not None and (now - file.at).total_seconds() >= kept

        for file, error in empty_displaced(self._displacement, before, goes):
            if error is not None:
                left, why = left + 1, why or str(error)
            else:
                files, size = files + 1, size + file.size
        if files:
            _log.info("removed what was displaced long ago", files=files, size=size_in_words(size))
        if left:
            _log.warning("displaced files could not be removed", files=left, why=why)
