"""A file that keeps room for pruning on a disk that is full.

Before a run's files go, the ledger is told, which takes some room itself.
"""

from __future__ import annotations

import os
from contextlib import suppress
from shutil import disk_usage
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

RESERVE = "reserve"

_MOST = 1 << 20
"""Bytes: a hundred pages of the ledger, and its files beside."""
_PART = 16
"""At most this part of a small disk."""
_AMPLE = 4
"""So many times as much must be free before it is made."""


def keep_reserve(own: Path) -> None:
    """Make the file where it is missing and there is ample room.

    What fails is left out.
    """
    path = own / RESERVE
    with suppress(OSError):
        if hasattr(os, "posix_fallocate") and not (path.exists() and path.lstat().st_size):
            usage = disk_usage(own)
            size = min(_MOST, usage.total // _PART)
            if size and usage.free >= _AMPLE * size:
                _make(path, size)


def _make(path: Path, size: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(fd, 0, size)
    except OSError:
        path.unlink()
    finally:
        os.close(fd)


def spend_reserve(own: Path) -> bool:
    """Remove the file where less is free than it holds; whether it was removed."""
    path = own / RESERVE
    with suppress(OSError):
        if disk_usage(own).free < path.stat().st_size:
            path.unlink()
            return True
    return False
