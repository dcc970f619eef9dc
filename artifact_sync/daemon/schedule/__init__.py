"""Decides when a pass over which repository is due. Pure."""

from artifact_sync.daemon.schedule.agenda import Agenda
from artifact_sync.daemon.schedule.intervals import Interval, Moment, Rhythm, rhythm_of
from artifact_sync.daemon.schedule.outage import Outage
from artifact_sync.daemon.schedule.turns import (
    Ended,
    Notice,
    OutageBegan,
    OutageEnded,
    PassVerdict,
    RepoFailing,
    RepoRecovered,
    RunGivenUp,
    ScheduleState,
    Turn,
    Why,
)

__all__ = [
    "Agenda",
    "Ended",
    "Interval",
    "Moment",
    "Notice",
    "Outage",
    "OutageBegan",
    "OutageEnded",
    "PassVerdict",
    "RepoFailing",
    "RepoRecovered",
    "Rhythm",
    "RunGivenUp",
    "ScheduleState",
    "Turn",
    "Why",
    "rhythm_of",
]
