"""The ``Mirror`` on a local file system: files and folders below a root.

How folders are walked is ``tree``'s, where displaced things go is ``attic``'s, which path an
artifact gets is ``layout``'s.
"""

from __future__ import annotations

import os
import posixpath
import stat
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from artifact_sync.domain.disk_errors import disk_errors, is_not_offered
from artifact_sync.domain.errors import DiskError
from artifact_sync.domain.model import MirrorPath
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.mirror.local.batch_publish import BatchPublisher
from artifact_sync.mirror.local.displaced import DisplacedFiles
from artifact_sync.mirror.local.file_io import (
    blocks,
    create,
    digest,
    finish,
    reading,
    sync_and_close,
    umask,
)
from artifact_sync.mirror.local.folder import is_folder, open_folder
from artifact_sync.mirror.local.own_folder import STAGING, prepare
from artifact_sync.mirror.local.recent_writes import RecentWrites
from artifact_sync.mirror.local.replacing import is_file, is_link, same
from artifact_sync.mirror.local.tree import InTheWay, Tree, split
from artifact_sync.mirror.names import shown
from artifact_sync.runtime.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from artifact_sync.domain.errors import ArtifactSyncError
    from artifact_sync.domain.ports import Chunk, Found
    from artifact_sync.domain.settings import Durability
    from artifact_sync.mirror.local.folder import Folder
    from artifact_sync.mirror.local.replacing import Replaceable
    from artifact_sync.mirror.local.tree import Parts

    _Staged = tuple[Folder, str]

_TRIES = 16
"""How often something new may appear in our way before we take it for a fight."""
_STAGED = (OWN_FOLDER, STAGING)

_log = get_logger(__name__)


def _utc() -> datetime:
    return datetime.now(UTC)


