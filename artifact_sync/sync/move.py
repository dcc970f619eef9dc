"""Copies the files of a mirror to another one, each verified.

Neither mirror may change meanwhile. What is broken off is done again by the next call, but for the
runs in the journal.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from artifact_sync.domain.disk_errors import disk_errors
from artifact_sync.domain.errors import ArtifactSyncError, DiskError
from artifact_sync.domain.model import ArchiveFile, Failure, FileState, MirrorPath, StagedContent
from artifact_sync.runtime.read_ahead import in_order
from artifact_sync.sync.latest import point_latest
from artifact_sync.sync.verify import Condition, Finding, compared

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

    from artifact_sync.domain.archives import ExtractLimits
    from artifact_sync.domain.model import ArtifactRow, DisplacedFile, RepoName, RunKey
    from artifact_sync.domain.ports import Ledger, WatchedMirror
    from artifact_sync.mirror.layout import Layout
    from artifact_sync.runtime.threads import Offload
    from artifact_sync.sync.hash_progress import HashProgress

_IN_MEMORY = 64 * 1024
"""Bytes up to which a file goes without the staging folder."""
_BLOCK = 1 << 20
_BATCH = 32
"""Files that are published together."""
_AHEAD = 4
"""Batches at a time."""
_MARK = 16
"""Bytes of a run in the journal."""
_SAFE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class OpenedFile(Protocol):
    """A file that is open to be read."""

    fd: int


class SourceFiles(Protocol):
    """Opens files of the mirror that is moved. Blocking; ``DiskError``."""

    def opened(self, path: MirrorPath) -> AbstractContextManager[OpenedFile | None]:
        """A file; None: there is none."""

    def opened_displaced(self, file: DisplacedFile) -> AbstractContextManager[OpenedFile | None]:
        """A file that was displaced; None: there is none."""


class MovedFrom(Struct, frozen=True):
    """The mirror that is moved."""

    mirror: WatchedMirror
    files: SourceFiles
    ledger: Ledger
    layout: Layout


class MovedTo(Struct, frozen=True):
    """Where it is moved to."""

    mirror: WatchedMirror
    staging: Path
    at: Callable[[datetime], None]
    """Has the mirror take this for the present time, by which it names what is displaced."""
    limits: ExtractLimits | None
    """Of what is unpacked; None: nothing can be."""


class MoveJournal:
    """Remembers which runs are copied, durably. Blocking; ``DiskError``."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._done: set[bytes] = set()
        with disk_errors(str(file)), suppress(FileNotFoundError):
            content = file.read_bytes()
            ends = range(_MARK, len(content) + 1, _MARK)  # a torn end is left out
            self._done = {content[end - _MARK : end] for end in ends}

    def __contains__(self, mark: bytes) -> bool:
        return mark in self._done

    def add(self, mark: bytes) -> None:
        """Note a run."""
        with disk_errors(str(self._file)):
            fd = os.open(self._file, os.O_WRONLY | os.O_CREAT | _SAFE, 0o600)
            try:
                os.lseek(fd, len(self._done) * _MARK, os.SEEK_SET)
                os.write(fd, mark)
                os.fdatasync(fd) if hasattr(os, "fdatasync") else os.fsync(fd)
            finally:
                os.close(fd)
        self._done.add(mark)

    def remove(self) -> None:
        """Forget all: the move is done."""
        with disk_errors(str(self._file)):
            self._file.unlink(missing_ok=True)


