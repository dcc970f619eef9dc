"""What the parts of one daemon share."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from artifact_sync.daemon.endangered import EndangeredArtifacts
from artifact_sync.daemon.health import MirrorHealth
from artifact_sync.daemon.repositories import Lags, UnchangedRepositories, WatchedRepositories
from artifact_sync.daemon.schedule.agenda import Agenda
from artifact_sync.daemon.schedule.turns import Moment

if TYPE_CHECKING:
    from random import Random

    from artifact_sync.daemon.engine import Engine
    from artifact_sync.daemon.progress import PassProgress
    from artifact_sync.daemon.schedule.turn_source import TurnSource


@dataclass(frozen=True, slots=True)
class DaemonContext:
    """The shared parts of a daemon. Used on its event loop only."""

    engine: Engine
    progress: PassProgress
    agenda: TurnSource
    repositories: WatchedRepositories
    health: MirrorHealth
    endangered: EndangeredArtifacts
    lags: Lags = field(default_factory=Lags)
    unchanged: UnchangedRepositories = field(default_factory=UnchangedRepositories)

    @classmethod
    def of(
        cls,
        engine: Engine,
        progress: PassProgress,
        repositories: WatchedRepositories | None = None,
        rng: Random | None = None,
    ) -> DaemonContext:
        """The context of a daemon that has just started."""
        return cls(
            engine,
            progress,
            Agenda(rng or random.Random()),  # noqa: S311 - no secret depends on it
            repositories or WatchedRepositories(engine.config.repo),
            MirrorHealth(engine),
            EndangeredArtifacts(engine),
        )

    @property
    def moment(self) -> Moment:
        """Now, by both clocks."""
        return Moment(self.engine.clock.monotonic(), self.engine.clock.now())
