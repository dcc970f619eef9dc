"""Delegate a pass to the daemon that holds the mirror."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from artifact_sync.cli.interrupt import Reporting, StopMessages, until_stopped
from artifact_sync.daemon.control.client import DaemonClient, NoDaemon, tries
from artifact_sync.domain.events import BytesArrived, Downloaded, Failed
from artifact_sync.domain.report import Report
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.runtime.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from artifact_sync.domain.errors import MirrorBusy
    from artifact_sync.domain.events import Event, Observer
    from artifact_sync.domain.request import PassRequest
    from artifact_sync.domain.settings import Config

_log = get_logger(__name__)

_LEAVING = StopMessages(
    "not waiting any longer; the daemon goes on with it (artifact-sync status shows it)",
    "not waited for to its end; the daemon goes on with it",
)


class DelegatedReport:
    """Builds a report from the daemon's events; in the end, holds the daemon's own."""

    def __init__(self, then: Observer) -> None:
        self._then = then
        self.report = Report()

    def notify(self, event: Event) -> None:
        """Count an event and hand it on."""
        report = self.report
        match event:
            case BytesArrived(_, count):
                report.bytes += count
            case Downloaded():
                report.downloaded += 1
                report.found += 1
            case Failed(failure, key):
                report.found += key is not None
                report.failures.append(failure)
            case _:
                pass
        self._then.notify(event)


@dataclass(frozen=True, slots=True)
class Delegation:
    """Has the daemon run a pass. Raises ``busy`` where there is no daemon."""

    config: Config
    request: PassRequest
    jobs: int | None
    busy: MirrorBusy

    async def run(self, observer: Observer) -> Report:
        """Wait for the pass and return its report. Raises what kept it from beginning."""
        progress = DelegatedReport(observer)
        begun: list[Reporting] = []

        def begin(process: int) -> None:
            begun.append(progress)
            self._say(process)

        return await until_stopped(self._ask(progress, begin), begun, _LEAVING)

    async def _ask(self, progress: DelegatedReport, begun: Callable[[int], None]) -> None:
        client, base_url = DaemonClient(self.busy.root / OWN_FOLDER), self.config.source.base_url
        async for _ in tries(self.busy):
            with suppress(NoDaemon):
                progress.report = await client.sync(self.request, base_url, progress, begun)
                return
        raise self.busy

    def _say(self, process: int) -> None:
        _log.info(f"the daemon (process {process}) holds the mirror, and does it")
        if self.jobs is not None:
            _log.info("--jobs does not count here: the daemon's own limit holds")
