"""Repair a mirror: request what is damaged, and run passes over its runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.app.assemble_pass import passes_over
from artifact_sync.domain.report import Report
from artifact_sync.domain.request import PassOptions, PassRequest
from artifact_sync.domain.settings import RepoSettings
from artifact_sync.sync.latest import point_latest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from artifact_sync.app.storage import Storage
    from artifact_sync.config.api_token import Token
    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.settings import Config
    from artifact_sync.sync.sync_pass import Pass
    from artifact_sync.sync.verify import Finding


class Repair:
    """A repair of an opened mirror."""

    def __init__(
        self, store: Storage, config: Config, observer: Observer, token: Token | None
    ) -> None:
        self._store = store
        self._config = config
        self._observer = observer
        self._token = token
        self._passes: list[Pass] = []

    @property
    def report(self) -> Report:
        """What its passes have done so far."""
        total = Report()
        for one in self._passes:
            total.add(one.report)
        return total

    async def run(self, damage: Sequence[Finding], repos: Iterable[RepoName]) -> list[Finding]:
        """Repair what can be repaired; the damage that is left. ``DiskError``.

        The links ``latest`` of all of ``repos`` are put right, too.
        """
        store = self._store
        await store.auditor.request(damage, store.clock.now())
        if damage:
            await self._fetch(damage)
        for repo in repos:
            await point_latest(store.ledger, store.mirror, store.layout, store.offload, repo)
        return [finding for finding in damage if not await store.auditor.stands(finding)]

    async def _fetch(self, damage: Iterable[Finding]) -> None:
        store = self._store
        names = await store.staged()
        async with passes_over(store, self._config, self._observer, self._token, names) as begin:
            for request in _requests(damage):
                self._passes.append(begin(request))
                await self._passes[-1].run()


def _requests(damage: Iterable[Finding]) -> Iterator[PassRequest]:
    """A pass for each repository, over its damaged runs."""
    of_repo: dict[RepoName, dict[str, None]] = {}
    for run in (it.run for it in damage if it.run is not None):
        of_repo.setdefault(run.repo, {})[run.run] = None
    options = PassOptions(insist=True, recorded=True)
    for repo, runs in of_repo.items():
        yield PassRequest((RepoSettings(name=str(repo)),), tuple(runs), options)
