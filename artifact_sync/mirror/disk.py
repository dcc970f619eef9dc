"""The ``Mirror`` on a local file system: files and folders below a root.

How folders are walked is ``tree``'s, where displaced things go is ``attic``'s, which path an
artifact gets is ``layout``'s.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import secrets
import shutil
import stat
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from artifact_sync.errors import DiskError
from artifact_sync.mirror.attic import Attic
from artifact_sync.mirror.faults import disk_errors, is_not_offered
from artifact_sync.mirror.folders import open_folder, sync_file
from artifact_sync.mirror.layout import OWN
from artifact_sync.mirror.names import shown
from artifact_sync.mirror.own import STAGING, prepare
from artifact_sync.mirror.tree import InTheWay, Tree, split
from artifact_sync.model import MirrorPath
from artifact_sync.ports import Found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from artifact_sync.mirror.folders import Folder
    from artifact_sync.mirror.tree import Parts
    from artifact_sync.settings import Durability

_BLOCK = 1 << 20
_TRIES = 16
"""How often something new may appear in our way before we take it for a fight."""
_STAGED = (OWN, STAGING)

_log = structlog.get_logger()


def _utc() -> datetime:
    return datetime.now(UTC)


class DiskMirror:
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
        self._tree = Tree(self.root, opener, durable=durability == "full")
        self._attic = Attic(self._tree, now)
        self._mode = 0o644 & ~_umask()
        self._links = True

    def find(self, path: MirrorPath) -> Found | None:
        """What stands there; see ``ports.Mirror``."""
        *above, name = split(path)
        with self._errors(path), self._tree.entered(tuple(above)) as folder:
            found = folder.look(name) if folder is not None else None
        return Found(_kind(found), found.st_size, found.st_mtime_ns) if found is not None else None

    def publish(self, staged: Path, path: MirrorPath, sha256: str) -> str | None:
        """Put a staged file into its place; see ``ports.Mirror``."""
        parts = split(path)
        with self._errors(path), self._opener(staged.parent) as source:
            fd = source.open(staged.name, os.O_RDWR)
            size = self._finish(fd)
            return self._settle(source, staged.name, parts, (size, sha256))

    def publish_bytes(self, content: bytes, path: MirrorPath) -> str | None:
        """Put a small file into its place; see ``ports.Mirror``."""
        parts = split(path)
        what = (len(content), hashlib.sha256(content).hexdigest())
        with self._errors(path), self._staged(content) as (source, name):
            return self._settle(source, name, parts, what)

    def write_own(self, content: bytes, path: MirrorPath) -> None:
        """Replace a manifest; see ``ports.Mirror``. Only what is no file is displaced."""
        parts = split(path)
        with self._errors(path), self._staged(content) as (source, name):
            self._settle(source, name, parts, None)

    def read_own(self, path: MirrorPath) -> bytes | None:
        """A manifest's content; see ``ports.Mirror``."""
        with self._errors(path), self._reading(path) as fd:
            return b"".join(_blocks(fd)) if fd is not None else None

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
            else:
                self._attic.take(parts)

    def displace(self, path: MirrorPath) -> str | None:
        """Move what stands there out of the way; see ``ports.Mirror``."""
        with self._errors(path):
            return self._attic.take(split(path))

    def digest(self, path: MirrorPath) -> tuple[int, str] | None:
        """Size and SHA-256 of a file as it is now; see ``ports.Mirror``."""
        parts = split(path)
        with self._errors(path), self._tree.entered(parts[:-1]) as folder:
            return self._digest(folder, parts[-1]) if folder is not None else None

    def files(self, below: MirrorPath) -> Iterator[MirrorPath]:
        """Everything below a folder, ordered as text; empty ``below``: all of the mirror."""
        parts = split(below) if below else ()
        with self._errors(below or str(self.root)):
            for path in self._tree.files(parts):
                yield MirrorPath(path)

    def point(self, link: MirrorPath, target: MirrorPath) -> None:
        """Point a symbolic link at a folder; see ``ports.Mirror``."""
        parts = split(link)
        wanted = posixpath.relpath("/".join(split(target)), "/".join(parts[:-1]))
        with self._errors(link):
            self._point(parts, wanted)

    def free(self) -> int:
        """Bytes free for this user; see ``ports.Mirror``."""
        with self._errors(str(self.root)):
            return shutil.disk_usage(self.root).free

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        with disk_errors(shown(path), self.root):
            yield

    @contextmanager
    def _reading(self, path: MirrorPath) -> Iterator[int | None]:
        parts = split(path)
        with self._tree.entered(parts[:-1]) as folder:
            fd = _open_file(folder, parts[-1]) if folder is not None else None
            try:
                yield fd
            finally:
                if fd is not None:
                    os.close(fd)
