"""Keeps a mirror within ``max_size``: has runs go before work is refused.

A daemon's passes share one. What is about to come is admitted once it fits beside what is on record
and what else is coming. Where it does not, runs go first: those that no rule keeps, then, for
``max_size``, the oldest. Only older runs go for a run, unless it is one that stays in any case; so
the oldest that has no room gives way itself, and nothing is fetched to be removed at once.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol
from weakref import WeakValueDictionary

from artifact_sync.domain.model import RepoName, RunKey

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from artifact_sync.domain.model import ArtifactKey, RunRow
    from artifact_sync.domain.ports import KeepingLedger


class Bound(NamedTuple):
    """A ``max_size``."""

    repo: RepoName | None
    """Whose; None: the whole mirror's."""
    bytes: int

    def holds(self, repo: RepoName) -> bool:
        """Whether the files of a repository count."""
        return self.repo in {None, repo}

    def __str__(self) -> str:
        return f"the files of {self.repo}" if self.repo is not None else "all files"


class RunRemover(Protocol):
    """Has runs go, by what is configured at present."""

    @property
    def ledger(self) -> KeepingLedger:
        """Counts what is here."""

    def bounds(self, repo: RepoName) -> Sequence[Bound]:
        """Each ``max_size`` that concerns a repository."""

    async def by_rules(self) -> None:
        """Have go what would go after a pass."""

    async def make(self, bound: Bound, run: RunKey) -> None:
        """Have runs go until what is coming of a run fits. ``BeyondMaxSize``, ``GivesWay``."""

    async def passes_over(self, row: RunRow) -> bool:
        """Whether nothing speaks against a run's going without having come."""


class Room:
    """The room in a mirror that several passes fill."""

    def __init__(self, find: Callable[[Room], RunRemover] | None = None) -> None:
        """``find``: what has runs go at present; None: nothing does, and nothing is bounded."""
        self._find = find
        self.freed = 0
        """Counts the runs that have gone."""
        self._making = asyncio.Lock()
        self._shared: set[RepoName] = set()
        """Repositories that a pass holds, in which runs may go beside it."""
        self._gone: dict[RepoName, tuple[int, int]] = {}
        """Of each shared repository: runs that have gone, and files of them that counted."""
        self._locks = WeakValueDictionary[RunKey, asyncio.Lock]()
        self._coming: dict[ArtifactKey, int] = {}
        """Bytes that were admitted and are not on record yet."""
        self._used: dict[RepoName | None, int] = {}
        """Bytes on record, or more."""
        self._recorded = 0
        """Bytes that were recorded since the beginning."""

    def bounds(self, repo: RepoName) -> Sequence[Bound]:
        """Each ``max_size`` that concerns a repository."""
        return self._remover.bounds(repo) if self._find is not None else ()

    def held(self, run: RunKey) -> asyncio.Lock:
        """Held by whoever works on a run, so that it does not go meanwhile."""
        return self._locks.setdefault(run, asyncio.Lock())

    def latest(self, repo: RepoName) -> asyncio.Lock:
        """Held by whoever changes where the links of a repository lead."""
        return self.held(RunKey(repo, ""))

    def is_shared(self, repo: RepoName) -> bool:
        """Whether runs may go from a repository that a pass holds.

        That stays so while ``latest`` of it is held.
        """
        return repo in self._shared

    @asynccontextmanager
    async def shared(self, repo: RepoName) -> AsyncGenerator[None]:
        """Have runs go from a repository that is held for the block."""
        self._shared.add(repo)
        self._gone.pop(repo, None)
        try:
            yield
        finally:
            async with self.latest(repo):  # whatever is going has gone
                self._shared.discard(repo)

    def gone(self, repo: RepoName, files: int) -> None:
        """A run of so many files that counted has gone."""
        self.freed += 1
        if repo in self._shared:
            runs, before = self._gone.get(repo, (0, 0))
            self._gone[repo] = runs + 1, before + files

    def take_gone(self, repo: RepoName) -> tuple[int, int]:
        """Runs and files that have gone since this was last asked."""
        return self._gone.pop(repo, (0, 0))

    async def admit(self, key: ArtifactKey, size: int) -> None:
        """Admit a file of so many bytes, once it fits. ``BeyondMaxSize``, ``GivesWay``.

        Until ``recorded`` or ``refused`` is told of it.
        """
        for bound in self.bounds(key.run_key.repo):
            self._coming[key] = size
            if not await self.fits(bound):
                async with self._making:
                    if not await self.fits(bound):
                        await self._remover.make(bound, key.run_key)

    def recorded(self, key: ArtifactKey, size: int) -> None:
        """A file is on record."""
        self._recorded += size
        for repo in self._used:
            self._used[repo] += size
        self._coming.pop(key, None)

    def refused(self, key: ArtifactKey) -> None:
        """A file has not come."""
        self._coming.pop(key, None)

    async def make_free(self, freed: int) -> bool:
        """Have runs go where the disk has no room.

        Whether any have, since ``freed`` was read.
        """
        if self._find is None:
            return False
        async with self._making:
            if self.freed == freed:
                await self._remover.by_rules()
            return self.freed > freed

    async def passes_over(self, row: RunRow) -> bool:
        """Whether a run that ``max_size`` has no room for may go without having come."""
        return await self._remover.passes_over(row)

    async def fits(self, bound: Bound) -> bool:
        """Whether what is on record and what is coming is within a bound.

        It is counted anew only where it seems not to be.
        """
        if bound.repo in self._used and self._used[bound.repo] + self.coming(bound) <= bound.bytes:
            return True
        before = self._recorded
        used = await self._remover.ledger.bytes_on_record(bound.repo)
        self._used[bound.repo] = used + self._recorded - before  # some of it may count twice
        return self._used[bound.repo] + self.coming(bound) <= bound.bytes

    def exceeds(self, bound: Bound) -> bool:
        """Whether there was too much when it was last counted, whatever is coming."""
        return self._used.get(bound.repo, 0) > bound.bytes

    def coming_runs(self, bound: Bound) -> set[RunKey]:
        """The runs of what counts for a bound and is not on record yet."""
        return {key.run_key for key in self._coming if bound.holds(key.run_key.repo)}

    def coming(self, bound: Bound) -> int:
        """Bytes that count for a bound and are not on record yet."""
        return sum(it for key, it in self._coming.items() if bound.holds(key.run_key.repo))

    @property
    def _remover(self) -> RunRemover:
        if self._find is None:
            raise RuntimeError("nothing is bounded where nothing may go")
        return self._find(self)
