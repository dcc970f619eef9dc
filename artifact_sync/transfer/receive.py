"""Receives one response body in blocks, judges the whole file and publishes it.

A block is staged while the next one arrives, which grows while the disk is behind. A file of no
more than one stays in memory.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from artifact_sync.domain.archive_format import archive_format
from artifact_sync.domain.errors import (
    ArtifactSyncError,
    Cut,
    DiskError,
    DownloadError,
    RangeMismatch,
)
from artifact_sync.domain.events import BytesArrived
from artifact_sync.domain.model import Placed
from artifact_sync.transfer.context import BLOCK, Published, SmallFile
from artifact_sync.transfer.error_page import failure_of_store_error, store_error
from artifact_sync.transfer.evidence import Hashes, Vouched, judge_file

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from artifact_sync.domain.model import MirrorPath, SameFile, StagedContent
    from artifact_sync.domain.ports import ArtifactStore, Chunk
    from artifact_sync.transfer.context import TransferContext, WantedArtifact
    from artifact_sync.transfer.disk_space import DiskSpace
    from artifact_sync.transfer.response import AcceptedBody
    from artifact_sync.transfer.staging import StagedFile

_OFTEN = 0.1
"""Seconds between two events of the bytes that have come ..."""
_MUCH = 64 * 1024
"""... unless so many come sooner: TLS brings them by 16 KiB."""

_SNIFF = 1024
"""Bytes at the beginning of a body in which an object store's error document shows."""


class BodyReceiver:
    """Receives one body and publishes it; small files bypass staging."""

    def __init__(
        self,
        context: TransferContext,
        wanted: WantedArtifact,
        staged: StagedFile,
        body: AcceptedBody,
    ) -> None:
        self._context = context
        self._wanted = wanted
        self._staged = staged
        self._body = body
        self._chunks: list[Chunk] = []
        """Not staged yet."""
        self._gathered = 0
        """Bytes in the chunks."""
        self._arrived = 0
        self._told = 0
        self._tell_at = 0.0
        self._writing: asyncio.Future[None] | None = None
        if body.offset:
            staged.resume(body.identity)

    async def receive(self, chunks: AsyncIterator[Chunk]) -> None:
        """Receive the body. After an error or a cancellation it can be resumed."""
        try:
            with self._context.memory:
                await self._gather(chunks)
            self._refuse_error_page()
            self._check_end()
            await self._written()
        except BaseException as error:
            await self._save(error)
            raise

    async def _gather(self, chunks: AsyncIterator[Chunk]) -> None:
        bandwidth = self._context.bandwidth
        try:
            async for chunk in chunks:
                self._take(chunk)
                if self._gathered > (BLOCK if self._is_idle else self._context.memory.most):
                    await self._write_beside()
                if bandwidth is not None:  # nothing is read meanwhile, so TCP slows the sender
                    await bandwidth.take(len(chunk))
        finally:
            self._tell()

    @property
    def _is_idle(self) -> bool:
        """Whether no block is being written."""
        return self._writing is None or self._writing.done()

    def _take(self, chunk: Chunk) -> None:
        size = len(chunk)
        if self._body.length is not None and self._arrived + size > self._body.length:
            raise RangeMismatch("the server sent more bytes than it had announced")
        self._arrived += size
        self._gathered += size
        self._chunks.append(self._context.memory.keep(chunk))
        if (now := monotonic()) >= self._tell_at or self._arrived - self._told >= _MUCH:
            self._tell_at = now + _OFTEN
            self._tell()

    def _tell(self) -> None:
        """Tell the observer what has come since it was last told."""
        count, self._told = self._arrived - self._told, self._arrived
        if count:
            self._context.observer.notify(BytesArrived(self._wanted.artifact.key, count))

    async def _write_beside(self) -> None:
        """Have a block written while the next one comes."""
        self._refuse_error_page()
        await self._written()
        self._writing = self._context.offload.start(self._write, self._taken())

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
        """Wait for the block that is being written; if it is lost, drop what came after it."""
        writing, self._writing = self._writing, None
        if writing is None:
            return
        try:
            await writing
        finally:
            if writing.exception() is not None:
                self._taken()  # it would be staged in the lost block's place

    async def _save(self, error: BaseException) -> None:
        """Stage what came before an error, so that the next try resumes at its byte."""
        try:
            await self._written()
            if self._chunks and (self._is_staged or self._body.identity.validator):
                await self._context.offload(self._write, self._taken())
        except DiskError:
            if isinstance(error, DownloadError):
                raise  # the disk's trouble is the greater one; a cancellation stays one

    @property
    def _is_staged(self) -> bool:
        """Whether bytes of this very body are staged."""
        return self._staged.belongs_to(self._body.identity)

    def _refuse_error_page(self) -> None:
        """An object store's error document is no artifact, even with a 200."""
        if self._body.offset or self._gathered < self._arrived:
            return  # its beginning has been looked at
        head = b"".join(bytes(chunk[:_SNIFF]) for chunk in self._chunks)[:_SNIFF]
        code = store_error(head, self._wanted.artifact.key.local_path)
        if code is not None:
            self._taken()
            raise failure_of_store_error(code)

    @property
    def small(self) -> bool:
        """Whether all of the file is in memory, and nothing of it staged."""
        return not self._is_staged

    @property
    def size(self) -> int:
        """Bytes of the body that are here."""
        return self._body.offset + self._arrived

    async def publish(self) -> Published:
        """Judge the received file and publish it. ``IntegrityFailure``, ``DiskError``."""
        if not self.small:
            if rest := self._taken():
                await self._context.offload(self._write, rest)
            return await publish_staged(self._context, self._wanted, self._staged)
        file = SmallFile(self._taken(), self._body.identity, self._wanted, self._staged)
        return await publish_small(self._context, file)

    def _write(self, chunks: list[Chunk]) -> None:
        with self._context.space.taken(sum(map(len, chunks))):
            if not self._is_staged:
                self._staged.begin(self._body.identity)
            self._staged.write(*chunks)


