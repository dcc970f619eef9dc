"""One pass: repositories → their runs → each run's artifacts. The same for command and daemon.

What happens to one repository is ``repo_sync``'s; one bad one never stops the others.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.domain.errors import ArtifactSyncError
from artifact_sync.domain.events import BytesArrived, Failed
from artifact_sync.domain.model import Failure, RepoName
from artifact_sync.domain.report import Report
from artifact_sync.sync.lease import leased
from artifact_sync.sync.repository import Crew, RepoSync
from artifact_sync.sync.rules import Rules
from artifact_sync.sync.run import Selection

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from artifact_sync.domain.events import Event, Observer
    from artifact_sync.domain.ports import RepositoryLock, Source
    from artifact_sync.domain.request import PassRequest
    from artifact_sync.domain.settings import RepoSettings
    from artifact_sync.mirror.layout import Layout
    from artifact_sync.sync.downloads import Works

_REPOS_AT_ONCE = 4


class ArrivedBytes:
    """An observer that counts the bytes that arrive and hands every event on."""

    def __init__(self, then: Observer) -> None:
        self._then = then
        self.bytes = 0
        self._of: Counter[tuple[str, ...]] = Counter()

    def of(self, repo: RepoName) -> int:
        """The bytes that have come for one repository."""
        return self._of[repo]

    def notify(self, event: Event) -> None:
        """Count and hand on."""
        if isinstance(event, BytesArrived):
            self.bytes += event.count
            self._of[event.key[:2]] += event.count  # organisation and repository
        self._then.notify(event)


class Parts(Struct, frozen=True):
    """What a pass works with."""

    source: Source
    works: Works
    layout: Layout
    origin: str
    """The service's host, for ``run.json``."""
    tally: ArrivedBytes
    runs_at_once: asyncio.Semaphore
    lock: RepositoryLock


class Pass:
    """One pass. ``report`` is alive all the time, so that an interrupted pass can tell, too."""

    def __init__(self, parts: Parts, wish: PassRequest) -> None:
        self._parts = parts
        self._wish = wish
        self._crew = Crew(parts.source, parts.works, parts.runs_at_once, parts.tally.of)
        self._slots = asyncio.Semaphore(_REPOS_AT_ONCE)
        self._reports: list[Report] = []
        self.troubles: dict[RepoName, Exception] = {}
        """Why repositories could not be looked at."""

    @property
    def report(self) -> Report:
        """What was done so far, over all repositories."""
        total = Report()
        for report in self._reports:
            total.add(report)
        total.bytes = self._parts.tally.bytes  # also what has come for a pass that is not over
        return total

    async def run(self) -> Report:
        """Carry the pass out. Raises nothing for what belongs to a repository, run or artifact."""
        async with asyncio.TaskGroup() as group:
            async for repo, settings in self._repositories():
                group.create_task(self._repository(repo, settings))
        return self.report

    async def _repositories(self) -> AsyncGenerator[tuple[RepoName, RepoSettings]]:
        """Every repository once, ``org/*`` spelled out; a name of its own goes before a star."""
        named = {RepoName.parse(it.name): it for it in self._wish.repos if not _is_star(it)}
        for repo, settings in named.items():
            yield repo, settings
        for settings in filter(_is_star, self._wish.repos):
            async for repo in self._of_organisation(RepoName.parse(settings.name).org):
                if repo not in named:
                    named[repo] = settings
                    yield repo, settings

    async def _of_organisation(self, org: str) -> AsyncGenerator[RepoName]:
        try:
            async with aclosing(self._parts.source.repositories(org)) as repositories:
                async for repo in repositories:
                    yield repo
        except ArtifactSyncError as error:
            failure = Failure(str(RepoName.star(org)), error.reason, str(error))
            self._reports.append(Report(failures=[failure]))
            self._parts.works.tools.observer.notify(Failed(failure))

    async def _repository(self, repo: RepoName, settings: RepoSettings) -> None:
        report = Report()
        self._reports.append(report)
        rules = Rules.of(settings, self._parts.layout.template)
        selection = Selection(rules, self._parts.layout, self._parts.origin)
        repository = RepoSync(self._crew, repo, selection, self._wish.mode, report)
        async with self._slots:
            await repository.guard(self._leased(repository))
        if repository.trouble is not None:
            self.troubles[repo] = _first(repository.trouble)

    async def _leased(self, repository: RepoSync) -> None:
        """Sync a repository while its lease lasts."""
        async with leased(self._parts.lock, repository.repo):
            if self._wish.runs:
                await repository.only(self._wish.runs)
            else:
                await repository.everything(self._wish.announced, self._wish.unchanged)


def _is_star(settings: RepoSettings) -> bool:
    return RepoName.parse(settings.name).is_star


def _first(error: Exception) -> Exception:
    """The error itself; of a group, the first that is in it."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
