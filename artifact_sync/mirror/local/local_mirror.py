"""A mirror on a local file system: every ability of ``domain.ports``, below a root."""

# ruff: noqa: D102 - the contract of every verb stands on its port

from __future__ import annotations

import posixpath
import stat
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from artifact_sync.domain.archives import Unpacked
from artifact_sync.domain.disk_errors import disk_errors, is_not_offered
from artifact_sync.domain.errors import DiskError, UnsafePath
from artifact_sync.domain.model import Found, MirrorPath
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.mirror.local.displaced import DisplacedFiles
from artifact_sync.mirror.local.file_io import (
    content_of,
    digest,
    drop_cached,
    free_bytes,
    is_file,
    is_link,
    reading,
    temporary_name,
    umask,
)
from artifact_sync.mirror.local.folder import is_folder, open_folder
from artifact_sync.mirror.local.lock import MirrorLock
from artifact_sync.mirror.local.own_folder import prepare
from artifact_sync.mirror.local.publisher import Publisher
from artifact_sync.mirror.local.recent_writes import RecentWrites
from artifact_sync.mirror.local.reserve import keep_reserve, spend_reserve
from artifact_sync.mirror.local.tree import STAGING, Tree
from artifact_sync.mirror.names import quoted
from artifact_sync.mirror.paths import DISPLACED, split
from artifact_sync.runtime.logs import get_logger

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from artifact_sync.domain.archives import ExtractLimits, UnpackedEntry
    from artifact_sync.domain.errors import ArtifactSyncError
    from artifact_sync.domain.model import ArchiveFile, DisplacedFile, Placed, StagedContent
    from artifact_sync.domain.ports import ManifestSigner
    from artifact_sync.domain.settings import Dedupe, Durability
    from artifact_sync.mirror.fence import Fence
    from artifact_sync.mirror.local.file_io import Replaceable
    from artifact_sync.mirror.local.folder import Folder
    from artifact_sync.mirror.local.unpacked import OpenArchive
    from artifact_sync.mirror.paths import Parts

_log = get_logger(__name__)


def _utc() -> datetime:
    return datetime.now(UTC)