async def publish_staged(
    context: TransferContext, wanted: WantedArtifact, staged: StagedFile
) -> Published:
    """Judge a staged file that is complete and publish it. ``IntegrityFailure``, ``DiskError``."""
    if wanted.turn is None:  # all in one hop
        return await context.offload(
            lambda: _publish_judged(context.mirror, wanted, staged, _judge(wanted, staged))
        )
    vouched = await context.offload(_judge, wanted, staged)
    same = await wanted.same_files(vouched.sha256, vouched.size)
    return await context.offload(_publish_judged, context.mirror, wanted, staged, vouched, same)


def _judge(wanted: WantedArtifact, staged: StagedFile) -> Vouched:
    judgement = judge_file(staged.identity, wanted.claims, wanted.recorded, staged.hashes)
    archive = format_of_file(staged.path)
    return replace(staged.vouch(*judgement), archive=archive)


def _publish_judged(
    mirror: ArtifactStore,
    wanted: WantedArtifact,
    staged: StagedFile,
    vouched: Vouched,
    same: Sequence[SameFile] = (),
) -> Published:
    (outcome,) = mirror.publish([(replace(staged.content, same=same), wanted.path)])
    if not isinstance(outcome, Placed):
        staged.unpublished()
        raise outcome or ValueError("a staged file without data")
    staged.published()
    return Published.of(vouched, outcome)


async def publish_small(context: TransferContext, file: SmallFile) -> Published:
    """Judge a small file and publish it, among others. ``IntegrityFailure``, ``DiskError``."""
    if file.wanted.turn is not None:
        sha256 = await context.offload(_sha256, file.chunks)
        same = await file.wanted.same_files(sha256, sum(map(len, file.chunks)))
        file = replace(file, same=same)
    return await context.small_files(file)


def _sha256(chunks: Sequence[Chunk]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def format_of_file(path: Path) -> str:
    """What kind of archive a staged file is; empty: it cannot be read now."""
    try:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size

            def read(at: int, count: int) -> bytes:
                file.seek(at)
                return file.read(count)

            return archive_format(read, size)
    except OSError:
        return ""  # what is wrong with it is told by whoever publishes it


class _Sound(NamedTuple):
    """A small file that has been judged, to be published."""

    file: SmallFile
    vouched: Vouched
    content: StagedContent

    @property
    def to_publish(self) -> tuple[StagedContent, MirrorPath]:
        """What goes where."""
        return self.content, self.file.wanted.path

    def published(self, outcome: Placed | Exception | None) -> Published | Exception:
        """What became of it; the bytes are staged where the mirror failed."""
        if isinstance(outcome, Placed):
            return Published.of(self.vouched, outcome)
        data = self.content.data
        if isinstance(outcome, DiskError) and isinstance(data, (bytes, memoryview)):
            self.file.staged.keep(self.file.identity, data, self.vouched)
        return outcome or ValueError("a small file without data")


class SmallFiles(Struct, frozen=True):
    """Judges and publishes small files in batches, from memory."""

    mirror: ArtifactStore
    space: DiskSpace

    def __call__(self, files: Sequence[SmallFile]) -> Sequence[Published | Exception]:
        """An outcome a file: ``IntegrityFailure`` and ``DiskError`` are its own alone."""
        with ExitStack() as room:
            judged = [self._judged(file, room) for file in files]
            sound = [it for it in judged if isinstance(it, _Sound)]
            placed = iter(self._placed(sound))
            return [it.published(next(placed)) if isinstance(it, _Sound) else it for it in judged]

    def _placed(self, sound: Sequence[_Sound]) -> Sequence[Placed | Exception | None]:
        try:
            return self.mirror.publish([it.to_publish for it in sound])
        except DiskError as error:  # the mirror is gone, or away
            return [error] * len(sound)

    def _judged(self, file: SmallFile, room: ExitStack) -> _Sound | ArtifactSyncError:
        wanted, hashes = file.wanted, Hashes(file.identity.algorithms)
        content = file.chunks[0] if len(file.chunks) == 1 else b"".join(file.chunks)
        try:
            room.enter_context(self.space.taken(len(content)))
            hashes.update(content)
            judgement = judge_file(file.identity, wanted.claims, wanted.recorded, hashes)
            file.staged.discard()
        except ArtifactSyncError as error:
            return error
        size = len(content)
        archive = archive_format(lambda at, count: bytes(content[at : at + count]), size)
        vouched = Vouched(size, hashes.sha256, *judgement, archive)
        return _Sound(file, vouched, vouched.content(content, same=file.same))
