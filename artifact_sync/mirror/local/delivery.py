"""Copies files out of the mirror, whole or not at all. Blocking."""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from artifact_sync.domain.disk_errors import disk_errors, in_the_way
from artifact_sync.domain.errors import DiskError, IntegrityFailure, InTheirPlace
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.mirror.local.file_io import blocks, create, digest, finish, umask
from artifact_sync.mirror.local.folder import is_folder, open_folder
from artifact_sync.mirror.local.unpacked import holds, remove_tree, write_tree
from artifact_sync.mirror.names import quoted
from artifact_sync.mirror.paths import split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from artifact_sync.domain.archives import ExtractLimits
    from artifact_sync.domain.model import ArchiveFile, DisplacedFile, MirrorPath
    from artifact_sync.mirror.local.folder import Folder
    from artifact_sync.mirror.local.unpacked import OpenArchive

    Parts = tuple[str, ...]


class OpensFiles(Protocol):
    """Opens files of a mirror."""

    def opened(self, path: MirrorPath) -> AbstractContextManager[OpenArchive | None]:
        """A file, open to be read; None: there is none. ``DiskError``."""

    def opened_displaced(self, file: DisplacedFile) -> AbstractContextManager[OpenArchive | None]:
        """A displaced file, open to be read; None: there is none. ``DiskError``."""


