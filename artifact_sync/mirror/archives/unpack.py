"""Unpacks an archive into a sink, all of it or nothing. Blocking."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol

from artifact_sync.domain.archive_format import archive_format, first_block
from artifact_sync.domain.archives import FOLDERS, NO_ARCHIVE, TAR, ZIP, UnpackedEntry
from artifact_sync.domain.decompression import DamagedStream, NoDecompressor
from artifact_sync.domain.errors import UnsafeArchive
from artifact_sync.mirror.archives.members import Members
from artifact_sync.mirror.archives.source import OutputBudget, Stream, decompressed, plain
from artifact_sync.mirror.archives.tar import members_of_tar
from artifact_sync.mirror.archives.zip import members_of_zip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from artifact_sync.domain.archives import ExtractLimits
    from artifact_sync.mirror.archives.members import Member, Parts
    from artifact_sync.mirror.archives.source import ArchiveSource


class Sink(Protocol):
    """Where an archive is unpacked to; links are made last."""

    def folder(self, path: Parts) -> None:
        """Make a folder, and what is missing above it. Fine where it is there."""

    def file(self, path: Parts, content: Iterator[bytes], *, executable: bool) -> None:
        """Write a new file; all of ``content`` is to be read."""

    def copy(self, path: Parts, source: Parts) -> Iterator[bytes]:
        """Write a new file like an earlier one; its bytes, as they are written."""

    def link(self, path: Parts, target: str) -> None:
        """Make a symbolic link."""


class Hashing:
    """A sink that keeps nothing."""

    def folder(self, path: Parts) -> None:
        """Nothing."""

    def file(self, path: Parts, content: Iterator[bytes], *, executable: bool) -> None:
        """Read it."""
        del path, executable
        for _ in content:
            pass

    def copy(self, path: Parts, source: Parts) -> Iterator[bytes]:
        """Nothing: what it is like has been hashed."""
        del path, source
        return iter(())

    def link(self, path: Parts, target: str) -> None:
        """Nothing."""


def unpack(
    source: ArchiveSource,
    limits: ExtractLimits,
    sink: Sink,
    stop: Callable[[], None] = lambda: None,
) -> Sequence[UnpackedEntry]:
    """Unpack an archive; what was in it, by path. ``UnsafeArchive``; what the sink raises.

    ``stop`` is called often, and may raise.
    """
    try:
        return _Unpacking(source, limits, sink, stop).run()
    except NoDecompressor as error:
        raise UnsafeArchive(f"it cannot be unpacked here: {error}") from None


def check_packed(source: ArchiveSource, name: str) -> None:
    """Raise ``UnsafeArchive`` where nobody can tell what a packed file holds: it is damaged."""
    try:
        first_block(name, source.read_at)
    except (DamagedStream, NoDecompressor) as error:
        raise UnsafeArchive(f"its {name} cannot be unpacked: {error}") from None


class _Unpacking:
    def __init__(
        self, source: ArchiveSource, limits: ExtractLimits, sink: Sink, stop: Callable[[], None]
    ) -> None:
        self._source = source
        self._limits = limits
        self._sink = sink
        self._budget = OutputBudget(limits, source.size, stop)
        self._members = Members(limits)
        self._files: dict[Parts, tuple[int, str]] = {}
        """Size and SHA-256."""

    def run(self) -> Sequence[UnpackedEntry]:
        kind = archive_format(self._source.read_at, self._source.size)
        if kind not in FOLDERS:
            what = "no archive" if kind == NO_ARCHIVE else f"{kind} of something that is no tar"
            raise UnsafeArchive(f"it is {what}")
        for member in self._read(kind):
            self._take(member)
        return sorted([*self._links(), *self._folders(), *self._entries()])

    def _read(self, kind: str) -> Iterator[Member]:
        if kind == ZIP:
            return members_of_zip(self._source, self._budget, self._limits)
        packed = kind.removeprefix(TAR).removeprefix("+")
        if packed:
            pieces = decompressed(self._source, packed, self._budget)
        else:
            pieces = plain(self._source, self._budget)
        return members_of_tar(Stream(pieces), self._budget)

    def _take(self, member: Member) -> None:
        path = self._members.add(member)
        if member.kind == "folder":
            self._sink.folder(path)
        elif member.kind == "copy":
            self._copy(member, path)
        elif member.content is not None:
            self._file(member, path, member.content)

    def _file(self, member: Member, path: Parts, content: Iterator[bytes]) -> None:
        size, sha256 = 0, hashlib.sha256()

        def hashed() -> Iterator[bytes]:
            nonlocal size
            for piece in content:
                size += len(piece)
                sha256.update(piece)
                yield piece

        self._sink.file(path, hashed(), executable=member.is_executable)
        self._files[path] = size, sha256.hexdigest()

    def _copy(self, member: Member, path: Parts) -> None:
        source = self._members.source(member)
        size, sha256 = self._files[source]
        self._budget.count(size)
        for _ in self._sink.copy(path, source):
            self._budget.count(0)
        self._files[path] = size, sha256

    def _links(self) -> Iterator[UnpackedEntry]:
        """Make the links, once it is known where all of them lead."""
        found = list(self._members.links())
        for path, target, end in found:
            self._sink.link(path, target)
            _, sha256 = self._files.get(end, (0, ""))
            yield UnpackedEntry("/".join(path), 0, sha256, target)

    def _folders(self) -> Iterator[UnpackedEntry]:
        for path in self._members.empty_folders():
            self._sink.folder(path)
            yield UnpackedEntry("/".join(path))

    def _entries(self) -> Iterator[UnpackedEntry]:
        while self._files:
            path, (size, sha256) = self._files.popitem()
            yield UnpackedEntry("/".join(path), size, sha256)
