"""When it is time to look at which repository. Pure: time comes in as values; nothing waits."""

from artifact_sync.schedule.agenda import Agenda
from artifact_sync.schedule.moment import Moment
from artifact_sync.schedule.notices import (
    Notice,
    OutageBegan,
    OutageEnded,
    RepoFailing,
    RepoRecovered,
    RunGivenUp,
)
from artifact_sync.schedule.outage import Outage
from artifact_sync.schedule.rhythm import Interval, Rhythm, rhythm_of
from artifact_sync.schedule.turns import Ended, Standing, Turn, Verdict, Why

__all__ = [
    "Agenda",
    "Ended",
    "Interval",
    "Moment",
    "Notice",
    "Outage",
    "OutageBegan",
    "OutageEnded",
    "RepoFailing",
    "RepoRecovered",
    "Rhythm",
    "RunGivenUp",
    "Standing",
    "Turn",
    "Verdict",
    "Why",
    "rhythm_of",
]