class OutsideFolder:
    """A folder of somebody's, into which files are copied.

    What stands there stays, unless ``force`` is said.

    No symbolic link below the folder is followed.
    """

    def __init__(self, mirror: OpensFiles, target: Path, *, force: bool = False) -> None:
        self._mirror = mirror
        self._target = target
        self._force = force
        self._modes = 0o644 & ~umask(), 0o755 & ~umask()

    def copy(self, row: ArchiveFile, place: str) -> bool:
        """Copy a mirrored file; whether it was not there.

        ``IntegrityFailure``: it is not what was recorded. ``InTheirPlace``, ``DiskError``.
        """
        with self._open(row.path, place) as (source, folder, name):
            if folder.look(name) is not None and digest(folder, name) == (row.size, row.sha256):
                return False
            self._check_free(folder, name, place)
            staged = _staged(name, ".new")
            with suppress(FileNotFoundError):
                folder.remove(staged)  # what a crash has left
            try:
                self._write(folder, staged, source, row)
                self._take(folder, name, staged, place)
            except BaseException:
                with suppress(OSError):
                    folder.remove(staged)
                raise
        return True

    def _write(self, folder: Folder, staged: str, source: OpenArchive, row: ArchiveFile) -> None:
        size, sha256 = 0, hashlib.sha256()

        def hashed() -> Iterator[bytes]:
            nonlocal size
            with disk_errors(quoted(row.path)):
                for block in blocks(source.fd):
                    size += len(block)
                    sha256.update(block)
                    yield block

        fd = create(folder, staged, hashed(), self._modes[0])
        if (size, sha256.hexdigest()) != (row.size, row.sha256):
            os.close(fd)
            raise IntegrityFailure(
                f"{quoted(row.path)} is not what was recorded, and was not copied: artifact-sync"
                " verify --repair fetches it again"
            )
        _check_ours(folder, staged, finish(fd, durable=True).inode)

    def unpack(
        self, row: ArchiveFile, place: str, limits: ExtractLimits, stop: Callable[[], None]
    ) -> bool:
        """Unpack a mirrored archive; whether that was not there.

        Raises as ``copy``, and ``UnsafeArchive``.
        """
        with self._open(row.path, place) as (source, folder, name):
            if not source.is_as_recorded(row.size, row.sha256):
                raise IntegrityFailure(
                    f"{quoted(row.path)} is not what was recorded, and was not unpacked:"
                    " artifact-sync verify --repair fetches it again"
                )
            staged, old = _staged(name, ".d"), _staged(name, ".old")
            remove_tree(folder, old)
            _set_aside(folder, staged, old)  # what a crash has left
            remove_tree(folder, old)
            try:
                folder.make(staged, 0o755)
                with folder.enter(staged) as top:
                    found = write_tree(source, top, limits, stop, modes=self._modes, durable=True)
                    inode = top.itself().st_ino
                there = folder.look(name)
                if there is not None and is_folder(there):
                    with folder.enter(name) as below:
                        if holds(below, found):
                            remove_tree(folder, staged)
                            return False
                self._check_free(folder, name, place)
                _check_ours(folder, staged, inode)
                _set_aside(folder, name, old)
                self._take(folder, name, staged, place)
                remove_tree(folder, old)
            except BaseException:
                with suppress(OSError):
                    remove_tree(folder, staged)
                with suppress(OSError):  # not in the place of the new one
                    folder.take(name, folder, old, fresh=True)
                raise
        return True

    def _check_free(self, folder: Folder, name: str, place: str) -> None:
        found = folder.look(name)
        if found is not None and not self._force:
            raise InTheirPlace(f"{quoted(place)} is there already, and is another one: say --force")
        if found is not None and is_folder(found) and not name.endswith(".d"):
            raise InTheirPlace(f"{quoted(place)} is a folder: move it away")

    def _take(self, folder: Folder, name: str, staged: str, place: str) -> None:
        found = folder.look(name)
        try:
            folder.take(name, folder, staged, fresh=found is None)
        except FileExistsError:
            raise InTheirPlace(f"{quoted(place)} has appeared meanwhile: run it again") from None
        folder.sync()

    @contextmanager
    def _open(self, path: MirrorPath, place: str) -> Iterator[tuple[OpenArchive, Folder, str]]:
        """A file of the mirror, and where it is to go: see ``_at``."""
        with self._mirror.opened(path) as source:
            if source is None:
                raise IntegrityFailure(
                    f"{quoted(path)} is missing from the mirror: if its run was not removed just"
                    " now, artifact-sync verify --repair fetches it again"
                )
            with self._at(place) as (folder, name):
                yield source, folder, name

    @contextmanager
    def _at(self, place: str) -> Iterator[tuple[Folder, str]]:
        """The open folder of a path below the target, made where it is missing, and the name."""
        *above, name = split(place)
        with disk_errors(quoted(str(self._target / place)), self._target):
            folder = self._opened_target()
            for part in above:
                with folder:
                    below = _entered(folder, part, place)
                folder = below
            with folder:
                yield folder, name

    def _opened_target(self) -> Folder:
        try:
            self._target.mkdir(parents=True, exist_ok=True)
            return open_folder(self._target)
        except (FileExistsError, NotADirectoryError):
            why = f"{quoted(str(self._target))}, or what it is in, is no folder: move it away"
            raise InTheirPlace(why) from None


def _check_ours(folder: Folder, staged: str, inode: int) -> None:
    """Raise ``DiskError`` when another call has put its own under our temporary name."""
    found = folder.look(staged)
    if found is None or found.st_ino != inode:
        raise DiskError(f"somebody else writes {quoted(staged)}: run it again")


def _set_aside(folder: Folder, name: str, old: str) -> None:
    """Rename what has a name, if anything, to be removed: none is ever half under it."""
    if folder.look(name) is not None:
        folder.take(old, folder, name, fresh=False)


def _entered(folder: Folder, part: str, place: str) -> Folder:
    with suppress(FileExistsError):
        folder.make(part, 0o755)
        folder.sync()
    try:
        return folder.enter(part)
    except OSError as error:
        if in_the_way(error):
            why = f"{quoted(part)} on the way to {quoted(place)} is no folder: move it away"
            raise InTheirPlace(why) from None
        raise


def _staged(name: str, end: str) -> str:
    """A name for what is not whole yet; the same for the same file, so that none is left over."""
    return f".{OWN_FOLDER.strip('.')}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}{end}"
