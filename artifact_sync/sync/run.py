"""Sync one run: collect, plan, download, record, write its manifests."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING

from msgspec.structs import replace

from artifact_sync.domain.errors import Reason
from artifact_sync.domain.events import Failed, FetchBegan, Noticed, RunCompleted, RunPlanned
from artifact_sync.domain.link_expiry import link_of
from artifact_sync.domain.model import Action, Failure, State
from artifact_sync.domain.report import Report, lost_failure
from artifact_sync.runtime.units import counted
from artifact_sync.sync import plan as planning
from artifact_sync.sync.adopt import as_adopted, put_back
from artifact_sync.sync.collect import RunSelection, collect
from artifact_sync.sync.completeness import holds_back, is_lacking
from artifact_sync.sync.downloads import Downloads
from artifact_sync.sync.manifests import write_manifests
from artifact_sync.sync.revisit import LAST_LOOK, LAST_RETRY, next_look_time

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping
    from datetime import datetime

    from artifact_sync.domain.model import (
        ArtifactKey,
        MirrorPath,
        Plan,
        Run,
        RunKey,
        Step,
    )
    from artifact_sync.domain.request import PassOptions
    from artifact_sync.sync.collect import Collected, Rows
    from artifact_sync.sync.context import PassContext
    from artifact_sync.sync.rules import Rules

_BATCH = 500
"""Artifacts that are noted at a time: what is on its way to the ledger takes memory, too."""
_NOTES = 100
"""Notes that share a commit."""


class RunSync:
    """Brings one run into the mirror; counts go into ``report``."""

    def __init__(
        self,
        context: PassContext,
        rules: Rules,
        options: PassOptions,
        report: Report,
        let_go: Callable[[ArtifactKey], bool] = lambda _: False,
    ) -> None:
        self.context = context
        self.rules = rules
        self.options = options
        self._total = report
        self._let_go = let_go
        self._open = False
        """Something may still come or change: the run is not settled."""
        self._complete = True
        """Everything that ``holds_back`` a run is present: it gets its manifests."""
        self._to_retry = False
        """Something has failed that a later pass may mend."""
        self._first = False
        """Something of the run comes for the first time: it is not merely mended."""
        self._recorded = False
        """The ledger says what is selected, and not the rules."""
        self._forgotten = False
        """Upstream has forgotten the run."""
        self._was_complete = False
        """Its manifests stand, and stay whatever becomes of the files that they name."""
        self._unsigned = False
        """``SHA256SUMS`` could not be signed; it is tried again later."""
        self._stands = False
        """Files of it stand as recorded, whether the rules still want them or not."""
        self._lacks_new = False
        """Something selected never was here and cannot be had: the run is complete no more."""
        self.report = Report()
        """Of this run alone; added to the pass's at the end."""
        self.gave_way = False
        """``max_size`` has room for newer runs only: this one has gone, and counts for nothing."""
        self._failures: list[str] = []
        """What is told of them to hooks."""

    async def carry_out(
        self, run: Run, looks: int, *, recorded: bool = False, fresh: bool = False
    ) -> None:
        """Plan the run and do what the plan says. ``DiskError``: of the ledger's disk.

        ``recorded``: select what the ledger has a file of, whatever the rules say. ``fresh``: what
        the ledger has is of another run.
        """
        self._recorded = recorded
        rows = await self._known(run.key)
        work = self._plan_and_do(run, {} if fresh else rows, looks)
        del run, rows  # the work has them, and lets them go
        await work

    async def keep_forgotten(self, run: Run, *, recorded: bool = False) -> None:
        """Conclude a run that upstream has forgotten: what is here of it stays."""
        self._recorded, self._forgotten = recorded, True
        await self._plan_and_do(run, await self._known(run.key), 0)

    async def _known(self, key: RunKey) -> Rows:
        """Read what the ledger has of the run."""
        ledger = self.context.ledger
        rows, known = await asyncio.gather(ledger.artifacts(key), ledger.run(key))
        self._was_complete = known is not None and known.complete
        return rows

    async def _plan_and_do(self, run: Run, rows: Rows, looks: int) -> None:
        try:
            plan = await self._plan(run, rows)
            self.context.observer.notify(RunPlanned(plan))
            self._count(plan)
            if not self.options.dry_run:
                await self._note(plan)
                kept = sum(1 for _ in plan.having(Action.KEEP))
                kept += 0 if self._forgotten else await self._fetch(plan)
                has_unpacked = any(row.extraction is not None for row in rows.values())
                del rows, plan  # a run can have thousands of artifacts
                run = replace(run, artifacts=(), logs=())
                if (self.rules.extract or has_unpacked) and not self.gave_way:
                    await self._extract(run)
                await (self._conclude(run, kept, looks) if not self.gave_way else self._go(run))
        finally:
            if not self.gave_way:
                self._total.add(self.report)

    async def _plan(self, run: Run, rows: Rows) -> Plan:
        selection = RunSelection(self.rules, rows, recorded=self._recorded, let_go=self._let_go)
        collected = collect(run, self.rules, selection)
        self._notice_unknown(run, collected)
        if self._recorded and self._was_complete:
            collected = replace(collected, problems=())  # no part of it was ever missed
        elif self._recorded:
            self._complete = not any(map(is_lacking, rows.values()))
        paths = [row.path for row in rows.values() if row.path is not None]
        standing = await self.context.offload(self.context.mirror.sizes, paths)
        rows = await self._adopted(rows, standing)
        terms = planning.PlanTerms(
            self.context.layout,
            self.context.clock.now(),
            selection.wants,
            self.options.insist,
            self.rules.line_without,
            None if self._recorded else self.rules.wants,
            self._forgotten,
            self._let_go,
        )
        here = planning.KnownArtifacts(rows, standing)
        self._stands = any(planning.is_here(row, here) for row in rows.values())
        return planning.make(run, collected, here, terms)

    async def _adopted(self, rows: Rows, standing: Mapping[MirrorPath, int]) -> Rows:
        """The rows, of which those are mirrored again whose files were put back."""
        back = await put_back(self.context, rows.values(), standing)
        if back and not self.options.dry_run:
            await self.context.ledger.unsettle(back[0].key.run_key)  # its manifests are to follow
            await self.context.ledger.adopt(back, self.context.clock.now())
        return {**rows, **{row.key: as_adopted(row) for row in back}} if back else rows

    def _notice_unknown(self, run: Run, collected: Collected) -> None:
        for word in sorted(collected.unknown):
            message = f"unknown artifact status {word!r} in {run.key}: taken as not yet there"
            self.context.observer.notify(Noticed(message))

    def _count(self, plan: Plan) -> None:
        count = {action: sum(1 for _ in plan.having(action)) for action in Action}
        self.report.runs += 1
        self.report.kept += count[Action.KEEP]
        self.report.pending += count[Action.LATER]
        self.report.planned += count[Action.DOWNLOAD] if self.options.dry_run else 0
        self.report.expired += count[Action.EXPIRE]
        apart = count[Action.LATER] + count[Action.SKIP] + count[Action.EXPIRE]
        self.report.found += sum(count.values()) - apart
        self.report.lost += count[Action.LOSE]
        given_up = list(plan.having(Action.GIVE_UP))
        self.report.final += count[Action.REFUSE] + len(given_up) + count[Action.LOSE]
        self._lacks_new = any(holds_back(it.artifact.key, it.row) for it in given_up)
        lacks = plan.problems or count[Action.LOSE] or self._lacks_new
        self._complete = self._complete and not lacks
        self._open = bool(plan.problems or plan.unfinished)
        now = self.context.clock.now()
        for step in plan.having(Action.REFUSE, Action.GIVE_UP, Action.LOSE):
            self._fail(_final_failure(step, now))
        self._notice_expired(plan)
        for problem in plan.problems:
            where = (problem.workflow or None, problem.task or None, problem.cube or None)
            repo, slug = plan.run.key
            self._fail(Failure(str(repo), Reason.BAD_ANSWER, problem.message, slug, *where))

    def _notice_expired(self, plan: Plan) -> None:
        """Warn of what has expired, when that is found and not again."""
        new = [
            step
            for step in plan.having(Action.EXPIRE)
            if step.row is None or step.row.state is not State.EXPIRED
        ]
        if new:
            which = f"{counted(len(new), 'artifact')}, such as {new[0].artifact.key.name!r}"
            self.context.observer.notify(
                Noticed(f"{plan.run.key}: the service has forgotten {which}, before it was wanted")
            )

    def _fail(self, failure: Failure) -> None:
        self._failures.append(failure.message)
        self.report.failures.append(failure)
        self.context.observer.notify(Failed(failure))

    async def _note(self, plan: Plan) -> None:
        """Note in the ledger what is wanted, refused, and wanted no more."""
        notes = self._notes(plan, self.context.clock.now())
        while some := list(islice(notes, _NOTES)):
            async with self.context.ledger.one_commit():
                for note in some:
                    await note

    def _notes(self, plan: Plan, now: datetime) -> Iterator[Awaitable[None]]:
        ledger, run = self.context.ledger, plan.run.key
        news = iter(plan.notes)
        while batch := list(islice(news, _BATCH)):
            yield ledger.note_artifacts(batch, now)
        for step in plan.having(Action.REFUSE, Action.GIVE_UP):
            yield self._note_final(step, now)
        if not self._recorded:
            yield ledger.forget(plan.strays)
            if not self._forgotten:
                yield ledger.mark_noted(run, noted=plan.noted)
        if not self._forgotten and next(plan.having(Action.DOWNLOAD), None) is not None:
            yield ledger.unsettle(run)  # should we be stopped

    async def _note_final(self, step: Step, now: datetime) -> None:
        """Note what no later pass can mend, unless it is known."""
        state = State.REFUSED if step.action is Action.REFUSE else State.GONE
        known = step.row.state if step.row is not None else None
        retold = state is State.REFUSED and step.row is not None and step.row.message != step.why
        if known is not state or retold:
            key, reason = step.artifact.key, step.reason or Reason.INTERNAL
            failure = Failure.of(key, reason, step.why)
            await self.context.ledger.record_failure(key, state, failure, now)

    async def _fetch(self, plan: Plan) -> int:
        """Carry out the downloads; how many files are here besides those kept."""
        transfer = await self.context.transfer()
        fetching = Downloads(self.context, transfer, plan)
        await fetching.hear_checksum_files()
        downloads = [step.artifact for step in fetching.downloads]
        if not downloads:
            return 0
        self._first = any(not (step.row and step.row.sha256) for step in fetching.downloads)
        folder = self.context.layout.run_folder(plan.run.key)
        await self.context.offload(self.context.mirror.check, folder)
        self.context.observer.notify(FetchBegan(plan.run.key, len(downloads)))
        clock, links = self.context.clock, transfer.links
        acquired, now = clock.monotonic(), clock.now()
        fresh = {it.key: link_of(it.url, acquired, now) for it in downloads if it.url}
        linked = [artifact.key for artifact in downloads if not artifact.key.is_log]
        links.open(plan.run.key, fresh, linked)
        try:
            await fetching.run()
        finally:
            links.close(plan.run.key)
            self._take(fetching)
        return fetching.outcome.downloaded - fetching.outcome.distrusted

    async def _go(self, run: Run) -> None:
        """Have the run go, of which no more is fetched: a tombstone stays."""
        from artifact_sync.sync.remove import remove_run  # noqa: PLC0415 - seldom needed

        async with self.context.room.latest(run.key.repo):
            await remove_run(self.context, run.key)
        await self.context.ledger.settle(run.key, self.rules.fingerprint, None)

    async def _extract(self, run: Run) -> None:
        """Unpack archives, whose folders the manifests then name. The pass tells what failed."""
        from artifact_sync.sync.extract import Extractor  # noqa: PLC0415 - few runs need it

        for failure in await Extractor(self.context, self.rules).of_run(run.key):
            self._fail(failure)
            self._open = self._to_retry = True

    def _take(self, fetching: Downloads) -> None:
        outcome = fetching.outcome
        if outcome.gives_way:
            self.gave_way = True
            run = next(iter(fetching.downloads)).artifact.key.run_key
            self.context.observer.notify(Noticed(f"{run} is not mirrored: {outcome.gives_way}"))
        self.report.lost += sum(it.reason is Reason.LOST for it in outcome.failures)
        self.report.downloaded += outcome.downloaded
        self.report.kept -= outcome.distrusted
        self.report.failures.extend(outcome.failures)
        self._failures.extend(failure.message for failure in outcome.failures)
        self._complete = self._complete and not outcome.lacks_any
        self._to_retry = bool(outcome.failures)
        self._lacks_new = self._lacks_new or outcome.lacks_new
        self._open = self._open or bool(outcome.failures or outcome.put_off)
        self.report.pending += outcome.put_off
        self.report.expired += len(outcome.absent)
        self.report.found -= outcome.put_off + len(outcome.absent)
        if new := outcome.newly_absent:
            which = f"{counted(len(new), 'cube')}, such as {new[0].name!r}"
            self.context.observer.notify(
                Noticed(f"{new[0].run_key}: the service has no log of {which}")
            )

    async def _conclude(self, run: Run, kept: int, looks: int) -> None:
        """Write a complete run's manifests; settle a run that is done."""
        ledger, now = self.context.ledger, self.context.clock.now()
        if self._lacks_new and self._was_complete:
            await ledger.mark_complete(run.key, complete=False)
            await self.context.offload(
                self.context.mirror.remove, self.context.layout.beside(run.key)
            )
            complete = False
        elif complete := self._was_complete or (self._complete and bool(kept or self._stands)):
            await self._write_manifest(run)
        async with ledger.one_commit():
            if complete:
                await ledger.mark_complete(run.key, complete=True)
            await ledger.end_run(run.key, len(self._failures), next(iter(self._failures), ""))
            await self._end_look(run.key, kept, looks, now)

    async def _end_look(self, run: RunKey, kept: int, looks: int, now: datetime) -> None:
        ledger = self.context.ledger
        if self._unsigned:
            await ledger.look_again(run, next_look_time(looks, now, LAST_RETRY))
        elif self._recorded:
            return  # whether the run needs more is for the next pass to say
        elif self._open:
            most = LAST_LOOK if self._complete and not self._to_retry else LAST_RETRY
            await ledger.look_again(run, next_look_time(looks, now, most))
        else:
            await ledger.settle(run, self.rules.fingerprint, kept)

    async def _write_manifest(self, run: Run) -> None:
        context, mends = self.context, self.options.recorded
        files, why = await write_manifests(context, run.key, context.origin, mends=mends)
        if why:
            self._unsigned = True
            repo, slug = run.key
            message = f"SHA256SUMS of {run.key} is not signed: mirror.sign_command {why}"
            self._fail(Failure(str(repo), Reason.UNSIGNED, message, slug))
        if self._complete:
            ended = run.finished_at if self._first and not self._was_complete else None
            self.context.observer.notify(RunCompleted(run.key, files, ended))


def _final_failure(step: Step, now: datetime) -> Failure:
    """The failure of a step that no later pass can mend."""
    if step.action is Action.LOSE and step.row is not None:
        since = step.row.lost_since or now
        return lost_failure(replace(step.row, lost_since=since), step.why)
    return Failure.of(step.artifact.key, step.reason or Reason.INTERNAL, step.why)