class LocalMirror:
    """A mirror below a root, which may itself be reached through symbolic links.

    Making one makes the root and our own folders in it, unless it is only ``looked_at``. ``opener``
    and ``now`` are for tests.
    """

    def __init__(
        self,
        root: Path,
        *,
        durability: Durability = "full",
        looked_at: bool = False,
        signer: ManifestSigner | None = None,
        opener: Callable[[Path], Folder] = open_folder,
        now: Callable[[], datetime] = _utc,
    ) -> None:
        self.root = root.absolute()
        self.signer = signer
        self.staging = (self.root / OWN_FOLDER if looked_at else prepare(self.root)) / STAGING
        """The folder for staged files: on the mirror's own file system, the owner's alone."""
        with disk_errors(str(self.root), self.root):
            self._tree = Tree(self.root, opener, durable=durability == "full")
        self._lock: MirrorLock | None = None
        self._reserve_spent = False
        """Whether this process is to make it again, once files have gone."""
        self._displaced = DisplacedFiles(self._tree, now)
        self._recent = RecentWrites()
        self._publisher = Publisher(
            self._tree, self._displaced, self._recent, self._errors, 0o644 & ~umask()
        )

    def dedupe(self, how: Dedupe) -> None:
        """Have files share the blocks of others from now on."""
        self._publisher.dedupe(how)

    def share(self, slot: str, fence: Fence, *, frees: bool = False) -> None:
        """Work beside other processes from now on. ``DiskError``.

        ``slot``: the name of a staging folder that no other process has. ``frees``: as in
        ``locked``.
        """
        (spend_reserve if frees else keep_reserve)(self.root / OWN_FOLDER)
        with disk_errors(str(self.root), self.root):
            self._tree.share((OWN_FOLDER, STAGING, slot), fence)
        self.staging = self.root.joinpath(*self._tree.staging)

    @contextmanager
    def locked(self, command: str, *, frees: bool = False) -> Iterator[None]:
        """Keep other processes out meanwhile. ``MirrorBusy``, ``DiskError``.

        ``frees``: to remove files, for which a full disk has some room in reserve.
        """
        with MirrorLock(self.root, command) as self._lock:
            (spend_reserve if frees else keep_reserve)(self.root / OWN_FOLDER)
            yield

    def check(self, folder: MirrorPath | None = None) -> None:
        with self._errors(str(self.root)):
            self._tree.check()
        if self._lock is not None:
            self._lock.check()
        if folder is not None:
            with self._errors(folder):
                self._tree.check_writable(split(folder))

    def find(self, path: MirrorPath) -> Found | None:
        found = self._look(path)
        if found is None:
            return None
        return Found(_kind(found), found.st_size, max(found.st_mtime, found.st_ctime))

    def _look(self, path: str) -> os.stat_result | None:
        with self._folder_of(path) as (folder, name):
            return folder.look(name) if folder is not None else None

    def sizes(self, paths: Collection[MirrorPath]) -> Mapping[MirrorPath, int]:
        with self._errors(str(self.root)):
            return self._tree.sizes(paths)

    def publish(
        self, files: Sequence[tuple[StagedContent, MirrorPath]]
    ) -> Sequence[Placed | ArtifactSyncError | None]:
        return self._publisher.publish(files)

    def read(self, path: MirrorPath) -> bytes | None:
        with self._folder_of(path) as (folder, name), reading(folder, name) as fd:
            return content_of(fd) if fd is not None else None

    def replace(self, content: bytes, path: MirrorPath) -> None:
        parts = split(path)
        with self._errors(path):
            self._publisher.write(content, parts, is_file)

    def remove(
        self,
        paths: Sequence[MirrorPath],
        folder: MirrorPath | None = None,
        empty: Sequence[MirrorPath] = (),
    ) -> None:
        files = [split(path) for path in paths]
        top = split(folder) if folder is not None else None
        for parts in [*files, *map(split, empty)] if top is not None else ():
            if parts[: len(top or ())] != top or parts == top:
                raise UnsafePath(f"{quoted('/'.join(parts))} is not in {quoted(str(folder))}")
        for above, members in groupby(files, lambda parts: parts[:-1]):
            with self._errors("/".join(above)):
                names = [parts[-1] for parts in members]
                self._unlink(above, names, is_file, durable=top is None)
        if top is not None:
            with self._errors("/".join(top)):
                folders = {*(parts[:-1] for parts in files), *map(split, empty)}
                self._tree.remove_empty(folders, top)
        if self._reserve_spent:
            keep_reserve(self.root / OWN_FOLDER)

    def spend_reserve(self) -> None:
        if spend_reserve(self.root / OWN_FOLDER):
            self._reserve_spent = True

    def _unlink(
        self, above: Parts, names: Iterable[str], ours: Replaceable, *, durable: bool = True
    ) -> None:
        """Remove those of these names in a folder that are ours."""
        check = self._tree.fence()
        with self._tree.entered(above) as folder:
            if folder is None:
                return
            for name in names:
                found = folder.look(name)
                if found is not None and ours(folder, found):
                    check()
                    with suppress(FileNotFoundError):
                        folder.remove(name)
                    self._recent.note("/".join((*above, name)), None)
            if durable:
                self._tree.sync(folder)

    def digest(
        self, path: MirrorPath, stop: Callable[[], bool] | None = None
    ) -> tuple[int, str] | None:
        with self._folder_of(path) as (folder, name):
            return digest(folder, name, stop)

    def vouched(
        self, path: MirrorPath, since: datetime | None, stop: Callable[[], bool] | None = None
    ) -> tuple[int, str] | None:
        del since
        return self.digest(path, stop)  # no file system vouches for anything

    def uncache(self, path: MirrorPath) -> None:
        with (
            suppress(DiskError),
            self._folder_of(path) as (folder, name),
            reading(folder, name) as fd,
        ):
            if fd is not None:
                drop_cached(fd)

    def files(
        self, below: MirrorPath, *, skip: Collection[MirrorPath] = ()
    ) -> Iterator[MirrorPath]:
        parts = split(below) if below else ()
        with self._errors(below or str(self.root)):
            for path in self._tree.files(parts, frozenset[str](skip)):
                yield MirrorPath(path)

    def displace(self, path: MirrorPath) -> str | None:
        with self._errors(path):
            moved = self._displaced.take(split(path))
        if moved is not None:
            self._recent.note(path, None)
        return moved

    def displaced(self, below: str = "") -> Iterator[DisplacedFile]:
        with self._errors(f"{OWN_FOLDER}/{DISPLACED}"):
            yield from self._displaced.files(below)

    def put_back(self, file: DisplacedFile) -> bool:
        with self._errors(file.path):
            return self._displaced.put_back(file)

    def discard(self, files: Iterable[DisplacedFile]) -> Mapping[DisplacedFile, DiskError]:
        with self._errors(f"{OWN_FOLDER}/{DISPLACED}"):
            return self._displaced.discard(files, self._errors)

    def point(self, link: MirrorPath, target: MirrorPath) -> None:
        parts = split(link)
        wanted = posixpath.relpath("/".join(split(target)), "/".join(parts[:-1]))
        with self._errors(link):
            if self._target(link) != wanted and self._offers_links:
                self._publisher.replace(
                    lambda folder, name: folder.point(name, wanted), parts, is_link
                )

    def _target(self, link: MirrorPath) -> str | None:
        """Where a symbolic link points to; None when there is none."""
        with self._folder_of(link) as (folder, name):
            found = folder.look(name) if folder is not None else None
            is_there = found is not None and stat.S_ISLNK(found.st_mode)
            return folder.target(name) if folder is not None and is_there else None

    @cached_property
    def _offers_links(self) -> bool:
        """Whether symbolic links can be made here; a no is logged, once.

        vfat says EPERM, and Windows wants a privilege for it.
        """
        try:
            with self._publisher.staged(lambda folder, name: folder.point(name, STAGING)) as it:
                it.folder.remove(it.name)
        except (NotImplementedError, OSError) as error:
            refused = not isinstance(error, OSError) or is_not_offered(error)
            if not refused and not isinstance(error, PermissionError):
                raise
            _log.warning("no symbolic links here: latest and latest-success are left out")
            return False
        return True

    def unpoint(self, link: MirrorPath) -> None:
        *above, name = split(link)
        with self._errors(link):
            self._unlink(tuple(above), [name], is_link)

    def archive_format(self, path: MirrorPath) -> str:
        from artifact_sync.domain.archive_format import archive_format  # noqa: PLC0415 - hardly ever

        with self.opened(path) as archive:
            return archive_format(archive.read_at, archive.size) if archive is not None else ""

    def check_packed(self, path: MirrorPath, name: str) -> None:
        from artifact_sync.mirror.archives.unpack import check_packed  # noqa: PLC0415 - hardly ever

        with self.opened(path) as archive:
            if archive is not None:
                check_packed(archive, name)

    def unpack(
        self, file: ArchiveFile, limits: ExtractLimits, stop: Callable[[], None], *, keep: bool
    ) -> Unpacked | None:
        with self.opened(file.path) as archive:
            if archive is None or not archive.is_as_recorded(file.size, file.sha256):
                return None
            if not keep:
                from artifact_sync.mirror.archives.unpack import Hashing, unpack  # noqa: PLC0415 - hardly ever

                return Unpacked("", unpack(archive, limits, Hashing(), stop))
            return self._unpacked(archive, limits, stop)

    def _unpacked(
        self, archive: OpenArchive, limits: ExtractLimits, stop: Callable[[], None]
    ) -> Unpacked:
        from artifact_sync.mirror.local.unpacked import TREE, remove_tree, write_tree  # noqa: PLC0415 - likewise

        name, mask = temporary_name() + TREE, umask()
        modes, durable = (0o644 & ~mask, 0o755 & ~mask), self._tree.durable
        with self._tree.existing(self._tree.staging) as staging:
            try:
                staging.make(name, 0o755)
                with staging.enter(name) as top:
                    found = write_tree(archive, top, limits, stop, modes=modes, durable=durable)
            except BaseException:
                with suppress(OSError):
                    remove_tree(staging, name)
                raise
        return Unpacked(name, found)

    @contextmanager
    def opened(self, path: MirrorPath) -> Iterator[OpenArchive | None]:
        """A file of the mirror, open to be read; None: no regular file."""
        from artifact_sync.mirror.local.unpacked import opened_archive  # noqa: PLC0415 - hardly ever

        with self._folder_of(path) as (folder, name), opened_archive(folder, name) as archive:
            yield archive

    @contextmanager
    def opened_displaced(self, file: DisplacedFile) -> Iterator[OpenArchive | None]:
        """A displaced file, open to be read; None: no regular file."""
        from artifact_sync.mirror.local.unpacked import opened_archive  # noqa: PLC0415 - hardly ever

        parts = (OWN_FOLDER, DISPLACED, *file.place.split("/"))
        with (
            self._errors(file.place),
            self._tree.entered(parts[:-1]) as folder,
            opened_archive(folder, parts[-1]) as archive,
        ):
            yield archive

    def place_unpacked(self, unpacked: Unpacked, folder: MirrorPath) -> str | None:
        with self._errors(folder):
            return self._publisher.place_folder(unpacked.name, split(folder))

    def drop_unpacked(self, unpacked: Unpacked) -> None:
        from artifact_sync.mirror.local.unpacked import remove_tree  # noqa: PLC0415 - hardly ever

        with (
            self._errors(f"{OWN_FOLDER}/{STAGING}"),
            self._tree.existing(self._tree.staging) as staging,
        ):
            if unpacked.name:
                remove_tree(staging, unpacked.name)

    def holds(self, folder: MirrorPath, entries: Sequence[UnpackedEntry]) -> bool:
        from artifact_sync.mirror.local.unpacked import holds  # noqa: PLC0415 - hardly ever

        with self._errors(folder), self._tree.entered(split(folder)) as below:
            return holds(below, entries)

    def stands(self, path: MirrorPath, entry: UnpackedEntry) -> bool:
        from artifact_sync.mirror.local.unpacked import stands  # noqa: PLC0415 - hardly ever

        with self._folder_of(path) as (folder, name):
            return stands(folder, name, entry)

    def remove_links(self, paths: Sequence[MirrorPath]) -> None:
        for path in paths:
            self.unpoint(path)

    def free(self) -> int | None:
        self.check()
        with self._errors(str(self.root)):
            return free_bytes(self.root)

    def wrote(self, path: str) -> bool:
        return self._recent.knows(path) and self._recent.left(path, self._look(path))

    @contextmanager
    def _folder_of(self, path: str) -> Iterator[tuple[Folder | None, str]]:
        """The open folder of a path, or None, and the name in it."""
        *above, name = split(path)
        with self._errors(path), self._tree.entered(tuple(above)) as folder:
            yield folder, name

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        with disk_errors(quoted(path), self.root, path):
            yield


def _kind(found: os.stat_result) -> Literal["file", "folder", "other"]:
    if stat.S_ISREG(found.st_mode):
        return "file"
    return "folder" if is_folder(found) else "other"
