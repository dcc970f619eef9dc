"""What all parts of a pass share."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.domain.events import BytesArrived

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from artifact_sync.domain.events import Event, Observer
    from artifact_sync.domain.model import RepoName, RunKey
    from artifact_sync.domain.ports import (
        ArtifactStore,
        Clock,
        LatestPointer,
        Ledger,
        RepositoryLock,
        Source,
    )
    from artifact_sync.mirror.layout import Layout
    from artifact_sync.runtime.threads import Offload
    from artifact_sync.sync.drain import Drain
    from artifact_sync.transfer.context import TransferContext


class ArrivedBytes:
    """An observer that counts arriving bytes and hands events on."""

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


class PassContext(Struct, frozen=True):
    """What a pass works with."""

    source: Source
    ledger: Ledger
    mirror: ArtifactStore
    latest: LatestPointer | None
    """None: the mirror has no names for the newest runs."""
    lock: RepositoryLock
    layout: Layout
    origin: str
    """The service's host, for ``run.json``."""
    clock: Clock
    observer: ArrivedBytes
    offload: Offload
    runs_at_once: asyncio.Semaphore
    """Bounds the memory that trees of runs take: a run can have thousands of artifacts."""
    drain: Drain
    """Closed when the process is about to stop: nothing new is begun."""
    transfer: Callable[[], Awaitable[TransferContext]]
    """Made on the first call: most passes download nothing, and what does is slow to import."""

    async def withdraw_manifests(self, run: RunKey) -> None:
        """Unsettle a run and remove its manifests while files change."""
        await self.ledger.unsettle(run)  # should we be stopped: the next pass sees to it
        await self.ledger.mark_complete(run, complete=False)
        await self.offload(self.mirror.remove, self.layout.manifests(run))
