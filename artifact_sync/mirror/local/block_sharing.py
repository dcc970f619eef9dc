"""Stages files that share the blocks of mirrored files of the same bytes.

By a clone (FICLONE, a reflink) or by a hard link. What was made so is read and hashed before it is
trusted: damage never spreads. Whatever fails here leaves the file to be kept as it came.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from artifact_sync.domain.disk_errors import is_not_offered
from artifact_sync.domain.errors import ArtifactSyncError
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.mirror.local.file_io import (
    create,
    digest_of,
    finish,
    reading,
    set_mode,
    temporary_name,
)
from artifact_sync.mirror.local.folder import BY_DESCRIPTOR, open_folder
from artifact_sync.mirror.local.tree import STAGING
from artifact_sync.mirror.paths import split
from artifact_sync.runtime.logs import get_logger

if TYPE_CHECKING:
    from pathlib import Path

    from artifact_sync.domain.model import FileState, SameFile, StagedContent
    from artifact_sync.domain.settings import Dedupe
    from artifact_sync.mirror.local.folder import Folder
    from artifact_sync.mirror.local.tree import Tree

_log = get_logger(__name__)

_FICLONE = 0x40049409
"""ioctl_ficlone(2): an empty file gets the blocks of another one, until either is written."""

_READ = os.O_RDONLY if BY_DESCRIPTOR else os.O_RDWR  # Windows syncs only what it may write
_REFUSED = frozenset({errno.EPERM, errno.ENOTTY, errno.EXDEV})
"""Of what a file system says that cannot do it: vfat, one that knows no such call, a union."""


class SharedFile(NamedTuple):
    """A complete file in staging, in the blocks of a mirrored one."""

    name: str
    state: FileState
    same: SameFile


class BlockSharing:
    """Stages files that share blocks. ``mode``: of those that are cloned. Thread-safe."""

    def __init__(self, tree: Tree, how: Dedupe, mode: int) -> None:
        self._tree = tree
        self._how = how
        self._mode = mode
        self._offered: bool | None = None
        """Whether the file system can; None: it was not tried yet."""

    def check(self, staging: Folder) -> None:
        """Try it out, once; a no is logged."""
        if self._how != "off" and self._offered is None:
            self._offered = is_offered(staging, self._how)
            if not self._offered:
                _log.warning(cannot(self._how))

    def stage(self, content: StagedContent, staging: Folder) -> SharedFile | None:
        """Stage a file in the blocks of a ``same`` one; None: none would do."""
        if not self._offered or not content.size:
            return None
        shared = (self._shared(content, same, staging) for same in content.same)
        return next((it for it in shared if it is not None), None)

    def _shared(self, content: StagedContent, same: SameFile, staging: Folder) -> SharedFile | None:
        name, state = temporary_name(), None
        try:
            fd = self._opened(same, staging, name)
            state = self._checked(content, same, fd) if fd is not None else None
        except OSError as error:  # such as no room for one link more: the next file may do
            if error.errno == errno.EIO:
                _tell(same, "it cannot be read")
        except ArtifactSyncError:
            pass  # whoever publishes meets it, too
        finally:
            if state is None:
                _remove(staging, name)
        return SharedFile(name, state, same) if state is not None else None

    def _opened(self, same: SameFile, staging: Folder, name: str) -> int | None:
        """A new name in staging for the blocks of a file, open; None: it cannot be had."""
        *above, last = split(same.path)
        with self._tree.entered(tuple(above)) as folder, reading(folder, last) as source:
            if folder is None or source is None:
                _tell(same, "it is missing")
                return None
            if self._how == "hardlink":
                if not _is_like_ours(os.fstat(source), self._mode):
                    return None
                staging.link(name, folder, last)
                return staging.open(name, _READ)
            fd = _clone(staging, name, source, self._mode)
        set_mode(staging, fd, self._mode)
        return fd

    def _checked(self, content: StagedContent, same: SameFile, fd: int) -> FileState | None:
        """Close a file; the state it is left in, durable, if it has the right bytes."""
        is_same = False
        try:
            is_same = digest_of(fd) == (content.size, content.sha256)
        finally:
            if not is_same:
                os.close(fd)
        if not is_same:
            _tell(same, "it is not what was recorded")
            return None
        return finish(fd, durable=self._tree.durable)


def cannot(how: Dedupe) -> str:
    """What is said where the file system cannot share blocks so."""
    if how == "hardlink":
        return "mirror.dedupe: this file system has no hard links: files are kept as they came"
    return (
        "mirror.dedupe: this file system has no reflinks (btrfs and XFS have): files are kept as"
        " they came"
    )


def is_refused(root: Path, how: Dedupe) -> bool:
    """Whether a mirror's file system is known not to offer it. Leaves nothing behind."""
    with suppress(OSError, ImportError):
        staging = root / OWN_FOLDER / STAGING
        if staging.is_dir():
            with open_folder(staging) as folder:
                return not is_offered(folder, how)
        if how == "reflink":
            return not _clones_unnamed(next(it for it in (root, *root.parents) if it.is_dir()))
    return False


def _clones_unnamed(folder: Path) -> bool:
    """Whether files without a name can be cloned in a folder. ``OSError`` where there are none."""
    import fcntl  # noqa: PLC0415 - no such module on Windows

    flags = os.O_RDWR | getattr(os, "O_TMPFILE", os.O_EXCL)
    with open(os.open(folder, flags, 0o600), "w+b") as source:  # noqa: PTH123 - it has no name
        source.write(b"tried out")
        source.flush()
        with open(os.open(folder, flags, 0o600), "w+b") as target:  # noqa: PTH123 - likewise
            try:
                fcntl.ioctl(target, _FICLONE, source.fileno())
            except OSError as error:
                return not is_not_offered(error) and error.errno not in _REFUSED
    return True


def is_offered(folder: Folder, how: Dedupe) -> bool:
    """Whether files in a folder can share their blocks, tried with small ones.

    What is refused for another reason, such as a full disk, does not count.
    """
    names = temporary_name(), temporary_name()
    try:
        _try(folder, how, names)
    except ImportError:
        return False
    except OSError as error:
        return not is_not_offered(error) and error.errno not in _REFUSED
    finally:
        for name in names:
            _remove(folder, name)
    return True


def _try(folder: Folder, how: Dedupe, names: tuple[str, str]) -> None:
    first, second = names
    source = create(folder, first, [b"tried out"], 0o600)
    try:
        if how == "hardlink":
            folder.link(second, folder, first)
        else:
            os.close(_clone(folder, second, source, 0o600))
    finally:
        os.close(source)


def _clone(folder: Folder, name: str, source: int, mode: int) -> int:
    """Make a new file of the blocks of an open one; its descriptor, at its beginning."""
    import fcntl  # noqa: PLC0415 - no such module on Windows

    fd = folder.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
    try:
        fcntl.ioctl(fd, _FICLONE, source)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _is_like_ours(found: os.stat_result, mode: int) -> bool:
    """Whether a file has the owner and the mode that a new one of ours would have."""
    owner = getattr(os, "geteuid", lambda: found.st_uid)()
    return stat.S_IMODE(found.st_mode) == mode and found.st_uid == owner


def _tell(same: SameFile, why: str) -> None:
    _log.warning(
        "a mirrored file shares nothing: it is damaged, and verify finds it",
        path=same.path,
        why=why,
    )


def _remove(folder: Folder, name: str) -> None:
    with suppress(OSError):
        folder.remove(name)