class Mover:
    """Copies all files that the ledger knows, with manifests and what was displaced."""

    def __init__(
        self,
        source: MovedFrom,
        target: MovedTo,
        offload: Offload,
        journal: MoveJournal,
        progress: HashProgress,
    ) -> None:
        self._source, self._target = source, target
        self._offload, self._journal, self._progress = offload, journal, progress
        self.size = 0
        """Bytes that were copied by this call."""
        self.failures: list[Failure] = []
        """What the target does not take."""

    async def displaced(self) -> None:
        """Copy what was displaced, before anything is at its path."""
        await self._offload(self._displaced)

    async def files(self, repos: Sequence[RepoName]) -> AsyncGenerator[Finding]:
        """Copy the files of these repositories; what is damaged, which is not copied."""
        for repo in repos:
            async with aclosing(self._repository(repo)) as findings:
                async for finding in findings:
                    yield finding
            parts = (self._source.ledger, self._target.mirror, self._source.layout)
            await point_latest(*parts, self._offload, repo)

    async def _repository(self, repo: RepoName) -> AsyncGenerator[Finding]:
        async with aclosing(self._source.ledger.runs(repo)) as runs:
            async for run in runs:
                rows = [*(await self._source.ledger.artifacts(run.key)).values()]
                standing = [it for it in rows if it.path is not None and it.may_stand]
                async with aclosing(self._run(run.key, standing)) as findings:
                    async for finding in findings:
                        yield finding

    async def _run(self, run: RunKey, rows: Sequence[ArtifactRow]) -> AsyncGenerator[Finding]:
        mark = _mark(run, rows)
        if mark in self._journal:
            for row in rows:
                self._progress.count(row.size)
            return
        sound, before = True, len(self.failures)
        batches = (self._offload(self._batch, rows[at : at + _BATCH]) for at in _steps(rows))
        async with aclosing(in_order(batches, _AHEAD)) as results:
            async for findings in results:
                for finding in findings:
                    sound = False
                    yield finding
        await self._unpack(rows)
        await self._offload(self._beside, run)
        if rows and sound and len(self.failures) == before:
            await self._offload(self._journal.add, mark)

    def _batch(self, rows: Sequence[ArtifactRow]) -> list[Finding]:
        """Copy some files of a run; what is damaged."""
        damage, ready = [], []
        for row in rows:
            finding, content = self._staged(row)
            self._progress.count(row.size)
            if content is not None and row.path is not None:
                ready.append((row, content, row.path))
            elif row.on_record:
                damage.append(finding)
        outcomes = self._target.mirror.publish([(content, path) for _, content, path in ready])
        for (row, content, _), outcome in zip(ready, outcomes, strict=True):
            if isinstance(outcome, DiskError):
                raise outcome
            if isinstance(outcome, ArtifactSyncError):
                self.failures.append(Failure.of(row.key, outcome.reason, str(outcome)))
            else:
                self.size += content.size
        return damage

    def _staged(self, row: ArtifactRow) -> tuple[Finding, StagedContent | None]:
        """A file in staging, if it is the one on record."""
        path = row.path or MirrorPath("")
        try:
            with self._source.files.opened(path) as file:
                content = self._content(file, path) if file is not None else None
        except DiskError as error:
            self._source.mirror.check()
            unread = Finding(Condition.UNREADABLE, path, 0, row, row.key.run_key, str(error))
            return unread, None
        found = (content.size, content.sha256) if content is not None else None
        finding = compared(row, path, found)
        if finding.condition is not Condition.OK:
            self._drop(content)
            return finding, None
        return finding, content

    def _content(self, file: OpenedFile, path: str) -> StagedContent:
        """Copy to staging what is read, and hash it."""
        size = os.fstat(file.fd).st_size
        if size <= _IN_MEMORY:
            content = b"".join(_blocks(file.fd, path))
            return StagedContent(len(content), hashlib.sha256(content).hexdigest(), content)
        name = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        staged = self._target.staging / f"move-{name}.part"
        sha256, size = hashlib.sha256(), 0
        with disk_errors("staging"):
            staged.unlink(missing_ok=True)  # what a crash has left
            fd = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE, 0o600)
        with open(fd, "wb", buffering=0) as out:  # noqa: PTH123 - a descriptor
            for block in _blocks(file.fd, path):
                sha256.update(block)
                size += len(block)
                with disk_errors("staging"):
                    _write(out.fileno(), block)
            written = FileState.of(os.fstat(fd))
        return StagedContent(size, sha256.hexdigest(), staged, written)

    def _drop(self, content: StagedContent | None) -> None:
        if content is not None and not isinstance(content.data, (bytes, memoryview, type(None))):
            with suppress(OSError):
                content.data.unlink()

    async def _unpack(self, rows: Sequence[ArtifactRow]) -> None:
        """Unpack again what was unpacked, which must come out the same."""
        limits, mirror = self._target.limits, self._target.mirror
        for row in rows if limits is not None else ():
            folder = row.unpacked if row.on_record else None
            if folder is None or row.path is None or limits is None:
                continue
            entries = await self._source.ledger.unpacked(row.key)
            if await self._offload(mirror.holds, folder, entries):
                continue
            file = ArchiveFile(row.path, row.size, row.sha256)
            unpacked = await self._offload(mirror.unpack, file, limits, _never, keep=True)
            if unpacked is not None:  # else the file is damaged, and was told
                await self._offload(mirror.place_unpacked, unpacked, folder)

    def _beside(self, run: RunKey) -> None:
        """Copy the manifests of a run."""
        for path in self._source.layout.beside(run):
            content = self._source.mirror.read(path)
            if content is not None and self._target.mirror.read(path) != content:
                self._target.mirror.replace(content, path)

    def _displaced(self) -> None:
        there = {(it.at, it.path, it.size) for it in self._target.mirror.displaced()}
        for it in self._source.mirror.displaced():
            if (it.at, it.path, it.size) not in there:
                self._displace(it)

    def _displace(self, it: DisplacedFile) -> None:
        """Copy a file to its path, and have it displaced from there at the time that it was."""
        mirror = self._target.mirror
        with self._source.files.opened_displaced(it) as file:
            content = self._content(file, it.place) if file is not None else None
        if content is None:
            return
        (outcome,) = mirror.publish([(content, it.path)])
        if isinstance(outcome, ArtifactSyncError):
            raise outcome
        self._target.at(it.at)
        mirror.displace(it.path)
        self.size += content.size


def remove_left(staging: Path) -> None:
    """Remove what an earlier call that was killed has left in staging. ``DiskError``."""
    with disk_errors("staging"):
        for file in staging.glob("move-*.part"):
            file.unlink(missing_ok=True)


def _steps(rows: Sequence[ArtifactRow]) -> range:
    return range(0, len(rows), _BATCH)


def _mark(run: RunKey, rows: Sequence[ArtifactRow]) -> bytes:
    """What a run in the journal is known by: the same files have the same."""
    facts = [(it.path, it.size, it.sha256, str(it.state), str(it.extraction)) for it in rows]
    told = repr((tuple(run), sorted(facts, key=repr))).encode("utf-8", "surrogateescape")
    return hashlib.sha256(told).digest()[:_MARK]


def _blocks(fd: int, path: str) -> Iterator[bytes]:
    with disk_errors(path):
        os.lseek(fd, 0, os.SEEK_SET)
        while block := os.read(fd, _BLOCK):
            yield block


def _write(fd: int, block: bytes) -> None:
    left = memoryview(block)
    while left:
        left = left[os.write(fd, left) :]


def _never() -> None:
    """Nobody stops it."""
