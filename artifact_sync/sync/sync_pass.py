"""One pass: repositories → their runs → each run's artifacts. The same for command and daemon.

What happens to one repository is ``repo_sync``'s; one bad one never stops the others.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from artifact_sync.domain.errors import ArtifactSyncError
from artifact_sync.domain.events import Failed
from artifact_sync.domain.model import Failure, RepoName
from artifact_sync.domain.report import Report
from artifact_sync.sync.lease import leased
from artifact_sync.sync.repository import RepoSync
from artifact_sync.sync.rules import Rules

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from artifact_sync.domain.request import PassRequest
    from artifact_sync.domain.settings import RepoSettings
    from artifact_sync.sync.context import PassContext

_REPOS_AT_ONCE = 4


class Pass:
    """One pass. ``report`` is alive all the time, so that an interrupted pass can tell, too."""

    def __init__(self, context: PassContext, request: PassRequest) -> None:
        self._context = context
        self._request = request
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
        total.bytes = self._context.observer.bytes  # also what has come for a pass that is not over
        return total

    async def run(self) -> Report:
        """Carry the pass out. Raises nothing for what belongs to a repository, run or artifact."""
        async with asyncio.TaskGroup() as group:
            async for repo, settings in self._repositories():
                group.create_task(self._repository(repo, settings))
        return self.report

    async def _repositories(self) -> AsyncGenerator[tuple[RepoName, RepoSettings]]:
        """Every repository once, ``org/*`` spelled out; a name of its own goes before a star."""
        named = {RepoName.parse(it.name): it for it in self._request.repos if not _is_star(it)}
        for repo, settings in named.items():
            yield repo, settings
        for settings in filter(_is_star, self._request.repos):
            async for repo in self._of_organisation(RepoName.parse(settings.name).org):
                if repo not in named:
                    named[repo] = settings
                    yield repo, settings

    async def _of_organisation(self, org: str) -> AsyncGenerator[RepoName]:
        try:
            async with aclosing(self._context.source.repositories(org)) as repositories:
                async for repo in repositories:
                    yield repo
        except ArtifactSyncError as error:
            failure = Failure(str(RepoName.star(org)), error.reason, str(error))
            self._reports.append(Report(failures=[failure]))
            self._context.observer.notify(Failed(failure))

    async def _repository(self, repo: RepoName, settings: RepoSettings) -> None:
        report = Report()
        self._reports.append(report)
        rules = Rules.of(settings, self._context.layout.template)
        repository = RepoSync(self._context, repo, rules, self._request.mode, report)
        async with self._slots:
            await repository.guard(self._leased(repository))
        if repository.trouble is not None:
            self.troubles[repo] = _first(repository.trouble)

    async def _leased(self, repository: RepoSync) -> None:
        """Sync a repository while its lease lasts."""
        async with leased(self._context.lock, repository.repo):
            if self._request.runs:
                await repository.only(self._request.runs)
            else:
                await repository.everything(self._request.announced, self._request.unchanged)


def _is_star(settings: RepoSettings) -> bool:
    return RepoName.parse(settings.name).is_star


def _first(error: Exception) -> Exception:
    """The error itself; of a group, the first that is in it."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
