"""The body of one answer: gathered into blocks, staged while the next arrives, judged, published.

A file smaller than a block never touches staging: it is judged in memory and published together
with others, which is ``small``'s.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from msgspec import Struct, field

from artifact_sync.domain.disk_errors import disk_errors
from artifact_sync.domain.errors import Cut, DiskError, DownloadError, RangeMismatch
from artifact_sync.domain.events import BytesArrived
from artifact_sync.runtime.backoff import RetryPolicy
from artifact_sync.transfer.error_page import failure_of_store_error, store_error
from artifact_sync.transfer.leftovers import StagedNames
from artifact_sync.transfer.memory_budget import SMALL, MemoryBudget
from artifact_sync.transfer.parallel import RangePolicy
from artifact_sync.transfer.small_files import Small, judged

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator
    from pathlib import Path

    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.model import Artifact, MirrorPath, StagedContent
    from artifact_sync.domain.ports import ArtifactStore, Chunk, Clock, Fetcher
    from artifact_sync.runtime.batching import Batches
    from artifact_sync.runtime.threads import Offload
    from artifact_sync.transfer.bandwidth import BandwidthLimiter
    from artifact_sync.transfer.disk_space import DiskSpace
    from artifact_sync.transfer.evidence import Claim, Recorded
    from artifact_sync.transfer.links import Links
    from artifact_sync.transfer.response import AcceptedBody
    from artifact_sync.transfer.small_files import Published
    from artifact_sync.transfer.staging import Staged

_SNIFF = 1024
"""Bytes at the beginning of a body in which an object store's error document shows."""


class WantedArtifact(Struct, frozen=True):
    """One artifact to be fetched."""

    artifact: Artifact
    path: MirrorPath
    claims: tuple[Claim, ...] = ()
    """What is known of its bytes beforehand, from a checksum file."""
    recorded: Recorded | None = None
    """What the ledger holds of the same version; None: nothing, or of another version."""

    @property
    def sha256s(self) -> frozenset[str]:
        """The values that its SHA-256 must have, as far as is known beforehand."""
        recorded = () if self.recorded is None else (self.recorded.sha256,)
        return frozenset((*(claim.value.hex() for claim in self.claims), *recorded))


class TransferContext(Struct, frozen=True):
    """What a download works with."""

    links: Links
    fetcher: Fetcher
    mirror: ArtifactStore
    staging: Path
    """The folder of staged files, on the mirror's own file system."""
    clock: Clock
    observer: Observer
    offload: Offload
    space: DiskSpace
    small: Batches[Small, Published]
    """Publishes small files."""
    gathering: MemoryBudget = field(default_factory=MemoryBudget)
    leftovers: StagedNames = field(default_factory=StagedNames)
    ranges: RangePolicy = field(default_factory=RangePolicy)
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    rng: Random = field(default_factory=Random)
    """For the jitter between tries."""
    pace: BandwidthLimiter | None = None
    """The bytes a second that all downloads share; None: as many as come."""

    @property
    def unlimited(self) -> bool:
        """Whether bytes may come as fast as they do, at this time of the day."""
        return self.pace is None or self.pace.rate() is None


