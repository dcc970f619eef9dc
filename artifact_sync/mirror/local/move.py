"""Moves files and folders between folders, also across file systems. Blocking.

A rename fails with EXDEV where a mount lies between two folders, be it of the same file system, and
for a folder of an overlay's lower layer. Then files are copied, synced and renamed beside their
place, so that a final name never stands for less than the whole file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from artifact_sync.domain.errors import DiskError
from artifact_sync.domain.model import FileState
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.mirror.local.file_io import blocks, create, finish
from artifact_sync.mirror.local.folder import is_folder
from artifact_sync.mirror.names import quoted

if TYPE_CHECKING:
    from artifact_sync.mirror.local.folder import Folder


def move(target: Folder, name: str, source: Folder, source_name: str, *, fresh: bool) -> None:
    """Move something to another folder; see ``Folder.take``.

    Atomic, but for a folder that cannot be renamed: its files are moved one by one.
    """
    try:
        target.take(name, source, source_name, fresh=fresh)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _carry(target, name, source, source_name, fresh=fresh)


def _carry(target: Folder, name: str, source: Folder, source_name: str, *, fresh: bool) -> None:
    found = source.look(source_name)
    if found is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), source_name)
    if is_folder(found):
        _carry_folder(target, name, source, source_name)
        return
    if fresh and target.look(name) is not None:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
    copy = f"{OWN_FOLDER}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}.new"
    with suppress(FileNotFoundError):
        target.remove(copy)  # what a crash has left of an earlier try
    try:
        _copy(target, copy, source, source_name, found)
        target.take(name, target, copy, fresh=fresh)
    except BaseException:
        with suppress(OSError):
            target.remove(copy)
        raise
    source.remove(source_name)


def _carry_folder(target: Folder, name: str, source: Folder, source_name: str) -> None:
    target.make(name, 0o700)
    with target.enter(name) as into, source.enter(source_name) as outof:
        for entry, _ in outof.entries():
            move(into, entry, outof, entry, fresh=True)
        into.sync()
    source.remove_folder(source_name)


def _copy(
    target: Folder, copy: str, source: Folder, source_name: str, found: os.stat_result
) -> None:
    """Copy a file or a link, durably."""
    if stat.S_ISLNK(found.st_mode):
        target.point(copy, source.target(source_name))
        return
    if not stat.S_ISREG(found.st_mode):
        raise DiskError(
            f"{quoted(source_name)} is neither file, folder nor link, and lies on another file"
            " system: move it away"
        )
    with os.fdopen(source.open(source_name, os.O_RDONLY), "rb", buffering=0) as original:
        written = create(target, copy, blocks(original.fileno()), stat.S_IMODE(found.st_mode))
        if os.utime in os.supports_fd:
            os.utime(written, ns=(found.st_atime_ns, found.st_mtime_ns))
        finish(written, durable=True)
        if FileState.of(os.fstat(original.fileno())) != FileState.of(found):
            raise DiskError(f"{quoted(source_name)} was changed while it was copied: run it again")
