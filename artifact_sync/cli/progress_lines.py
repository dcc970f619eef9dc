"""Progress as log lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.cli.report_text import failure_line
from artifact_sync.cli.session import Verbosity, session
from artifact_sync.domain.events import (
    Downloaded,
    Failed,
    LinkRenewed,
    Noticed,
    Retrying,
    RunCompleted,
)
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.text import printable
from artifact_sync.runtime.units import counted
from artifact_sync.runtime.units import size_in_words as size

if TYPE_CHECKING:
    from artifact_sync.domain.events import Event

_log = get_logger(__name__)


class ProgressLines:
    """Logs a line a run; with ``-v`` also files, failures, retries and renewed links."""

    def notify(self, event: Event) -> None:
        """Log an event that is worth a line."""
        match event:
            case RunCompleted(run, files):
                _log.info(f"{printable(str(run))}: complete, {counted(files, 'file')}")
            case Failed(failure):
                _log.debug(failure_line(failure))  # the summary spells it out
            case Noticed(message, unfit):
                quiet = session().verbosity is Verbosity.QUIET
                # cron must hear of what mirrors nothing
                log = _log.error if unfit is not None and quiet else _log.warning
                log(printable(message))
            case Downloaded(mirrored, displaced):
                path = printable(mirrored.path)
                _log.debug("mirrored", path=path, size=size(mirrored.size), by=mirrored.strength)
                if displaced:
                    _log.warning("a stranger was in the way", path=path, moved_to=displaced)
            case Retrying(what, delay, why):
                why = printable(why)
                _log.debug("trying again", what=printable(what), in_s=round(delay, 1), why=why)
            case LinkRenewed(run, links):
                _log.debug("links renewed", run=printable(str(run)), links=links)
            case _:
                pass
