"""What all parts of a pass share."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from msgspec import Struct, field

from artifact_sync.domain.errors import LeaseLost
from artifact_sync.domain.events import BytesArrived

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from artifact_sync.domain.archives import ExtractLimits
    from artifact_sync.domain.events import Event, Observer
    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.ports import (
        ArtifactStore,
        Clock,
        Displacement,
        FreeSpace,
        LatestPointer,
        Lease,
        Ledger,
        RepositoryLock,
        Source,
        Unpacking,
    )
    from artifact_sync.domain.report import Report
    from artifact_sync.mirror.layout import Layout
    from artifact_sync.runtime.threads import Offload
    from artifact_sync.sync.room import Room
    from artifact_sync.sync.urgency import LookSlots
    from artifact_sync.transfer.context import TransferContext


class Drain:
    """Lets downloads in flight finish, and none begin once it is closed, for good."""

    def __init__(self) -> None:
        self._closed = asyncio.Event()
        self.inside = 0
        """Downloads that are running, or being recorded."""
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def closed(self) -> bool:
        """Whether nothing may go in any more."""
        return self._closed.is_set()

    def close(self) -> None:
        """Let nothing in any more; what is inside goes on."""
        self._closed.set()

    async def closing(self) -> None:
        """Wait until it is closed."""
        await self._closed.wait()

    def enter(self) -> bool:
        """Go in, if the gate is open still."""
        if not self.closed:
            self.inside += 1
            self._empty.clear()
        return not self.closed

    def leave(self) -> None:
        """Whoever has gone in comes out."""
        self.inside -= 1
        if not self.inside:
            self._empty.set()

    async def emptied(self) -> None:
        """Wait until nobody is inside."""
        await self._empty.wait()


@asynccontextmanager
async def leased(
    lock: RepositoryLock, repo: RepoName, *, wait: bool = True
) -> AsyncGenerator[None]:
    """Hold a repository in the block, which is cancelled when the lease is lost.

    ``LeaseLost``, ``RepositoryBusy``. To be used by whoever changes a repository.
    """
    async with lock.hold(repo, wait=wait) as lease:
        try:
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(_end_when_lost(lease, repo))
                yield
                watching.cancel()
        except BaseExceptionGroup as errors:
            lost = (it for it in errors.exceptions if isinstance(it, LeaseLost))
            raise next(lost, errors.exceptions[0]) from None


async def _end_when_lost(lease: Lease, repo: RepoName) -> None:
    await lease.lost()
    raise LeaseLost(repo)


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
    displacement: Displacement
    unpacking: Unpacking
    free_space: FreeSpace
    lock: RepositoryLock
    layout: Layout
    origin: str
    """The service's host, for ``run.json``."""
    clock: Clock
    observer: ArrivedBytes
    offload: Offload
    runs_at_once: LookSlots
    """Bounds the memory that trees of runs take: a run can have thousands of artifacts."""
    drain: Drain
    """Closed when the process is about to stop: nothing new is begun."""
    extract_limits: ExtractLimits
    """How much may come of an archive."""
    min_free: int
    """Bytes that must stay free on the mirror's file system."""
    retention: float
    """Seconds after a run's creation at which its artifacts vanish."""
    room: Room
    """Has runs go where there is none."""
    tidy: Callable[[Mapping[RepoName, Report]], Awaitable[None]]
    """Removes at the end of a pass over repositories what is kept no longer."""
    clock_is_wrong: Callable[[], bool]
    """Whether the service's clock has said something else than this machine's."""
    transfer: Callable[[], Awaitable[TransferContext]]
    """Made on the first call: most passes download nothing, and what does is slow to import."""
    unrecorded: Counter[str] = field(default_factory=Counter)
    """Failures that are in the report alone, by why the ledger could not note them."""
