"""Makes and checks ``.artifact-sync/``, the program's own folder at the mirror's root."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from artifact_sync.domain.disk_errors import disk_errors
from artifact_sync.domain.errors import DiskError
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.mirror.local.folder import open_folder

STAGING = "staging"
DISPLACED = "displaced"
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
