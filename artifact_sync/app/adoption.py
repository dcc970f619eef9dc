"""Makes a lost ledger again from the files of a mirror."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING

from artifact_sync.app.locations import has_ledger, refuse_in_store, root_of
from artifact_sync.app.storage import open_storage
from artifact_sync.domain.errors import ExitCode, MirrorBusy, Reason, UsageError, exit_code
from artifact_sync.domain.model import RepoName
from artifact_sync.domain.report import Report
from artifact_sync.sync.adopt_runs import Fitness
from artifact_sync.sync.hash_progress import HashProgress
from artifact_sync.sync.latest import point_latest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from artifact_sync.app.storage import Storage
    from artifact_sync.domain.settings import Config
    from artifact_sync.sync.adopt_runs import Fit


@asynccontextmanager
async def opened_adoption(
    config: Config, names: Sequence[str], *, dry_run: bool
) -> AsyncGenerator[Adoption]:
    """Open a folder to adopt what is in it.

    The mirror is locked, but for a dry run. Where nothing fits, nothing is made. ``MirrorBusy``,
    ``DiskError``, ``UsageError``, ``LedgerTooNew``.
    """
    repos = [RepoName.parse(name) for name in names]
    refuse_in_store(config, "adopt")
    if not root_of(config).is_dir():
        raise UsageError(
            f"nothing is mirrored in {config.mirror.root} yet: there is no such folder"
        )
    rehearse = dry_run or not (has_ledger(config) or await _fits_at_all(config, repos))
    async with AsyncExitStack() as stack:
        opening = open_storage(config, rehearse=rehearse, adopting=True)
        try:
            store = await stack.enter_async_context(opening)
        except MirrorBusy as busy:
            raise MirrorBusy(busy.root, busy.owner, askable=False) from None
        if not rehearse:
            await store.staged()  # it clears what a crash left
        yield Adoption(store, config.source.host, repos, dry_run=rehearse)


async def _fits_at_all(config: Config, repos: Sequence[RepoName]) -> bool:
    """Whether anything can be adopted: else the root is not that of a mirror of this layout."""
    async with open_storage(config, rehearse=True, adopting=True) as store:
        adopter = store.adopter(config.source.host, HashProgress(), dry_run=True)
        return await adopter.has_any(repos)


@dataclass(slots=True)
class Adoption:
    """Adopts what is below a root, and counts it."""

    store: Storage
    origin: str
    """The service's host."""
    repos: Sequence[RepoName]
    """Empty: all that there are."""
    dry_run: bool
    counts: Counter[Fitness] = field(default_factory=Counter)
    progress: HashProgress = field(default_factory=HashProgress)
    report: Report = field(default_factory=Report)
    """What has ended it early."""
    _touched: set[RepoName] = field(default_factory=set)
    _stop: Event = field(default_factory=Event)

    async def look(self) -> AsyncGenerator[Fit]:
        """Adopt what fits; tell all that was found."""
        adopter = self.store.adopter(
            self.origin, self.progress, dry_run=self.dry_run, stop=self._stop.is_set
        )
        async with aclosing(adopter.look(self.repos)) as fits:
            async for fit in fits:
                self.counts[fit.fitness] += 1
                if fit.run is not None:
                    self._touched.add(fit.run.repo)
                yield fit
        for repo in sorted(self._touched) if not self.dry_run else ():
            store = self.store
            await point_latest(store.ledger, store.mirror, store.layout, store.offload, repo)

    def stop(self) -> None:
        """Leave the file that is being hashed; the work is cancelled then."""
        self._stop.set()

    @property
    def exit_code(self) -> ExitCode:
        """0 when all fits, else 1; or what has ended it early."""
        unfit = [Reason.UNFIT] if self.counts[Fitness.UNFIT] else []
        return exit_code(unfit + [failure.reason for failure in self.report.failures])
