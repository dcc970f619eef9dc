"""Exclusion: OS locks keep other processes out, a table those who share a repository."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import stat
import sys
import threading
import time
from contextlib import ExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self
from weakref import WeakValueDictionary

from artifact_sync.domain.disk_errors import disk_errors, is_absent, offers_no_locks
from artifact_sync.domain.errors import DiskError, MirrorBusy, RepositoryBusy
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.mirror.local.own_folder import LOCK, prepare
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.text import printable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from artifact_sync.domain.model import RepoName

_log = get_logger(__name__)

_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_SAFE = (
    _CLOEXEC
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
)
_LONGEST = 4096
_LOCKED_BYTE = 1 << 30
"""On Windows a locked byte cannot be read: lock one that nobody wants to read."""
_LOOKS = 25
_PAUSE = 0.02


class MirrorLock:
    """Holds the mirror while it is entered; entered and left by one thread.

    Entering raises ``MirrorBusy`` at once, which names the owner, or ``DiskError``. The file
    ``.artifact-sync/lock`` is never removed: its text counts only while the lock is held. The root
    and our own folder are locked as well, since anybody may remove a file beneath us.
    """

    def __init__(self, root: Path, command: str = "artifact-sync") -> None:
        self.root = root
        self._command = command
        self._path = root / OWN_FOLDER / LOCK
        self._fd: int | None = None
        self._folders = ExitStack()
        self._checking = threading.Lock()

    def __enter__(self) -> Self:
        own = prepare(self.root)
        with ExitStack() as undo, disk_errors(str(self._path), self.root):
            undo.callback(self._folders.close)
            for folder in (self.root, own) if hasattr(os, "O_DIRECTORY") else ():
                self._lock_folder(folder)
            self._fd = self._locked_file()
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            with suppress(OSError):
                os.ftruncate(fd, 0)
            os.close(fd)
        self._folders.close()

    def check(self) -> None:
        """Lock the file again where somebody has removed it. ``MirrorBusy``, ``DiskError``."""
        with self._checking, disk_errors(str(self._path), self.root):
            if self._fd is not None and not self._is_named(self._fd):
                _log.warning("the mirror's lock was removed; it is made again", path=self._path)
                old, self._fd = self._fd, self._locked_file()
                os.close(old)

    def _is_named(self, fd: int) -> bool:
        """Whether the lock's name is still that of our file."""
        try:
            return os.path.samestat(self._path.lstat(), os.fstat(fd))
        except OSError as error:
            if is_absent(error):
                return False
            raise

    def _lock_folder(self, folder: Path) -> None:
        """Lock a folder, where the file system can, such as NFS cannot."""
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | _CLOEXEC)
        self._folders.callback(os.close, fd)
        with suppress(OSError):
            if not _lock(fd):
                raise MirrorBusy(self.root, self._owner())

    def _owner(self) -> str:
        """Who holds the mirror. One who has just taken it gets a moment to write its name."""
        for _ in range(_LOOKS):
            with suppress(OSError, ValueError, KeyError, TypeError):
                fd = os.open(self._path, os.O_RDONLY | _SAFE)
                with os.fdopen(fd, "rb") as file:
                    return _owner_in(file.read(_LONGEST))
            time.sleep(_PAUSE)
        return "another process"

    def _locked_file(self) -> int:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | _SAFE, 0o600)
        with ExitStack() as undo:
            undo.callback(os.close, fd)
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise DiskError(f"{self._path} is no regular file: move it away")
            if not self._lock_file(fd):
                raise MirrorBusy(self.root, self._owner())
            with suppress(OSError):  # on a full disk the lock is worth having without a name in it
                self._sign(fd)
            undo.pop_all()
        return fd

    def _lock_file(self, fd: int) -> bool:
        try:
            return _lock(fd)
        except OSError as error:
            if not offers_no_locks(error):
                raise
            raise DiskError(
                f"{self._path}: this file system offers no locks ({error.strerror}): mount it so"
                " that it does (NFS with its lock service, without nolock), or keep the mirror on"
                " another one"
            ) from error

    def _sign(self, fd: int) -> None:
        about = {
            "pid": os.getpid(),
            "command": self._command,
            "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
            "host": platform.node(),
        }
        os.ftruncate(fd, 0)
        os.lseek(fd, 0, os.SEEK_SET)
        os.write(fd, json.dumps(about).encode() + b"\n")


def _owner_in(content: bytes) -> str:
    """The words of ``_sign``, for a message. ``ValueError``, ``KeyError``, ``TypeError``."""
    about = json.loads(content)
    pid, host = int(about["pid"]), str(about["host"])
    where = "" if host == platform.node() else f" on {host}"
    return printable(f"process {pid}{where} ({about['command']}, since {about['since']})", "?")


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


class LocalRepositoryLock:
    """``ports.RepositoryLock`` for the process that holds the mirror's ``MirrorLock``.

    It knows of this process's passes only. ``MirrorLock`` keeps all other processes out.
    """

    def __init__(self) -> None:
        self._locks = WeakValueDictionary["RepoName", asyncio.Lock]()
        """Alive while somebody holds one or waits for it."""

    @asynccontextmanager
    async def hold(self, repo: RepoName, *, wait: bool = True) -> AsyncGenerator[LocalLease]:
        """Hold a repository; see ``ports.RepositoryLock``."""
        lock = self._locks.setdefault(repo, asyncio.Lock())
        if lock.locked() and not wait:
            raise RepositoryBusy(repo)
        async with lock:
            yield LocalLease()


class LocalLease:
    """``ports.Lease`` that lasts as long as the process."""

    async def lost(self) -> None:
        """Never returns."""
        await asyncio.Event().wait()
