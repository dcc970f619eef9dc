"""What the log says of the schedule's notices: once when something begins, once when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.daemon.schedule import (
    OutageBegan,
    OutageEnded,
    PassVerdict,
    RepoFailing,
    RepoRecovered,
    RunGivenUp,
)
from artifact_sync.runtime.logs import get_logger

if TYPE_CHECKING:
    from artifact_sync.daemon.schedule import Notice

_log = get_logger(__name__)

_BEGAN = {
    PassVerdict.UNREACHABLE: "the service cannot be reached; it is tried again now and then",
    PassVerdict.REFUSED: "the service refuses the token; put a valid one into its place",
}
_ENDED = {
    PassVerdict.UNREACHABLE: "the service can be reached again",
    PassVerdict.REFUSED: "the service accepts the token again",
}


def say(notice: Notice) -> None:
    """One line."""
    match notice:
        case OutageBegan(kind, why):
            _log.error(_BEGAN[kind], why=why)
        case OutageEnded(kind, seconds):
            _log.warning(_ENDED[kind], after_s=round(seconds))
        case RepoFailing(repo, why):
            _log.warning("cannot be looked at; tried again ever less often", repo=str(repo),
                         why=why)  # fmt: skip
        case RepoRecovered(repo, after):
            _log.info("can be looked at again", repo=str(repo), after_s=round(after))
        case RunGivenUp(repo, run):
            _log.warning("a webhook announced a run that did not show up", repo=str(repo),
                         run=run)  # fmt: skip
