"""Sync one repository: find the runs that need a look, and look at each."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from artifact_sync.domain.errors import (
    ArtifactSyncError,
    BadAnswer,
    Interrupted,
    NotFound,
    Reason,
    RepositoryBusy,
    ServiceError,
    UnusableEntries,
)
from artifact_sync.domain.events import Failed, Noticed, RepoBegan, RepoEnded, RepoListed
from artifact_sync.domain.forget_rules import ForgetRules
from artifact_sync.domain.keeping import ListingVerdict
from artifact_sync.domain.model import (
    FINISHED,
    REMOVED,
    UNFINISHED,
    Failure,
    RepoName,
    Run,
    RunKey,
    State,
)
from artifact_sync.domain.report import (
    Report,
    report_of,
    report_of_put_off,
    report_of_unasked,
)
from artifact_sync.domain.request import Unchanged
from artifact_sync.domain.vanishing import CreationWindow, urgency
from artifact_sync.runtime.tasks import to_its_end
from artifact_sync.runtime.units import counted
from artifact_sync.sync.adopt import adopt, put_back
from artifact_sync.sync.context import leased
from artifact_sync.sync.discover import Listing, discover, known_digest
from artifact_sync.sync.failures import reasons_of
from artifact_sync.sync.filters import FilterFit
from artifact_sync.sync.latest import point_latest
from artifact_sync.sync.manifests import has_signature, refresh_manifests
from artifact_sync.sync.reselect import reselected
from artifact_sync.sync.revisit import LAST_RETRY, is_due, next_look_time

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Sequence

    from artifact_sync.domain.events import Event
    from artifact_sync.domain.model import ArtifactRow, ExpectedFile, RunRow
    from artifact_sync.domain.request import PassOptions, PassRequest
    from artifact_sync.sync.context import PassContext
    from artifact_sync.sync.extract import Extractor
    from artifact_sync.sync.rules import Rules
    from artifact_sync.sync.run import RunSync
    from artifact_sync.sync.urgency import RepoTurn

_RECENT = 2000
"""Files of the newest runs whose sizes every pass looks at; ``verify`` reads all files."""


_KEPT = (State.MIRRORED, State.LOST, State.EXPIRED, State.UNWANTED, *REMOVED)
"""States that make a repository one that is known, and no typing error. As in the ledger."""

_RECORD = timedelta(minutes=10)
"""After so long a pass with nothing new is recorded, too."""

_JUST_LISTED = timedelta(days=1)
"""What was listed within so long and is not any more makes a list one that is not to be trusted."""

_LAST_TRIES = 5
"""Looks at a run that is gone, or at a list with a garbled slug, before it is no failure."""


class RepoSync:
    """A pass over one repository. Counts and failures go into ``report``."""

    def __init__(
        self,
        context: PassContext,
        repo: RepoName,
        rules: Rules,
        options: PassOptions,
        report: Report,
    ) -> None:
        self.context = context
        self.repo = repo
        self.rules = rules
        self.options = options
        self.report = report
        self._trouble: Exception | None = None
        self.turn: RepoTurn | None = None
        """Its turn among the repositories of a pass; None: it is the only one."""
        self.is_listed = True
        """Whether its organisation's list was read, if it was needed; else nothing is asked."""
        self._recorded = True
        """The ledger gets a record of the pass."""
        self._recorded_lately = False
        self._is_unchanged = False
        """List and ledger are as an earlier pass has left them: nothing else is to be done."""
        self._listed = False
        """The list was read: what it shows was seen now."""
        self._began = context.clock.now()
        self._scope = rules.scope(repo, self._began)._replace(until=self._until)
        self._filters: FilterFit | None = None
        self._let_go = ForgetRules()
        self._is_bounded = bool(context.room.bounds(repo))
        self._has_no_room: datetime | None = None
        """When the newest run was created that ``max_size`` had no room for."""
        self._passed_over = 0
        self._unpacks: Extractor | None = None
        self.unchanged: Unchanged | None = None
        """What the next pass may skip; None: everything is to be done, or nobody will ask."""
        self.unfit: frozenset[tuple[str, str]] | None = None
        """Of ``org/*``: the filters that fit nothing here; None: nothing was met."""

    @property
    def _until(self) -> datetime | None:
        """What was created later is not asked for; None: everything is."""
        if self.options.expiring is None:
            return None
        window = CreationWindow.of(self._began, self.context.retention, self.options.expiring)
        return window.until

    async def run(self, request: PassRequest) -> Exception | None:
        """Carry out a request; the error, if the repository could not be read.

        A run's own failure is only in the report.
        """
        await self._guard(self._leased(request))
        return self._trouble

    async def _leased(self, request: PassRequest) -> None:
        async with self._held():
            known = await self._as_known(request.unchanged)
            self._notify(RepoBegan(self.repo))
            if known is None:
                await self._guard(self._finish_forgetting())
            async with self.context.room.shared(self.repo):
                if request.runs:
                    await self._named(request.runs)
                elif not self.is_listed:
                    await self._guard(self._recall())
                else:
                    await self._all(request.announced, known)
            self._notify(RepoEnded(self.repo, self.report))
            if request.remembers and self._trouble is None:
                self.unchanged = await self._left_behind(known)

    async def _as_known(self, known: Unchanged | None) -> Unchanged | None:
        """What is known, if the ledger stands as it did then, whoever has written meanwhile.

        While the repository is held, so that nobody does until the pass has ended.
        """
        if known is not None:
            standing = await self.context.ledger.standing(self._scope)
            if standing.agrees(known.standing):
                self._let_go = standing.forget_rules
                self._recorded_lately = self._is_lately(standing.last_pass)
                return known
        await self.context.ledger.check_version()
        return None

    def _is_lately(self, last: datetime | None) -> bool:
        """Whether those who ask the ledger alone need no other record of a pass yet."""
        return last is not None and timedelta() <= self._began - last < _RECORD

    async def _left_behind(self, known: Unchanged | None) -> Unchanged | None:
        """What the next pass may skip, when this one has left nothing to do.

        Read while the repository is held, so that it belongs to what the pass has counted.
        """
        counted = not any(self.context.room.take_gone(self.repo))  # what has gone since is not
        if not (counted and self.report.caught_up) or self.report.pending:
            return None
        if self._is_unchanged:
            return known
        standing = await self.context.ledger.standing(self._scope)
        return Unchanged(standing, self.report.repeated) if standing.is_at_rest else None

    @asynccontextmanager
    async def _held(self) -> AsyncGenerator[None]:
        """Hold the repository; while somebody else does, others of the pass go before it."""
        async with AsyncExitStack() as stack:
            try:
                held = leased(self.context.lock, self.repo, wait=self.turn is None)
                await stack.enter_async_context(held)
            except RepositoryBusy:
                if self.turn is None:
                    raise
                self.turn.listed()
                await stack.enter_async_context(leased(self.context.lock, self.repo))
            yield

    async def _finish_forgetting(self) -> None:
        """Read what was let go, and finish what of it was broken off."""
        ledger = self.context.ledger
        self._let_go = await ledger.forget_rules(self.repo)
        begun = self._let_go.unfinished or await ledger.being_pruned(self.repo)
        if begun and not self.options.dry_run:
            from artifact_sync.sync.forget import finish_forgetting  # noqa: PLC0415 - hardly ever

            await finish_forgetting(self.context, self.repo)

    async def _all(self, announced: Sequence[str], known: Unchanged | None) -> None:
        """Look at new and outstanding runs; count the settled ones.

        Also at announced runs that no listing has shown as finished yet. One that is not there is
        no failure. While a repository is as it is ``known``, the pass is one request and is not
        recorded.
        """
        try:
            await self._guard(self._everything(announced, known))
            if self._trouble is None and not self._is_unchanged:
                await self._guard(self._judge_filters())
        finally:
            self.report.bytes = self.context.observer.of(self.repo)
            self._count_gone()
            if self._recorded:
                await self._guard(to_its_end(self._record()))
                await self._guard(self.context.ledger.post_expiring(self._scope))

    def _count_gone(self) -> None:
        """Count no more what has gone meanwhile to make room."""
        runs, files = self.context.room.take_gone(self.repo)
        kept = min(files, self.report.kept)
        self.report.add(Report(runs=-runs, found=-files, kept=-kept, downloaded=kept - files))

    async def _named(self, runs: Sequence[str]) -> None:
        """Look at these runs, whatever is known of them."""
        for run in dict.fromkeys(runs):
            if self._let_go.forgets_run(RunKey(self.repo, run)):
                self._notice_let_go(run)
            else:
                await self._look(RunKey(self.repo, run), None)
                await self._guard(self._extract_named(RunKey(self.repo, run)), run)
        await self._guard(self._point_latest())
        if self._trouble is None:
            await self._guard(self._judge_filters())
        self.report.bytes = self.context.observer.of(self.repo)

    def _notice_let_go(self, run: str) -> None:
        hint = f"artifact-sync remember {self.repo} {run} takes that back"
        self._notify(Noticed(f"{RunKey(self.repo, run)} was forgotten on purpose: {hint}"))

    async def _filter_fit(self) -> FilterFit:
        if self._filters is None:
            noted = await self.context.ledger.filter_notes(self.repo)
            self._filters = FilterFit(self.rules, noted)
        return self._filters

    async def _judge_filters(self) -> None:
        """Tell, and note, which filters have fitted nothing so far."""
        settings = self.rules.settings
        if self.options.recorded or not (self._filters or settings.workflows or settings.include):
            return
        ledger, filters = self.context.ledger, await self._filter_fit()
        if filters.is_new and filters.is_open:  # as where an older version kept the ledger
            await self._take_recorded(filters)
        star = RepoName.parse(settings.name).is_star  # the pass judges over all of them
        self.unfit = filters.unfit_globs if star else None
        unfit = () if star else filters.unfit(self.repo)
        for message in unfit:
            self._notify(Noticed(message, self.repo))
        notes = filters.notes(unfit)
        if notes is not None and not self.options.dry_run:
            await ledger.note_filters(self.repo, notes)

    async def _take_recorded(self, filters: FilterFit) -> None:
        async with aclosing(self.context.ledger.listing(self.repo)) as rows:
            left = _RECENT
            async for row in rows:
                filters.take([row.key])
                left -= 1
                if not (left and filters.is_open):
                    break

    async def _record(self) -> None:
        """Record the pass; one over a part of the runs cannot be a complete one."""
        if self.options.expiring is not None:
            return
        ledger = self.context.ledger
        number = await ledger.begin_pass(self.repo, self._began)
        await ledger.end_pass(number, self.report, self.context.clock.now())

    def _notify(self, event: Event) -> None:
        self.context.observer.notify(event)

    async def _recall(self) -> None:
        """Tell what is known, without a request and without a record of the pass."""
        self.unfit = frozenset()  # nobody can say that a filter fits nothing
        await self._look_at_files()
        await self._count_settled()
        await self._count_unsettled()

    async def _everything(self, announced: Sequence[str], known: Unchanged | None) -> None:
        await self._look_at_files()
        listed = await self._list(known)
        if not self._is_unchanged or self.rules.extract or (known and known.standing.unextracted):
            await self._guard(self._extract())
        if self._is_unchanged:
            return
        await self._count_settled()
        if listed:
            await self._look_at_unsettled()
            await self._look_at_announced(announced)
            await self._point_latest()
        else:
            await self._count_unsettled()
        await self._guard(self._tell_unpacked())

    async def _extract(self) -> None:
        """Unpack what is left to be unpacked, also where the service does not answer."""
        if (extractor := await self._extractor()) is not None:
            await extractor.of_repository(self.repo)

    async def _extract_named(self, run: RunKey) -> None:
        if (extractor := await self._extractor()) is not None:
            await extractor.of_named(run)
            await extractor.tell(self.repo, self.report, run)

    async def _tell_unpacked(self) -> None:
        if (extractor := await self._extractor()) is not None:
            await extractor.tell(self.repo, self.report)

    async def _extractor(self) -> Extractor | None:
        """What unpacks archives; None: nothing is to be unpacked, nor was left so."""
        if self._unpacks is None and not self.options.dry_run:
            ledger = self.context.ledger
            if self.rules.extract or await ledger.unfinished_extractions(self.repo):
                from artifact_sync.sync.extract import Extractor  # noqa: PLC0415 - most passes need none

                self._unpacks = Extractor(self.context, self.rules)
        return self._unpacks

    async def _look_at_files(self) -> None:
        if self.options.look:
            await self._adopt_put_back()
            await self._unsettle_damaged()

    async def _adopt_put_back(self) -> None:
        """Take back files that were lost and stand again as recorded. ``DiskError``."""
        context = self.context
        missing = [] if self.options.dry_run else await context.ledger.missing(self.repo)
        paths = [row.path for row in missing if row.path is not None]
        standing = await context.offload(context.mirror.sizes, paths) if paths else {}
        await adopt(context, await put_back(context, missing, standing), context.clock.now())

    async def _unsettle_damaged(self) -> None:
        """Unsettle runs whose recent files or manifests are missing. ``DiskError``."""
        context, ledger = self.context, self.context.ledger
        recent = await ledger.recent(self.repo, _RECENT)
        missing = await context.offload(_missing, context, recent)
        for run in missing.damaged | missing.bare | missing.unsigned:
            row = await ledger.run(run)
            put_off = run not in missing.bare and row is not None and not row.settled_for
            if run in missing.damaged or (row is not None and row.complete and not put_off):
                await ledger.unsettle(run)
            if run in missing.damaged and not self.options.dry_run:
                await self._note_lost(run)

    async def _note_lost(self, run: RunKey) -> None:
        """Note which files of a run are missing, whatever the service says then."""
        context = self.context
        rows = [it for it in (await context.ledger.artifacts(run)).values() if it.here]
        paths = [row.path for row in rows if row.path is not None]
        standing = await context.offload(context.mirror.sizes, paths)
        lost = [it for it in rows if it.path is None or standing.get(it.path) != it.size]
        await context.ledger.note_lost(lost, context.clock.now())

    async def _judge_listing(self, flaw: str) -> None:
        """Note what the listing came to, for whoever prunes by it."""
        ledger, at = self.context.ledger, self._began
        if not flaw and (left_out := await ledger.unlisted(self.repo, at - _JUST_LISTED, at)):
            flaw = f"it lacks run {left_out}, which it had a while ago"
        if not flaw and self.context.clock_is_wrong():
            flaw = "this machine's clock and the service's differ"
        if not self.options.dry_run:
            await ledger.note_listing(self.repo, ListingVerdict(at, flaw))

    async def _list(self, known: Unchanged | None) -> bool:
        ledger = self.context.ledger
        if self._let_go.forgets_repository:
            self._notify(RepoListed(self.repo))
            return True
        try:
            if known is not None:
                digest = known.standing.list_digest
            else:
                digest = await known_digest(ledger, self._scope, self._began)
            pages = self.context.source.runs(self.repo, digest)
            listing = await discover(pages, ledger, self.repo, self._scope.since, self._began)
        except ArtifactSyncError as error:
            await self._judge_listing(str(error))
            if await self._is_harmless(error):
                self._listed = True
                self._notify(RepoListed(self.repo))
                return True
            self._trouble = error
            self._fail(None, error.reason, str(error))
            return isinstance(error, BadAnswer)
        self._listed = listing is not Listing.UNCHANGED
        self._is_unchanged = known is not None and not self._listed
        self._recorded = not (self._is_unchanged and self._recorded_lately)
        if self._listed:
            await self._judge_listing("it is empty, and was not" if listing is Listing.VOID else "")
        elif self._recorded:
            verdict = await ledger.listing_verdict(self.repo)
            if verdict is None or not verdict.flaw:  # it is as it was when it was read
                await self._judge_listing("")
        if listing is Listing.VOID:
            hint = "what is mirrored stays; if it has runs, look at the token and at the service"
            self._notify(Noticed(f"the list of runs of {self.repo} is empty, and was not: {hint}"))
        if self._is_unchanged and known is not None:
            self.report.add(known.report)
        self._notify(RepoListed(self.repo))
        return True

    async def _is_harmless(self, error: ArtifactSyncError) -> bool:
        """Whether what is here can be judged all the same."""
        if isinstance(error, NotFound):
            return await self._is_forgotten()
        return isinstance(error, UnusableEntries) and await self._is_old_news(error)

    async def _is_forgotten(self) -> bool:
        """Whether the repository is known and is gone upstream: what is here stays."""
        ledger = self.context.ledger
        states = (await ledger.totals(self.repo)).states
        if not any(states.get(state) for state in _KEPT):
            return False
        await ledger.lose_repository(self.repo, self._began)
        message = f"{self.repo} is not there any more, or the token may not see it"
        self._notify(Noticed(f"{message}: what is mirrored stays"))
        return True

    async def _is_old_news(self, error: UnusableEntries) -> bool:
        """Whether the list has had these entries for a while: no run that can be asked for."""
        return await self.context.ledger.count_unusable(self.repo, error.entries) > _LAST_TRIES

    async def _count_settled(self) -> None:
        """Count settled runs: present and verified, or failed for good."""
        runs, kept = await self.context.ledger.settled_totals(self._scope)
        unwell = await self.context.ledger.unwell(self._scope)
        expired = await self.context.ledger.expired(self._scope)
        self.report.add(Report(runs=runs, found=kept, kept=kept, expired=expired))
        self.report.add(report_of(unwell))

    async def _count_unsettled(self) -> None:
        """Count what is known of the other runs, of which nobody can be asked."""
        async with aclosing(self.context.ledger.unsettled(self._scope)) as rows:
            async for row in rows:
                if not self._let_go.forgets_run(row.key):
                    await self._count_unasked(row)

    async def _count_unasked(self, row: RunRow) -> None:
        if row.status in UNFINISHED:
            self.report.pending += 1
            await self._count_lost(row.key)
        if row.status in FINISHED and await self._may_count(row) and not await self._is_met(row):
            rows = await self._wanted(row)
            self.report.add(report_of_unasked(rows))
            if any(it.state is State.LOST for it in rows) and not self.options.dry_run:
                await refresh_manifests(self.context, row.key, self.context.origin)
            await self._judge_signature(row, "the service must answer first")

    async def _count_put_off(self, row: RunRow) -> None:
        """Count a finished run whose next look is not due yet."""
        self.report.add(report_of_put_off(row, await self._wanted(row)))
        await self._judge_signature(row, f"the next try is at {row.next_look}")

    async def _count_lost(self, key: RunKey) -> None:
        """Count what is lost of a run that has not finished, as one that was restarted."""
        rows = (await self.context.ledger.artifacts(key)).values()
        lost = [it for it in rows if it.state is State.LOST and self.rules.wants(it.key)]
        self.report.add(report_of(lost))
        if lost and not self.options.dry_run:
            await refresh_manifests(self.context, key, self.context.origin)

    async def _wanted(self, row: RunRow) -> Sequence[ArtifactRow]:
        rows = await self.context.ledger.artifacts(row.key)
        return [it for key, it in rows.items() if self.rules.wants(key)]

    async def _judge_signature(self, row: RunRow, then: str) -> None:
        mirror, signature = self.context.mirror, self.context.layout.signature(row.key)
        if row.complete and not await self.context.offload(has_signature, mirror, signature):
            message = f"SHA256SUMS of {row.key} is not signed: {then}"
            failure = Failure(str(self.repo), Reason.UNSIGNED, message, row.key.run)
            self.report.failures.append(failure)

    async def _look_at_unsettled(self) -> None:
        vanished = CreationWindow.of(self._began, self.context.retention, 0.0).after
        if self._is_bounded:  # the newest first: those are what stays
            vanished = datetime.max.replace(tzinfo=UTC)
        if self.turn is not None and await self.context.ledger.next_look(self._scope) is not None:
            await self.turn.to_look()
        slots = self.context.runs_at_once
        rows = self.context.ledger.unsettled(self._scope, vanished)
        async with aclosing(rows), asyncio.TaskGroup() as group:
            with slots.queue() as slot:
                async for row in rows:
                    if self.context.drain.closed:
                        break  # raising would break off the looks of this group under way
                    async with self.context.room.held(row.key):
                        needs_look = await self._needs_look(row)
                    if needs_look:
                        await slot(urgency(row.created_at, vanished))
                        look = group.create_task(self._look(row.key, row))
                        look.add_done_callback(lambda _: slots.release())
        self._check_open()
        if self._passed_over:
            which = counted(self._passed_over, "older run")
            does = "is" if self._passed_over == 1 else "are"
            message = f"{which} of {self.repo} {does} not mirrored: keep.max_size has no room"
            self._notify(Noticed(message))

    async def _needs_look(self, row: RunRow) -> bool:
        """Whether to ask for the run. What a listing leaves out decides nothing."""
        pruned = row.pruned_at is not None and row.status
        if pruned or self._let_go.forgets_run(row.key):
            await self.context.ledger.settle(row.key, self.rules.fingerprint, None)
            return False
        seen_now = row.seen_at == self._began  # as ``discover`` notes it; a clock may be set back
        if not row.status:
            return self._is_due(row)
        if row.status in FINISHED:
            return await self._needs_finished(row)
        self._notice_unknown(row.status, row.key)
        if not seen_now and self._is_due(row):
            return True
        await self._count_lost(row.key)
        if not seen_now:
            return False
        self.report.pending += 1
        if is_due(row.next_look, self._began):  # the listing was the look
            await self.context.ledger.look_again(row.key, next_look_time(row.looks, self._began))
        return False

    async def _needs_finished(self, row: RunRow) -> bool:
        wanted = await self._may_count(row)
        if not wanted:
            await self.context.ledger.settle(row.key, self.rules.fingerprint, None)
        elif await self._is_met(row) or await self._is_passed_over(row):
            return False
        elif not self._is_due(row):
            await self._count_put_off(row)
        return wanted and self._is_due(row)

    async def _is_passed_over(self, row: RunRow) -> bool:
        """Whether ``max_size`` had no room for a newer run: then a tombstone is left of this."""
        created, ledger = row.creation.at or row.created_at, self.context.ledger
        if self._has_no_room is None or created is None or not created < self._has_no_room:
            return False
        if await ledger.artifacts(row.key) or not await self.context.room.passes_over(row):
            return False
        await ledger.prune_run(row.key, self.context.clock.now())
        await ledger.settle(row.key, self.rules.fingerprint, None)
        self._passed_over += 1
        return True

    async def _may_count(self, row: RunRow) -> bool:
        wanted = self.rules.may_want_run(row.status, row.event)
        return wanted or await self._is_requested(row.key)

    async def _is_met(self, row: RunRow) -> bool:
        """Whether a settled run holds all that other rules want: then they are noted."""
        known = row.settled_for and row.noted and row.complete
        if not known or self.options.dry_run or self.options.recorded:
            return False
        rows = (await self.context.ledger.artifacts(row.key)).values()
        choice = reselected(rows, self.rules)
        if choice is None:
            return False
        ledger = self.context.ledger
        (await self._filter_fit()).take(it.key for it in rows)
        await ledger.note_artifacts(choice.notes, self.context.clock.now())
        await ledger.settle(row.key, self.rules.fingerprint, choice.kept)
        counts = Report(runs=1, found=choice.kept, kept=choice.kept, expired=choice.expired)
        self.report.add(counts)
        return True

    async def _is_requested(self, key: RunKey) -> bool:
        """Whether the ledger holds a request for a file of the run."""
        rows = await self.context.ledger.artifacts(key)
        return any(row.is_requested for row in rows.values())

    def _is_due(self, row: RunRow) -> bool:
        return self.options.eager or is_due(row.next_look, self._began)

    async def _look_at_announced(self, announced: Sequence[str]) -> None:
        for run in announced:
            self._check_open()
            key = RunKey(self.repo, run)
            row = await self.context.ledger.run(key)
            new = row is None or row.status not in FINISHED
            if new and not self._let_go.forgets_run(key):
                with suppress(NotFound):
                    async with self.context.room.held(key):
                        await self._look_at(key, row)

    def _check_open(self) -> None:
        if self.context.drain.closed:
            raise Interrupted("stopped before it was done")

    def _notice_unknown(self, status: str, key: RunKey) -> None:
        if status not in UNFINISHED | FINISHED:
            message = f"unknown status {status!r} of {key}: taken as not finished"
            self._notify(Noticed(message))

    async def _look(self, key: RunKey, row: RunRow | None) -> None:
        """Look at a run; one that cannot be looked at is put off."""
        try:
            self._check_open()
            async with self.context.room.held(key):
                if row is not None and self._is_bounded:  # it may have gone meanwhile
                    row = await self.context.ledger.run(key)
                await self._look_at(key, row)
        except Exception as error:  # noqa: BLE001 - one bad run never stops the others
            if isinstance(error, NotFound) and await self._is_over(key, row):
                return
            self._fail_all(error, key.run)
            if row is not None and not self.context.drain.closed:
                again = next_look_time(row.looks, self.context.clock.now(), LAST_RETRY)
                await self._guard(self.context.ledger.look_again(key, again), key.run)

    async def _is_over(self, key: RunKey, row: RunRow | None) -> bool:
        """Whether to ask no more for a run that is gone, and all that is to be done is done."""
        known = row or await self.context.ledger.run(key)
        if known is None or (self._listed and known.seen_at == self._began):
            return False
        if await self.context.ledger.artifacts(key):
            await self._guard(self._keep_forgotten(known), key.run)
            return True
        if row is None or not await self._was_never_ours(row):
            return False
        await self._guard(self.context.ledger.forget_run(key), key.run)
        self._notify(Noticed(f"{key} is gone upstream, and nothing of it came: forgotten"))
        return True

    async def _keep_forgotten(self, row: RunRow) -> None:
        """Conclude a run that upstream has forgotten."""
        wanted = self.rules.wants_run(row.status, row.event)
        selected = wanted or self.options.insist
        await self.context.ledger.lose_run(row.key, self.context.clock.now())
        run = Run(row.key, row.status, row.event, row.created_at, row.finished_at)
        sync = self._run_sync()
        await sync.keep_forgotten(run, recorded=self.options.recorded or not selected)
        if not wanted:
            await self.context.ledger.settle(row.key, self.rules.fingerprint, None)

    def _run_sync(self) -> RunSync:
        from artifact_sync.sync.run import RunSync  # noqa: PLC0415 - most passes need none

        let_go = self._let_go.forgets
        return RunSync(self.context, self.rules, self.options, self.report, let_go)

    async def _was_never_ours(self, row: RunRow) -> bool:
        """Whether to forget a run that is gone, is listed no more, and left nothing here."""
        if row.looks < _LAST_TRIES or row.seen_at == self._began or not self._listed:
            return False
        return not self.options.dry_run

    async def _look_at(self, key: RunKey, row: RunRow | None) -> None:
        """Get a run; when it is finished and wanted, mirror it."""
        ledger, now = self.context.ledger, self.context.clock.now()
        row = row or await ledger.run(key)
        run = await self._ask(key, row)
        looks = row.looks if row is not None else 0
        if not run.status:
            await self._no_status(key, row)
            return
        if row is not None:
            created = run.created_at or row.created_at
            run = replace(run, event=run.event or row.event, created_at=created)
        another = row is not None and row.creation.is_another(run.creation)
        if row is not None and row.pruned_at is not None and not another:
            await self._stays_pruned(row)
            return
        if another and not self.options.dry_run:
            await self._displace_run(run)
        told, run = run, replace(run, record=None)  # there may be much on record
        await ledger.note_run(run if self.options.dry_run else told, now)
        del told
        if not run.finished:
            await self._not_finished(run, looks)
            return
        if self.options.insist:  # who comes next finishes what this pass may be stopped in
            await ledger.unsettle(key)
        wanted = self.rules.wants_run(run.status, run.event)
        selected = wanted or self.options.insist
        if selected and not self.options.recorded:
            (await self._filter_fit()).take(it.key for it in run.artifacts)
        if selected or await self._is_requested(key):
            sync = self._run_sync()
            recorded = not another and (self.options.recorded or not selected)
            # Handed over, not kept: thousands of artifacts go before the manifest is made.
            whole, run = [run], replace(run, artifacts=(), logs=())
            await sync.carry_out(whole.pop(), looks, fresh=another, recorded=recorded)
            self._note_room(run, sync)
        if not wanted:  # also what the user has insisted on counts in no later pass
            await ledger.settle(key, self.rules.fingerprint, None)

    def _note_room(self, run: Run, sync: RunSync) -> None:
        if sync.gave_way and run.created_at is not None:
            self._has_no_room = max(run.created_at, self._has_no_room or run.created_at)

    async def _ask(self, key: RunKey, row: RunRow | None) -> Run:
        """Get a run; where it cannot be had, what is known of it counts."""
        try:
            return await self.context.source.run(key)
        except ServiceError as error:
            if row is not None and not isinstance(error, NotFound):
                await self._count_unasked(row)
            raise

    async def _stays_pruned(self, row: RunRow) -> None:
        if self.options.insist:
            when = f"{row.pruned_at:%Y-%m-%d}" if row.pruned_at else ""
            hint = f"artifact-sync remember {self.repo} {row.key.run} takes that back"
            self._notify(Noticed(f"{row.key} was pruned on {when}: {hint}"))
        await self.context.ledger.settle(row.key, self.rules.fingerprint, None)

    async def _displace_run(self, run: Run) -> None:
        from artifact_sync.sync.displace_run import displace_run  # noqa: PLC0415 - hardly ever

        await self.context.ledger.mark_complete(run.key, complete=False)
        await self._point_latest()  # no link leads to where the folder has been
        await displace_run(self.context, run)

    async def _no_status(self, key: RunKey, row: RunRow | None) -> None:
        """Report an answer that does not say whether the run has finished."""
        if row is not None:
            now = self.context.clock.now()
            await self.context.ledger.look_again(key, next_look_time(row.looks, now))
        message = f"the answer about {key} has no status: try again, or report it to the service"
        self._fail(key.run, Reason.BAD_ANSWER, message)

    async def _not_finished(self, run: Run, looks: int) -> None:
        self._notice_unknown(run.status, run.key)
        now = self.context.clock.now()
        await self.context.ledger.look_again(run.key, next_look_time(looks, now))
        if self.options.insist:
            message = f"{run.key} has not finished, its status is {run.status!r}: try again later"
            self._fail(run.key.run, Reason.UNFINISHED, message)
        else:
            self.report.pending += 1
            await self._count_lost(run.key)

    async def _point_latest(self) -> None:
        latest, offload = self.context.latest, self.context.offload
        if latest is not None and not self.options.dry_run:
            ledger, layout = self.context.ledger, self.context.layout
            async with self.context.room.latest(self.repo):
                await point_latest(ledger, latest, layout, offload, self.repo)

    async def _guard(self, work: Awaitable[None], run: str | None = None) -> None:
        """Turn an error of this run or repository into an entry of the report."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 - one bad run never stops the others
            self._trouble = self._trouble or (_first(error) if run is None else None)
            self._fail_all(error, run)

    def _fail_all(self, error: Exception, run: str | None) -> None:
        for reason, message in reasons_of(error, repo=str(self.repo), run=run):
            self._fail(run, reason, message)

    def _fail(self, run: str | None, reason: Reason, message: str) -> None:
        failure = Failure(str(self.repo), reason, message, run)
        self.report.failures.append(failure)
        self._notify(Failed(failure))


def _first(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


class _Missing(NamedTuple):
    """Runs that something is missing of."""

    damaged: set[RunKey]
    """Files."""
    bare: set[RunKey]
    """Manifests."""
    unsigned: set[RunKey]
    """The signature."""


def _missing(context: PassContext, files: Sequence[ExpectedFile]) -> _Missing:
    """Find what is missing. Blocking."""
    layout, signer = context.layout, context.mirror.signer
    runs = {file.run for file in files}
    manifests = {run: layout.manifests(run) for run in runs}
    signs = signer is not None and signer.signs
    signatures = {run: layout.signature(run) for run in runs} if signs else {}
    paths = [file.path for file in files if file.path is not None]
    beside = chain(chain.from_iterable(manifests.values()), signatures.values())
    sizes = context.mirror.sizes([*paths, *beside])
    return _Missing(
        {it.run for it in files if it.path is None or sizes.get(it.path) != it.size},
        {run for run, them in manifests.items() if not all(it in sizes for it in them)},
        {run for run, it in signatures.items() if it not in sizes},
    )
