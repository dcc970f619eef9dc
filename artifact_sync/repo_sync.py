"""One repository: which of its runs need a look, and having each looked at.

Reading the list of runs is ``discover``'s, what happens to one run is ``run_sync``'s.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import structlog

from artifact_sync.discover import discover
from artifact_sync.errors import ArtifactSyncError, BadAnswer, Reason
from artifact_sync.events import Failed, Noticed, RepoBegan
from artifact_sync.model import FINISHED, UNFINISHED, Failure, RepoName, RunKey
from artifact_sync.run_sync import Mode, RunSync, Selection, next_look

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Sequence
    from datetime import datetime

    from artifact_sync.fetching import Works
    from artifact_sync.model import ArtifactRow, MirrorPath, Run, RunRow
    from artifact_sync.ports import Source
    from artifact_sync.report import Report

_log = structlog.get_logger(__name__)

_RECENT = 2000
"""Files of the newest runs whose presence every pass looks at; ``verify`` looks at all."""


@dataclass(frozen=True, slots=True)
class Crew:
    """What is shared by all repositories of a pass."""

    source: Source
    works: Works
    runs_at_once: asyncio.Semaphore
    """Bounds the memory that trees of runs take: a run can have thousands of artifacts."""


@dataclass(slots=True)
class RepoSync:
    """A pass over one repository. Counts and failures go into ``report``."""

    crew: Crew
    repo: RepoName
    selection: Selection
    mode: Mode
    report: Report
    _began: datetime = field(init=False)
    _since: datetime | None = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.crew.works.tools.clock.now()
        self._since = self.selection.rules.horizon(self._began)

    async def everything(self) -> None:
        """Look at every run that is new or has something outstanding; count the settled ones."""
        self._notify_began()
        await self._guard(self._recorded(), None)

    async def only(self, runs: Sequence[str]) -> None:
        """Look at these runs, whatever is known of them."""
        self._notify_began()
        for run in dict.fromkeys(runs):
            await self._look(RunKey(self.repo, run), None)
        await self._guard(self._point_latest(), None)

    async def _recorded(self) -> None:
        """The pass, with its begin and end in the ledger; a ledger that fails is a failure, too."""
        number = await self.crew.works.ledger.begin_pass(self.repo, self._began)
        try:
            await self._guard(self._everything(), None)
        finally:
            now = self.crew.works.tools.clock.now()
            end = self.crew.works.ledger.end_pass(number, self.report, now)
            await self._guard(asyncio.shield(end), None)

    def _notify_began(self) -> None:
        self.crew.works.tools.observer.notify(RepoBegan(self.repo))

    async def _everything(self) -> None:
        await self._unsettle_damaged()
        listed = await self._list()
        await self._count_settled()
        if listed:
            await self._look_at_unsettled()
            await self._point_latest()

    async def _list(self) -> bool:
        """Read the list of runs; whether it makes sense to go on with what is known."""
        crew = self.crew
        try:
            await discover(crew.source, crew.works.ledger, self.repo, self._since, self._began)
        except ArtifactSyncError as error:
            self._fail(None, error.reason, str(error))
            return isinstance(error, BadAnswer)
        return True

    async def _unsettle_damaged(self) -> None:
        """Have runs looked at again whose files or manifest somebody took from the mirror."""
        ledger, offload = self.crew.works.ledger, self.crew.works.tools.offload
        recent = await ledger.recent(self.repo, _RECENT)
        damaged, bare = await offload(self._damaged, recent)
        for run in damaged | bare:
            row = await ledger.run(run)
            if run in damaged or (row is not None and row.complete):
                await ledger.unsettle(run)

    def _damaged(self, rows: Sequence[ArtifactRow]) -> tuple[set[RunKey], set[RunKey]]:
        """Runs with a file that does not stand as recorded, and runs that lack a manifest."""
        runs = {row.key.run_key for row in rows}
        damaged = {row.key.run_key for row in rows if self._size(row.path) != row.size}
        manifests = self.selection.layout.manifests
        bare = {run for run in runs if None in map(self._size, manifests(run))}
        return damaged, bare

    def _size(self, path: MirrorPath | None) -> int | None:
        """The size of a regular file of the mirror; None when there is none."""
        found = self.crew.works.tools.mirror.find(path) if path is not None else None
        return found.size if found is not None and found.kind == "file" else None

    async def _count_settled(self) -> None:
        """Count what needs no look: it was present and verified, or has failed for good."""
        ledger, fingerprint = self.crew.works.ledger, self.selection.rules.fingerprint
        runs, kept = await ledger.settled_totals(self.repo, fingerprint, self._since)
        unwell = await ledger.unwell(self.repo, fingerprint, self._since)
        self.report.runs += runs
        self.report.kept += kept
        self.report.found += kept + len(unwell)
        for row in unwell:
            failure = Failure.of(row.key, Reason(row.reason), row.message)
            self.report.failures.append(failure)

    async def _look_at_unsettled(self) -> None:
        fingerprint = self.selection.rules.fingerprint
        rows = self.crew.works.ledger.unsettled(self.repo, fingerprint, self._since)
        async with asyncio.TaskGroup() as group:
            async for row in rows:
                if await self._needs_look(row):
                    await self.crew.runs_at_once.acquire()
                    look = group.create_task(self._look(row.key, row))
                    look.add_done_callback(lambda _: self.crew.runs_at_once.release())

    async def _needs_look(self, row: RunRow) -> bool:
        """Whether a request for the run is worth it. What a listing leaves out decides nothing."""
        seen_now = row.seen_at is not None and row.seen_at >= self._began
        if not row.status:
            return self._is_due(row)
        if row.status in FINISHED:
            if self.selection.rules.may_want_run(row.status, row.event):
                return self._is_due(row)
            await self.crew.works.ledger.settle(row.key, self.selection.rules.fingerprint, None)
            return False
        self._notice_unknown(row.status, row.key)
        self.report.pending += seen_now
        return not seen_now and self._is_due(row)

    def _is_due(self, row: RunRow) -> bool:
        return self.mode.eager or row.next_look is None or row.next_look <= self._began

    def _notice_unknown(self, status: str, key: RunKey) -> None:
        if status not in UNFINISHED | FINISHED:
            message = f"unknown status {status!r} of {key}: taken as not finished"
            self.crew.works.tools.observer.notify(Noticed(message))

    async def _look(self, key: RunKey, row: RunRow | None) -> None:
        await self._guard(self._look_at(key, row), key.run)

    async def _look_at(self, key: RunKey, row: RunRow | None) -> None:
        """Get a run and, when it has finished and is wanted, bring it into the mirror."""
        crew, now = self.crew, self.crew.works.tools.clock.now()
        run = await crew.source.run(key)
        looks = row.looks if row is not None else 0
        if not run.status:
            await self._no_status(key, row)
            return
        if row is not None and not run.event:
            run = replace(run, event=row.event)
        await crew.works.ledger.note_run(run, now)
        if not run.finished:
            await self._not_finished(run, looks)
            return
        wanted = self.selection.rules.wants_run(run.status, run.event)
        if wanted or self.mode.insist:
            sync = RunSync(crew.works, self.selection, self.mode, self.report)
            await sync.carry_out(run, looks)
        if not wanted:  # also what the user has insisted on counts in no later pass
            await crew.works.ledger.settle(key, self.selection.rules.fingerprint, None)

    async def _no_status(self, key: RunKey, row: RunRow | None) -> None:
        """An answer that does not say whether the run has finished cannot be acted on."""
        if row is not None:
            now = self.crew.works.tools.clock.now()
            await self.crew.works.ledger.look_again(key, next_look(row.looks, now))
        message = f"the answer about {key} has no status: try again, or report it to the service"
        self._fail(key.run, Reason.BAD_ANSWER, message)

    async def _not_finished(self, run: Run, looks: int) -> None:
        self._notice_unknown(run.status, run.key)
        now = self.crew.works.tools.clock.now()
        await self.crew.works.ledger.look_again(run.key, next_look(looks, now))
        if self.mode.insist:
            message = f"{run.key} has not finished, its status is {run.status!r}: try again later"
            self._fail(run.key.run, Reason.UNFINISHED, message)
        else:
            self.report.pending += 1

    async def _point_latest(self) -> None:
        """Point ``latest`` and ``latest-success`` at the newest complete runs, if there are any."""
        if self.mode.dry_run:
            return
        layout, tools = self.selection.layout, self.crew.works.tools
        newest = await self.crew.works.ledger.newest_complete(self.repo)
        for link, run in zip(layout.latest(self.repo), newest, strict=True):
            if run is not None:
                await tools.offload(tools.mirror.point, link, layout.run_folder(run))
            else:
                await tools.offload(tools.mirror.unpoint, link)

    async def _guard(self, work: Awaitable[None], run: str | None) -> None:
        """Let a failure of this run or repository be one entry of the report and stop nothing."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 - one bad run never stops the others
            for reason, message in reasons_of(error, repo=str(self.repo), run=run):
                self._fail(run, reason, message)

    def _fail(self, run: str | None, reason: Reason, message: str) -> None:
        failure = Failure(str(self.repo), reason, message, run)
        self.report.failures.append(failure)
        self.crew.works.tools.observer.notify(Failed(failure))


def reasons_of(error: BaseException, **where: object) -> Iterator[tuple[Reason, str]]:
    """What to say of an error, or of each in a group: reason and message. Bugs are logged."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from reasons_of(inner, **where)
    elif isinstance(error, ArtifactSyncError):
        yield error.reason, str(error)
    else:
        _log.error("a bug", exc_info=error, **where)
        yield Reason.INTERNAL, f"a bug in artifact-sync: {type(error).__name__}"
