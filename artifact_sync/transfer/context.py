"""The values that every download works with: what is wanted, and by which means."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct, field

from artifact_sync.runtime.backoff import RetryPolicy
from artifact_sync.transfer.parallel import RangePolicy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.model import Artifact, ArtifactKey, MirrorPath, Placed, SameFile
    from artifact_sync.domain.ports import (
        ArtifactStore,
        BandwidthLimit,
        Chunk,
        Clock,
        Fetcher,
        Source,
    )
    from artifact_sync.runtime.threads import Batches, Offload
    from artifact_sync.transfer.disk_space import DiskSpace
    from artifact_sync.transfer.evidence import Claim, Identity, Recorded, Vouched
    from artifact_sync.transfer.links import Links
    from artifact_sync.transfer.same_bytes import ContentTurn, SameBytes
    from artifact_sync.transfer.slots import Slots
    from artifact_sync.transfer.staging import StagedFile


class Published(NamedTuple):
    """A file that is in its place."""

    vouched: Vouched
    displaced: str | None
    """Where a stranger in the way has moved."""
    shares: SameFile | None = None
    """The file whose blocks it shares."""

    @classmethod
    def of(cls, vouched: Vouched, placed: Placed) -> Published:
        """What came of publishing."""
        return cls(vouched, placed.displaced, placed.shares)


BLOCK = 256 * 1024
"""Bytes of a body that are gathered before they are written. A file of no more is small."""

_FEW = 4
"""Up to so many bodies chunks are kept as they came, in buffers that may be larger."""


class MemoryBudget:
    """Counts the bodies being received, each within a ``with`` block. On one event loop."""

    def __init__(self) -> None:
        self._bodies = 0

    def keep(self, chunk: Chunk) -> Chunk:
        """The chunk, or a copy of it that holds no larger buffer."""
        return chunk if self._bodies <= _FEW else bytes(chunk)

    @property
    def most(self) -> int:
        """Bytes that may be gathered while a block of a body is written.

        Fewer and larger writes wake fewer threads, which a file by itself has room for.
        """
        return 4 * BLOCK if self._bodies == 1 else BLOCK

    def __enter__(self) -> None:
        self._bodies += 1

    def __exit__(self, *_: object) -> None:
        self._bodies -= 1


class WantedArtifact(Struct, frozen=True):
    """One artifact to be downloaded."""

    artifact: Artifact
    path: MirrorPath
    claims: tuple[Claim, ...] = ()
    """Known of its bytes beforehand, from a checksum file."""
    recorded: Recorded | None = None
    """What the ledger holds of the same version; None: nothing, or of another version."""
    turn: ContentTurn | None = None
    """Its turn at files of the same bytes; None: it shares nothing."""

    async def same_files(self, sha256: str, size: int) -> Sequence[SameFile]:
        """Mirrored files of its bytes, whose blocks it may share."""
        if self.turn is None or not size:
            return ()
        return await self.turn.files(sha256, self.path)

    @property
    def sha256s(self) -> frozenset[str]:
        """The values that its SHA-256 must have, as far as is known beforehand."""
        recorded = () if self.recorded is None else (self.recorded.sha256,)
        return frozenset((*(claim.value for claim in self.claims), *recorded))


class SmallFile(Struct, frozen=True):
    """All the bytes of a small file, in memory."""

    chunks: Sequence[Chunk]
    identity: Identity
    wanted: WantedArtifact
    staged: StagedFile
    """What an earlier try may have left: it is thrown away."""
    same: Sequence[SameFile] = ()
    """Mirrored files of the same bytes."""


async def _admit_all(_key: ArtifactKey, _size: int) -> None:
    """Where nothing bounds the mirror."""


class TransferContext(Struct, frozen=True):
    """What downloads share: adapters, limits and policies."""

    links: Links
    fetcher: Fetcher
    source: Source
    """Gives the pages of logs."""
    mirror: ArtifactStore
    staging: Path
    """The folder of staged files."""
    clock: Clock
    observer: Observer
    offload: Offload
    space: DiskSpace
    small_files: Batches[SmallFile, Published]
    """Publishes small files."""
    slots: Slots
    """One for each download that may run at a time, over all runs."""
    jobs: int
    """As many of them as one pass may use."""
    memory: MemoryBudget = field(default_factory=MemoryBudget)
    staged_names: set[str] = field(default_factory=set)
    """Of what earlier downloads have left; others need no look. Shared, and kept up to date.

    Right while this process alone owns the staging folder, which the mirror's lock ensures.
    """
    ranges: RangePolicy = field(default_factory=RangePolicy)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    rng: Random = field(default_factory=Random)
    """For the jitter between tries."""
    bandwidth: BandwidthLimit | None = None
    """None: as many bytes a second as come."""
    admit: Callable[[ArtifactKey, int], Awaitable[None]] = _admit_all
    """Is asked as soon as it is known how large a file is, before it is published; raises."""
    same_bytes: SameBytes | None = None
    """Finds files whose blocks are shared; None: none are."""

    @property
    def unlimited(self) -> bool:
        """Whether no bandwidth limit holds at this time of the day."""
        return self.bandwidth is None or self.bandwidth.rate() is None