class BodyReceiver:
    """Receives one body."""

    def __init__(
        self, tools: TransferContext, wanted: WantedArtifact, staged: Staged, body: AcceptedBody
    ) -> None:
        self._tools = tools
        self._wanted = wanted
        self._staged = staged
        self._body = body
        self._chunks: list[Chunk] = []
        self._gathered = 0
        """Bytes in the chunks."""
        self._arrived = 0
        self._begun = body.offset > 0
        """Whether the staged file holds bytes of this very body already."""
        self._unwanted = False
        self._writing: asyncio.Future[None] | None = None
        if body.offset:
            staged.identity = body.identity

    async def receive(self, chunks: AsyncIterator[Chunk]) -> None:
        """Take the body to its end; on a cut or a cancellation keep what can be gone on with."""
        try:
            with self._tools.gathering:
                await self._gather(chunks)
            self._refuse_error_page()
            self._check_end()
        except BaseException as error:
            await self._save(error)
            raise
        await self._written()

    async def _gather(self, chunks: AsyncIterator[Chunk]) -> None:
        gathering, pace = self._tools.gathering, self._tools.pace
        async for chunk in chunks:
            self._take(chunk)
            if self._gathered > SMALL and self._gathered >= gathering.block:
                await self._write_beside()
            if pace is not None:  # nothing is read meanwhile, so TCP slows the sender
                await pace.take(len(chunk))

    def _take(self, chunk: Chunk) -> None:
        self._count(chunk)
        self._tools.observer.notify(BytesArrived(self._wanted.artifact.key, len(chunk)))
        self._chunks.append(self._tools.gathering.keep(chunk))
        self._gathered += len(chunk)

    def _count(self, chunk: Chunk) -> None:
        self._arrived += len(chunk)
        if self._body.length is not None and self._arrived > self._body.length:
            raise RangeMismatch("the server sent more bytes than it had announced")

    async def _write_beside(self) -> None:
        """Have a block written while the next one comes."""
        self._refuse_error_page()
        await self._written()
        self._writing = self._tools.offload.start(self._write, self._taken())

    def _taken(self) -> list[Chunk]:
        chunks, self._chunks, self._gathered = self._chunks, [], 0
        return chunks

    def _check_end(self) -> None:
        """Raise ``Cut`` unless this is the end of the file."""
        length, total = self._body.length, self._body.total
        end = self._body.offset + self._arrived
        expected = total if total is not None else self._body.offset + (length or 0)
        if end < expected:
            raise Cut(f"the server sent {end:,} of {expected:,} bytes")

    async def _written(self) -> None:
        """Wait for the block that is being written.

        After one that was lost nothing more may be staged: it would stand in the lost one's place.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            try:
                await writing
            finally:
                self._unwanted = self._unwanted or writing.exception() is not None

    async def _save(self, error: BaseException) -> None:
        """Stage what has come before a cut, so that the next try goes on at its byte."""
        try:
            await self._written()
            if self._chunks and self._worth_saving:
                await self._tools.offload(self._write, self._taken())
        except DiskError:
            if isinstance(error, DownloadError):
                raise  # the disk's trouble is the greater one; a cancellation stays one

    @property
    def _worth_saving(self) -> bool:
        return not self._unwanted and (self._begun or bool(self._body.identity.validator))

    def _refuse_error_page(self) -> None:
        """An object store's error document is no artifact, even with a 200."""
        if self._begun:
            return
        code = store_error(self._head(), self._wanted.artifact.key.local_path)
        if code is not None:
            self._unwanted = True
            raise failure_of_store_error(code)

    def _head(self) -> bytes:
        head = b""
        for chunk in self._chunks:
            head += bytes(chunk[: _SNIFF - len(head)])
            if len(head) == _SNIFF:
                break
        return head

    @property
    def small(self) -> bool:
        """Whether all of the file is in memory, and nothing of it staged."""
        return not self._begun

    async def conclude(self) -> Published:
        """Judge the bytes and put them into their place; what was in the way has moved there."""
        tools, wanted = self._tools, self._wanted
        if not self.small:
            return await tools.offload(self._conclude)
        chunks, identity = self._taken(), self._body.identity
        known = wanted.path, wanted.claims, wanted.recorded
        return await tools.small(Small(chunks, identity, *known, self._staged))

    def _conclude(self) -> Published:
        if rest := self._taken():
            self._write(rest)
        return publish_staged(self._tools, self._wanted, self._staged)

    def _write(self, chunks: list[Chunk]) -> None:
        with self._tools.space.taken(sum(map(len, chunks))), disk_errors("staging"):
            if not self._begun:
                self._staged.begin(self._body.identity)
                self._begun = True
            self._staged.write(*chunks)


def publish_staged(tools: TransferContext, wanted: WantedArtifact, staged: Staged) -> Published:
    """Judge a staged file that is all there, and put it into its place. Blocking."""
    strength, evidence = judged(staged.identity, wanted.claims, wanted.recorded, staged.hashes)
    with disk_errors("staging"):
        vouched = staged.vouch(strength, evidence)
        staged.shelve()
    return vouched, publish(tools.mirror, vouched.content(staged.path), wanted.path)


def publish(mirror: ArtifactStore, content: StagedContent, path: MirrorPath) -> str | None:
    """Publish one file; where a stranger in its place has moved. Blocking."""
    (outcome,) = mirror.publish([(content, path)])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
