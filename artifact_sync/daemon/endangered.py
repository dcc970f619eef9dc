"""Counts what vanishes, has vanished and was displaced, now and then."""

from __future__ import annotations

from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING

from artifact_sync.domain.errors import ArtifactSyncError
from artifact_sync.domain.vanishing import SOON, CreationWindow, Endangered
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.units import counted
from artifact_sync.sync.displaced_files import displaced_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from artifact_sync.daemon.engine import Engine
    from artifact_sync.domain.model import RepoName

_log = get_logger(__name__)

_PERIOD = 60.0
"""Seconds between two counts."""


class EndangeredArtifacts:
    """The last counts. Cheap to read; ``refresh`` counts anew when a minute has passed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._counted_at = -inf
        self.counts: Sequence[Endangered] = ()
        """Of every repository in the ledger."""
        self.displaced: Mapping[RepoName, int] = {}
        """Displaced bytes, by repository."""
        self.verified: Mapping[RepoName, datetime] = {}
        """When what is mirrored was verified longest ago, by repository."""

    async def refresh(self) -> None:
        """Count, unless that was done lately.

        Errors are left to whoever works with the ledger.
        """
        now = self._engine.clock.monotonic()
        if now - self._counted_at >= _PERIOD:
            self._counted_at = now
            try:
                await self.count()
            except ArtifactSyncError as error:
                _log.debug("what vanishes could not be counted", why=str(error))

    async def count(self) -> Sequence[Endangered]:
        """Count now. ``ArtifactSyncError``."""
        engine = self._engine
        retention = engine.config.source.retention
        window = CreationWindow.of(engine.clock.now(), retention, SOON)
        self.counts = await engine.ledger.endangered(window)
        self.verified = await engine.ledger.oldest_verifications()
        repos = [it.repo for it in self.counts]
        arguments = (engine.mirror, engine.layout, repos)
        with suppress(ArtifactSyncError):  # the mirror's disk is away: the last sizes stay
            self.displaced = await engine.offload(displaced_bytes, *arguments)
        return self.counts

    @property
    def verification_ages(self) -> Mapping[str, float]:
        """Seconds since what is mirrored was verified longest ago, by ``org/repo``.

        What was verified in the future, by a wrong clock, counts as just verified.
        """
        now = self._engine.clock.now()
        ages = {str(repo): (now - at).total_seconds() for repo, at in self.verified.items()}
        return {repo: max(age, 0.0) for repo, age in ages.items()}

    @property
    def troubles(self) -> Iterator[str]:
        """What vanishes soon and cannot be fetched, a sentence each."""
        for it in self.counts:
            if it.failing:
                verb = "vanishes" if it.failing == 1 else "vanish"
                yield (
                    f"{counted(it.failing, 'artifact')} of {it.repo} {verb} upstream within two"
                    " days, and fetching fails"
                )

    @property
    def notes(self) -> Iterator[str]:
        """What is lost for good, a sentence each."""
        for it in self.counts:
            if missed := it.expired + it.gone:
                were = "it was" if missed == 1 else "they were"
                yield f"{counted(missed, 'artifact')} of {it.repo} vanished before {were} mirrored"
            if it.lost:
                yield f"{counted(it.lost, 'mirrored file')} of {it.repo} lost: see artifact-sync ls"
