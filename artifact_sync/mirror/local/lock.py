"""Locks a mirror against other processes, by an OS lock."""

from __future__ import annotations

import json
import os
import platform
import stat
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from artifact_sync.domain.disk_errors import disk_errors
from artifact_sync.domain.errors import DiskError, MirrorBusy
from artifact_sync.mirror.local.own_folder import LOCK, prepare
from artifact_sync.runtime.text import printable

if TYPE_CHECKING:
    from pathlib import Path

_FLAGS = (
    os.O_RDWR
    | os.O_CREAT
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
)
_LONGEST = 4096
_LOCKED_BYTE = 1 << 30
"""On Windows a locked byte cannot be read: lock one that nobody wants to read."""
_LOOKS = 25
_PAUSE = 0.02


class MirrorLock:
    """Holds the mirror while it is entered; not for use by two threads.

    Entering raises ``MirrorBusy`` at once, which names the owner, or ``DiskError``. The file
    ``.artifact-sync/lock`` is never removed: its text counts only while the lock is held.
    """

    def __init__(self, root: Path, command: str = "artifact-sync") -> None:
        self.root = root
        self._command = command
        self._fd: int | None = None

    def __enter__(self) -> Self:
        path = prepare(self.root) / LOCK
        with disk_errors(str(path), self.root):
            fd = os.open(path, _FLAGS, 0o600)
            try:
                self._take(fd, path)
            except BaseException:
                os.close(fd)
                raise
        self._fd = fd
        return self

    def _take(self, fd: int, path: Path) -> None:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise DiskError(f"{path} is no regular file: move it away")
        if not _lock(fd):
            raise MirrorBusy(self.root, _await_owner(fd))
        with suppress(OSError):  # on a full disk the lock is worth having without a name in it
            _write(fd, self._about())

    def __exit__(self, *_: object) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            with suppress(OSError):
                os.ftruncate(fd, 0)
            os.close(fd)

    def _about(self) -> bytes:
        about = {
            "pid": os.getpid(),
            "command": self._command,
            "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
            "host": platform.node(),
        }
        return json.dumps(about).encode() + b"\n"


def _write(fd: int, content: bytes) -> None:
    os.ftruncate(fd, 0)
    os.lseek(fd, 0, os.SEEK_SET)
    os.write(fd, content)


def _await_owner(fd: int) -> str:
    """Who holds the lock. Waits a moment for an owner that has just taken it to write its name."""
    for _ in range(_LOOKS):
        owner = _owner(fd)
        if owner:
            return owner
        time.sleep(_PAUSE)
    return "another process"


def _owner(fd: int) -> str:
    os.lseek(fd, 0, os.SEEK_SET)
    try:
        about = json.loads(os.read(fd, _LONGEST))
        pid, host = int(about["pid"]), str(about["host"])
        words = f"{about['command']}, since {about['since']}"
    except (ValueError, KeyError, TypeError):
        return ""
    where = "" if host == platform.node() else f" on {host}"
    return printable(f"process {pid}{where} ({words})", "?")


def _lock(fd: int) -> bool:
    """Take the lock, or say that another has it. ``OSError`` where nothing can be locked.

    Either kind is freed by the system when its owner closes the file or dies.
    """
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415 - Windows only

        os.lseek(fd, _LOCKED_BYTE, os.SEEK_SET)
        with suppress(PermissionError):
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
            return True
    else:
        import fcntl  # noqa: PLC0415 - no such module on Windows

        with suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False