class LocalMirror:
    """``ports.Mirror`` below a root, which may itself be reached through symbolic links.

    Making one makes the root and our own folders in it. ``opener`` and ``now`` are for tests.
    """

    def __init__(
        self,
        root: Path,
        *,
        durability: Durability = "full",
        opener: Callable[[Path], Folder] = open_folder,
        now: Callable[[], datetime] = _utc,
    ) -> None:
        self.root = root.absolute()
        own = prepare(self.root)
        self.staging = own / STAGING
        """The folder for staged files: on the mirror's own file system, the owner's alone."""
        self._opener = opener
        with disk_errors(str(self.root), self.root):
            self._tree = Tree(self.root, opener, durable=durability == "full")
        self._attic = DisplacedFiles(self._tree, now)
        self._written = RecentWrites()
        self._mode = 0o644 & ~umask()
        self._together = BatchPublisher(
            self._tree, _STAGED, self._mode, self._settle, self._written.note, self._errors
        )

    def check(self) -> None:
        """Raise ``MirrorGone`` when the mirror is not there; see ``ports.Mirror``."""
        with self._errors(str(self.root)):
            self._tree.check()

    def wrote(self, path: str) -> bool:
        """Whether what stands there is our own last doing; see ``ports.Mirror``."""
        if not self._written.knows(path):
            return False
        with self._errors(path):
            return self._written.left(path, self._look(split(path)))

    def _look(self, parts: Parts) -> os.stat_result | None:
        with self._tree.entered(parts[:-1]) as folder:
            return folder.look(parts[-1]) if folder is not None else None

    def find(self, path: MirrorPath) -> Found | None:
        """What stands there; see ``ports.Mirror``."""
        with self._errors(path):
            found = self._look(split(path))
        if found is None:
            return None
        from artifact_sync.domain.ports import Found  # noqa: PLC0415 - its Protocols are slow to make

        return Found(_kind(found), found.st_size, max(found.st_mtime, found.st_ctime))

    def sizes(self, paths: Collection[MirrorPath]) -> Mapping[MirrorPath, int]:
        """Sizes of the files that stand at many places; see ``ports.Mirror``."""
        with self._errors(str(self.root)):
            return self._tree.sizes(paths)

    def publish(self, staged: Path, path: MirrorPath, sha256: str) -> str | None:
        """Put a staged file into its place; see ``ports.Mirror``."""
        parts = split(path)
        self.check()  # staging is reached by its path
        with self._errors(path), self._opener(staged.parent) as source:
            if source.look(staged.name) is None and self._holds(path, sha256):
                return None  # published before the crash
            size = self._finish(source.open(staged.name, os.O_RDWR))
            return self._settle((source, staged.name), parts, same(parts[-1], size, lambda: sha256))

    def _holds(self, path: MirrorPath, sha256: str) -> bool:
        found = self.digest(path)
        return found is not None and found[1] == sha256

    def publish_all(
        self, files: Sequence[tuple[Chunk, MirrorPath]]
    ) -> Sequence[str | ArtifactSyncError | None]:
        """Put small files into their places; see ``ports.Mirror``."""
        return self._together.publish(files)

    def write_own(self, content: bytes, path: MirrorPath) -> None:
        """Replace a manifest; see ``ports.Mirror``. Only what is no file is displaced."""
        parts = split(path)
        with self._errors(path), self._staged_file(content) as staged:
            self._settle(staged, parts, is_file)

    def read_own(self, path: MirrorPath) -> bytes | None:
        """A manifest's content; see ``ports.Mirror``."""
        *above, name = split(path)
        with (
            self._errors(path),
            self._tree.entered(tuple(above)) as folder,
            reading(folder, name) as fd,
        ):
            return b"".join(blocks(fd)) if fd is not None else None

    def remove_own(self, path: MirrorPath) -> None:
        """Remove a manifest; see ``ports.Mirror``. What is no file is displaced."""
        parts = split(path)
        with self._errors(path), self._tree.entered(parts[:-1]) as folder:
            found = folder.look(parts[-1]) if folder is not None else None
            if folder is None or found is None:
                return
            if stat.S_ISREG(found.st_mode):
                with suppress(FileNotFoundError):
                    folder.remove(parts[-1])
                self._tree.sync(folder)
                self._written.note(path, None)
            else:
                self._attic.take(parts)

    def displace(self, path: MirrorPath) -> str | None:
        """Move what stands there out of the way; see ``ports.Mirror``."""
        with self._errors(path):
            moved = self._attic.take(split(path))
        if moved is not None:
            self._written.note(path, None)
        return moved

    def digest(
        self, path: MirrorPath, stop: Callable[[], bool] | None = None
    ) -> tuple[int, str] | None:
        """Size and SHA-256 of a file as it is now; see ``ports.Mirror``."""
        *above, name = split(path)
        with self._errors(path), self._tree.entered(tuple(above)) as folder:
            return digest(folder, name, stop)

    def files(
        self, below: MirrorPath, *, skip: Collection[MirrorPath] = ()
    ) -> Iterator[MirrorPath]:
        """Everything below a folder, ordered as text; empty ``below``: all of the mirror."""
        parts = split(below) if below else ()
        with self._errors(below or str(self.root)):
            for path in self._tree.files(parts, frozenset[str](skip)):
                yield MirrorPath(path)

    def point(self, link: MirrorPath, target: MirrorPath) -> None:
        """Point a symbolic link at a folder; see ``ports.Mirror``."""
        parts = split(link)
        wanted = posixpath.relpath("/".join(split(target)), "/".join(parts[:-1]))
        with self._errors(link):
            if self._target(parts) != wanted and self._offers_links:
                with self._staged(lambda folder, name: folder.point(name, wanted)) as staged:
                    self._settle(staged, parts, is_link)

    def unpoint(self, link: MirrorPath) -> None:
        """Remove a symbolic link; see ``ports.Mirror``."""
        parts = split(link)
        with self._errors(link), self._tree.entered(parts[:-1]) as folder:
            found = folder.look(parts[-1]) if folder is not None else None
            if folder is not None and found is not None and stat.S_ISLNK(found.st_mode):
                with suppress(FileNotFoundError):
                    folder.remove(parts[-1])
                self._tree.sync(folder)

    def free(self) -> int:
        """Bytes free for this user; see ``ports.Mirror``."""
        self.check()
        with self._errors(str(self.root)):
            from shutil import disk_usage  # noqa: PLC0415 - who only looks has no use for it

            return disk_usage(self.root).free

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        with disk_errors(shown(path), self.root):
            yield

    @contextmanager
    def _staged(self, make: Callable[[Folder, str], object]) -> Iterator[_Staged]:
        """Something complete in staging; taken away again unless it gets its place."""
        name = f"{os.urandom(8).hex()}.new"
        with self._tree.existing(_STAGED) as staging:
            try:
                make(staging, name)
                yield staging, name
            except BaseException:
                with suppress(OSError):
                    staging.remove(name)
                raise

    def _staged_file(self, content: Chunk) -> AbstractContextManager[_Staged]:
        return self._staged(lambda folder, name: self._made(folder, name, content))

    def _made(self, folder: Folder, name: str, content: Chunk) -> None:
        sync_and_close(create(folder, name, content, self._mode), durable=self._tree.durable)

    def _finish(self, fd: int) -> int:
        return finish(fd, self._mode, durable=self._tree.durable)

    def _settle(self, staged: _Staged, parts: Parts, replaceable: Replaceable) -> str | None:
        """Rename something staged to its place, over nothing or over what may be replaced.

        Whatever else is in the way is displaced; the new place of what was displaced last.
        """
        moved = None
        for _ in range(_TRIES):
            try:
                if self._rename(staged, parts, replaceable):
                    return moved
                moved = self._attic.take(parts) or moved
            except InTheWay as way:
                moved = self._attic.take(way.parts, spare_folder=True) or moved
            except FileExistsError:
                continue  # somebody has put something there since the look
        raise DiskError(f"{shown('/'.join(parts))}: something else keeps appearing in its place")

    def _rename(self, staged: _Staged, parts: Parts, replaceable: Replaceable) -> bool:
        """Whether the place was free; then it is taken."""
        source, name = staged
        with self._tree.made(parts[:-1]) as folder:
            found = folder.look(parts[-1])
            if found is not None and not replaceable(folder, found):
                return False
            folder.take(parts[-1], source, name, fresh=found is None)
            # at once: while the folder is synced somebody may change the file
            self._written.note("/".join(parts), folder.look(parts[-1]))
            self._tree.sync(folder)
        return True

    def _target(self, parts: Parts) -> str | None:
        """Where a symbolic link points to; None when there is none."""
        with self._tree.entered(parts[:-1]) as folder:
            found = folder.look(parts[-1]) if folder is not None else None
            if folder is None or found is None or not stat.S_ISLNK(found.st_mode):
                return None
            return folder.target(parts[-1])

    @cached_property
    def _offers_links(self) -> bool:
        """Whether symbolic links can be made here; a no is logged, once.

        vfat says EPERM, and Windows wants a privilege for it.
        """
        try:
            with self._staged(lambda folder, name: folder.point(name, STAGING)) as (folder, name):
                folder.remove(name)
        except (NotImplementedError, OSError) as error:
            refused = not isinstance(error, OSError) or is_not_offered(error)
            if not refused and not isinstance(error, PermissionError):
                raise
            _log.warning("no symbolic links here: latest and latest-success are left out")
            return False
        return True


def _kind(found: os.stat_result) -> Literal["file", "folder", "other"]:
    if stat.S_ISREG(found.st_mode):
        return "file"
    return "folder" if is_folder(found) else "other"
