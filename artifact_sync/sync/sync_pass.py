"""Run one pass over repositories, the same for command and daemon."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from artifact_sync.domain.errors import ArtifactSyncError, DiskError, ServiceError
from artifact_sync.domain.events import Failed, Noticed
from artifact_sync.domain.model import Failure, RepoName
from artifact_sync.domain.report import Report
from artifact_sync.runtime.logs import get_logger
from artifact_sync.sync.organisation import repositories
from artifact_sync.sync.repository import RepoSync
from artifact_sync.sync.rules import Rules
from artifact_sync.sync.urgency import Listings, RepoTurn

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from artifact_sync.domain.request import PassRequest, Unchanged
    from artifact_sync.domain.settings import RepoSettings
    from artifact_sync.sync.context import PassContext

_log = get_logger(__name__)

_REPOS_AT_ONCE = 4


class PassResult(Struct, frozen=True):
    """What a pass has come to."""

    report: Report
    troubles: Mapping[RepoName, Exception] = {}
    """Why repositories could not be looked at; a run's own failure is none."""
    unchanged: Mapping[RepoName, Unchanged] = {}
    """Repositories with nothing left to do, for a request that remembers."""


class _Selected(NamedTuple):
    """A repository of a pass."""

    repo: RepoName
    settings: RepoSettings
    is_listed: bool = True


class Pass:
    """One pass. One bad repository never stops the others."""

    def __init__(self, context: PassContext, request: PassRequest) -> None:
        self._context = context
        self._request = request
        self._slots = asyncio.Semaphore(_REPOS_AT_ONCE)
        self._listings = Listings()
        self._reports: list[Report] = []
        self._by_repo: dict[RepoName, Report] = {}
        self._troubles: dict[RepoName, Exception] = {}
        self._unchanged: dict[RepoName, Unchanged] = {}
        self._unfit: dict[str, list[frozenset[tuple[str, str]]]] = {}
        """Of each ``org/*``, the filters that fit nothing in one of its repositories."""

    @property
    def report(self) -> Report:
        """What was done so far, also by a pass broken off."""
        total = Report()
        for report in self._reports:
            total.add(report)
        total.bytes = self._context.observer.bytes  # also what has come for a pass that is not over
        return total

    async def run(self) -> PassResult:
        """Run to the end. Errors of a repository are in the result only."""
        try:
            await self._look_at_all()
        finally:
            for why, count in self._context.unrecorded.items():
                _log.warning("failures could not be recorded", failures=count, why=why)
        for name, unfit in self._unfit.items():
            for key, glob in sorted(frozenset.intersection(*unfit)):
                text = f"{key}: {glob!r} has fitted nothing in any repository of {name} so far"
                self._context.observer.notify(Noticed(text, RepoName.parse(name)))
        if not self._request.mode.dry_run and not self._context.drain.closed:
            await self._context.tidy(self._by_repo)
        return PassResult(self.report, self._troubles, self._unchanged)

    async def _look_at_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listings.watch(self._context.drain.closing()))
            async for repo in self._repositories():
                turn = RepoTurn(self._slots, self._listings)
                group.create_task(self._repository(repo, turn))
            self._listings.came()

    async def _repositories(self) -> AsyncGenerator[_Selected]:
        """Every repository once; an entry of its own precedes ``org/*``."""
        entries = {RepoName.parse(it.name): it for it in self._request.repos}
        named = {repo: settings for repo, settings in entries.items() if not repo.is_star}
        for repo, settings in named.items():
            yield _Selected(repo, settings)
        for star in [repo for repo in entries if repo.is_star]:
            async for repo, is_listed in self._of_organisation(star.org):
                if repo not in named:
                    named[repo] = entries[star]
                    yield _Selected(repo, entries[star], is_listed)

    async def _of_organisation(self, org: str) -> AsyncGenerator[tuple[RepoName, bool]]:
        """The repositories of an organisation, and whether they were listed.

        Where the list cannot be read, those that are mirrored.
        """
        context = self._context
        every = repositories(context.source, context.ledger, context.observer, org)
        kept: Sequence[RepoName] = ()
        try:
            async with aclosing(every) as found:
                async for repo in found:
                    yield repo, True
        except ArtifactSyncError as error:
            self._fail(Failure(str(RepoName.star(org)), error.reason, str(error)))
            if isinstance(error, ServiceError):
                with suppress(DiskError):  # the failure above says that something is amiss
                    kept = await context.ledger.kept_repositories(org)
        for repo in kept:
            yield repo, False

    def _fail(self, failure: Failure) -> None:
        self._reports.append(Report(failures=[failure]))
        self._context.observer.notify(Failed(failure))

    async def _repository(self, selected: _Selected, turn: RepoTurn) -> None:
        report, settings = Report(), selected.settings
        self._reports.append(report)
        self._by_repo[selected.repo] = report
        rules = Rules.of(settings, self._context.layout.template)
        async with turn:
            sync = RepoSync(self._context, selected.repo, rules, self._request.mode, report)
            sync.turn, sync.is_listed = turn, selected.is_listed
            trouble = await sync.run(self._request)
        if sync.unchanged is not None:
            self._unchanged[selected.repo] = sync.unchanged
        if sync.unfit is not None and RepoName.parse(settings.name).is_star:
            self._unfit.setdefault(settings.name, []).append(sync.unfit)
        if trouble is not None:
            self._troubles[selected.repo] = trouble
