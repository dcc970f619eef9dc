"""Makes and checks ``.artifact-sync/``, and keeps the mirror's id there."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from artifact_sync.domain.disk_errors import disk_errors
from artifact_sync.domain.errors import DiskError
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.mirror.local.file_io import create, finish, reading
from artifact_sync.mirror.local.folder import open_folder
from artifact_sync.mirror.local.tree import STAGING, absent_is_none
from artifact_sync.mirror.paths import DISPLACED, ID, id_in

LOCK = "lock"


def prepare(root: Path) -> Path:
    """Create the mirror's root and our folders; return our own folder.

    Ours are open to the owner alone. Raises ``DiskError`` for one that is no real folder, or that
    belongs neither to this user nor to the root's owner: somebody else has planted it.
    """
    own = root / OWN_FOLDER
    with disk_errors(str(root), root):
        _make_root(root)
        owners = {root.stat().st_uid, getattr(os, "geteuid", int)()}
        for folder in (own, own / STAGING, own / DISPLACED):
            with suppress(FileExistsError):
                folder.mkdir(0o700)
            _check(folder, owners)
    return own


def check_mounted(root: Path) -> None:
    """Raise ``DiskError`` when the root is on the disk of ``/``.

    To be called before anything is made there. Does nothing on Windows.
    """
    if os.name == "nt":
        return
    with disk_errors(str(root), root):
        there = next(path for path in (root, *root.absolute().parents) if path.exists())
        bare = there.stat().st_dev == Path("/").stat().st_dev
    if bare:
        raise DiskError(
            f"{root} is on the file system of /, and mirror.must_be_mounted wants one of its own:"
            " mount it; nothing was changed"
        )


def _make_root(root: Path) -> None:
    """Make the root and what is missing above it, so that it outlives a power cut."""
    missing = [path for path in (root, *root.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        with open_folder(path.parent) as parent:
            parent.sync()


def _check(folder: Path, owners: set[int]) -> None:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise DiskError(
            f"{folder} is no folder, but artifact-sync keeps its own files there: move it away"
        )
    if found.st_uid not in owners:
        raise DiskError(
            f"{folder} belongs to another user (id {found.st_uid}): run artifact-sync as that"
            " user, or move the folder away"
        )


_NEW = "id.new"
_LONGEST = 64


def new_id() -> str:
    """An id that no other mirror has."""
    return os.urandom(16).hex()


def read_id(root: Path) -> str | None:
    """The id of the mirror at a root; None where there is none.

    Empty, and ``DiskError``: see ``id_in``.
    """
    path = root / OWN_FOLDER / ID
    with disk_errors(str(path), root):
        content = _content(root)
    return id_in(content, str(path))


def _content(root: Path) -> bytes | None:
    own = absent_is_none(lambda: open_folder(root / OWN_FOLDER))
    with own as folder, reading(folder, ID) as fd:
        return os.read(fd, _LONGEST) if fd is not None else None


def write_id(root: Path, mirror: str, over: str | None) -> bool:
    """Give the mirror at a root its id in place of ``over``; atomic, durable.

    False: something else was there. ``DiskError``. The caller holds the mirror's lock.
    """
    with disk_errors(str(root / OWN_FOLDER / ID), root), open_folder(root / OWN_FOLDER) as folder:
        with suppress(FileNotFoundError):
            folder.remove(_NEW)  # what a crash left
        finish(create(folder, _NEW, [f"{mirror}\n".encode()], 0o600), durable=True)
        if read_id(root) != over:
            return False
        folder.take(ID, folder, _NEW, fresh=False)
        folder.sync()
    return True


class LocalId:
    """The id of the mirror at a root."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read_id(self) -> str | None:
        """See ``read_id``."""
        return read_id(self._root)

    def write_id(self, mirror: str, over: str | None) -> bool:
        """See ``write_id``."""
        return write_id(self._root, mirror, over)

    def expect(self, mirror: str) -> None:
        """Nothing: a file system is looked at."""
