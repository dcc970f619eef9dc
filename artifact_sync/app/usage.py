"""Sums up what a mirror takes: files on record, displaced files, staged bytes."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.app.selection import checked_names, known_repositories
from artifact_sync.app.shared_mirror import staging_slots
from artifact_sync.app.storage import open_storage
from artifact_sync.domain.model import RepoName

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from artifact_sync.app.storage import Storage
    from artifact_sync.domain.settings import Config
    from artifact_sync.domain.usage import UsageBy, UsagePart


class Beside(Struct, frozen=True):
    """Bytes besides those of the files on record."""

    shared: int
    """Of the files on record, what is counted more than once, as their blocks are shared."""
    displaced: int
    staged: int
    """Of downloads that are under way, or were broken off."""


class Usage(Struct, frozen=True):
    """Sums up some repositories of an opened mirror, or all."""

    store: Storage
    repos: Sequence[RepoName]
    named: bool
    """Whether these were named, so that others do not count."""

    def parts(self, by: UsageBy) -> AsyncGenerator[UsagePart]:
        """What the mirrored files take, the largest part first."""
        return self.store.ledger.used(self.repos, by)

    async def beside(self) -> Beside:
        """What else takes room. ``DiskError``."""
        shared = await self.store.ledger.bytes_in_shared_blocks(self.repos)
        return Beside(shared, *await self.store.offload(self._on_disk))

    def _on_disk(self) -> tuple[int, int]:
        from artifact_sync.sync.displaced_files import displaced_bytes  # noqa: PLC0415 - as below
        from artifact_sync.transfer.staging import staged_bytes  # noqa: PLC0415 - slow to import

        mirror, top = self.store.mirror, self.store.top_of_staging
        repos = set(self.repos) if self.named else None
        staged = sum(staged_bytes(it, repos) for it in (top, *staging_slots(top)))
        if repos is None:
            return sum(it.size for it in mirror.displaced()), staged
        displaced = displaced_bytes(mirror, self.store.layout, repos, most=None)
        return sum(displaced.values()), staged


def repository_names(names: Sequence[str]) -> list[str]:
    """Check names of repositories; an organisation's stands for all of its. ``UsageError``."""
    return checked_names(
        str(RepoName.star(it)) if it.strip("/") and "/" not in it else it for it in names
    )


@asynccontextmanager
async def opened_usage(config: Config, names: Sequence[str]) -> AsyncGenerator[Usage]:
    """Open a mirror to sum up checked names, or all. ``UsageError``, ``DiskError``."""
    async with open_storage(config, rehearse=True) as store:
        repos = known_repositories(names, await store.ledger.repositories())
        yield Usage(store, repos, bool(names))
