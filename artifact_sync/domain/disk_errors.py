"""Translates ``OSError`` to ``DiskError`` and ``NoSpace``."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from artifact_sync.domain.errors import DiskError, NoSpace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_IN_THE_WAY = frozenset({errno.ENOTDIR, errno.ELOOP, getattr(errno, "EMLINK", errno.ELOOP)})
_ADVICE = {
    errno.EROFS: "mount it read-write",
    errno.EACCES: "give this user the right to it",
    errno.EPERM: "give this user the right to it",
    errno.EIO: "check the disk",
    errno.EBUSY: "something is mounted there, or it is in use: unmount it",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
}


@contextmanager
def disk_errors(what: str, root: Path | None = None, below: str = "") -> Iterator[None]:
    """Turn ``OSError`` into ``NoSpace`` or ``DiskError``.

    ``what``: a noun for the message, the file or folder that is worked on; no secrets. ``root``:
    the mirror's, whose free space a full disk's message then tells. ``below``: the path below it
    that is worked on, which may be on a disk of its own.
    """
    try:
        yield
    except OSError as error:
        raise disk_error(error, what, root, below) from error
    except UnicodeEncodeError as error:
        raise DiskError(
            f"{what}: this system's encoding of file names, {error.encoding}, has no such name: use"
            " a UTF-8 locale, or set PYTHONUTF8=1"
        ) from error


def disk_error(error: OSError, what: str, root: Path | None = None, below: str = "") -> DiskError:
    """Translate an ``OSError``; see ``disk_errors``."""
    if error.errno == getattr(errno, "EDQUOT", -1):
        return NoSpace(
            f"{what}: the quota on this disk is used up: free some or have it raised, and run it"
            " again"
        )
    if error.errno == errno.ENOSPC:
        return NoSpace(f"{what}: no space left{_how_much(root, below)}: free some and run it again")
    advice = _ADVICE.get(error.errno or 0)
    reason = error.strerror or type(error).__name__
    return DiskError(f"{what}: {reason}: {advice}" if advice else f"{what}: {reason}")


def _how_much(root: Path | None, below: str) -> str:
    if root is None:
        return ""
    from shutil import disk_usage  # noqa: PLC0415 - only for this message

    try:
        root = _disk_of(root, root / below)
        usage = disk_usage(root)
    except OSError:
        return f" in {root}"
    return f" in {root}" + (f" ({usage.free:,} bytes are free)" if usage.total else "")


def _disk_of(root: Path, path: Path) -> Path:
    """The root, or the mount below it that a path is on."""
    disk = next(it for it in (path, *path.parents) if it == root or it.exists())
    while disk != root and disk.parent.stat().st_dev == disk.stat().st_dev:
        disk = disk.parent
    return disk


def in_the_way(error: OSError) -> bool:
    """Whether something that is no folder was in the place of one.

    With ``O_NOFOLLOW | O_DIRECTORY`` a symbolic link is ENOTDIR on Linux, ELOOP on macOS and EMLINK
    on FreeBSD.
    """
    return error.errno in _IN_THE_WAY or isinstance(error, NotADirectoryError)


def is_absent(error: OSError) -> bool:
    """Whether a name or a folder above it is absent, or of another kind."""
    return isinstance(error, FileNotFoundError) or in_the_way(error)


def is_not_empty(error: OSError) -> bool:
    """Whether a folder could not be removed because it is in use."""
    return error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY}


def offers_no_locks(error: OSError) -> bool:
    """Whether the file system does not support locks; NFS without its service says ENOLCK."""
    return is_not_offered(error) or error.errno == errno.ENOLCK


def is_not_offered(error: OSError) -> bool:
    """Whether the file system does not support the operation."""
    return error.errno in {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
