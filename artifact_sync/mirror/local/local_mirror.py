"""The ``Mirror`` on a local file system: files and folders below a root.

How folders are walked is ``tree``'s, where displaced things go is ``attic``'s, which path an
artifact gets is ``layout``'s.
"""

from __future__ import annotations

import posixpath
import stat
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from artifact_sync.domain.disk_errors import disk_errors, is_not_offered
from artifact_sync.domain.model import Found, MirrorPath
from artifact_sync.mirror.local.displaced import DisplacedFiles
from artifact_sync.mirror.local.file_io import blocks, digest, is_file, is_link, reading, umask
from artifact_sync.mirror.local.folder import is_folder, open_folder
from artifact_sync.mirror.local.own_folder import STAGING, prepare
from artifact_sync.mirror.local.publisher import Publisher
from artifact_sync.mirror.local.recent_writes import RecentWrites
from artifact_sync.mirror.local.tree import Tree, split
from artifact_sync.mirror.names import shown
from artifact_sync.runtime.logs import get_logger

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from artifact_sync.domain.errors import ArtifactSyncError
    from artifact_sync.domain.model import StagedContent
    from artifact_sync.domain.settings import Durability
    from artifact_sync.mirror.local.folder import Folder
    from artifact_sync.mirror.local.tree import Parts

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
        with disk_errors(str(self.root), self.root):
            self._tree = Tree(self.root, opener, durable=durability == "full")
        self._attic = DisplacedFiles(self._tree, now)
        self._written = RecentWrites()
        self._publisher = Publisher(
            self._tree, self._attic, self._written, self._errors, 0o644 & ~umask()
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
        return Found(_kind(found), found.st_size, max(found.st_mtime, found.st_ctime))

    def sizes(self, paths: Collection[MirrorPath]) -> Mapping[MirrorPath, int]:
        """Sizes of the files that stand at many places; see ``ports.Mirror``."""
        with self._errors(str(self.root)):
            return self._tree.sizes(paths)

    def publish(
        self, files: Sequence[tuple[StagedContent, MirrorPath]]
    ) -> Sequence[str | ArtifactSyncError | None]:
        """Put files into their places; see ``ports.Mirror``."""
        return self._publisher.publish(files)

    def write_own(self, content: bytes, path: MirrorPath) -> None:
        """Replace a manifest; see ``ports.Mirror``. Only what is no file is displaced."""
        parts = split(path)
        with self._errors(path):
            self._publisher.write(content, parts, is_file)

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
                self._publisher.replace(
                    lambda folder, name: folder.point(name, wanted), parts, is_link
                )

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
            with self._publisher.staged(lambda folder, name: folder.point(name, STAGING)) as it:
                it[0].remove(it[1])
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
