"""Binds and connects the daemon's Unix socket. Blocking."""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from artifact_sync.domain.settings import CONTROL_SOCKET

if TYPE_CHECKING:
    from asyncio.trsock import TransportSocket
    from collections.abc import Iterator

_LONGEST = 100
"""Bytes of an address: ``sun_path`` holds 108 on Linux and 104 elsewhere, and ends with a NUL."""

_DESCRIPTORS = Path("/proc/self/fd")
_UCRED = struct.Struct("3i")


def is_supported() -> bool:
    """Whether Python has Unix sockets on this system."""
    return sys.platform != "win32" and hasattr(socket, "AF_UNIX")


class BoundSocket:
    """The listening socket in the mirror's folder; others may remove its name."""

    def __init__(self, own: Path) -> None:
        """Bind it. ``OSError``.

        The caller must hold the mirror's lock: an existing socket is a dead daemon's.
        """
        self._own = own
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _folder(own) as folder:
                self._name = _bind(self.listener, own, folder)
        except BaseException:
            self.listener.close()
            raise

    def has_name(self) -> bool:
        """Whether it can still be reached by its name."""
        try:
            with _folder(self._own) as folder:
                return _identity(folder) == self._name
        except OSError:
            return False

    def close(self) -> None:
        """Close it, and remove its name if that is still its own."""
        self.listener.close()
        with suppress(OSError), _folder(self._own) as folder:
            if _identity(folder) == self._name:
                os.unlink(CONTROL_SOCKET, dir_fd=folder)


def _bind(listener: socket.socket, own: Path, folder: int) -> tuple[int, int, int]:
    """Bind a socket; its name's identity."""
    _remove_stale(folder)
    # The umask belongs to the whole process, and other threads create files. On Linux the file gets
    # the mode of the socket. Elsewhere nobody can connect before ``listen``, and only the owner may
    # enter the folder.
    with suppress(OSError):
        os.fchmod(listener.fileno(), 0o600)
    listener.bind(_address(own, folder))
    os.chmod(CONTROL_SOCKET, 0o600, dir_fd=folder)
    return _identity(folder)


def _identity(folder: int) -> tuple[int, int, int]:
    """What tells a name from another one's, which may get the same inode."""
    seen = os.stat(CONTROL_SOCKET, dir_fd=folder, follow_symlinks=False)
    return seen.st_dev, seen.st_ino, seen.st_ctime_ns


def connect_control_socket(own: Path) -> socket.socket:
    """A connection to the daemon. ``OSError``; ``BlockingIOError`` when its backlog is full."""
    with _folder(own) as folder:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            client.settimeout(0)
            client.connect(_address(own, folder))
        except BaseException:
            client.close()
            raise
        return client


def peer(connection: TransportSocket) -> int | None:
    """The user id of the other end; None where the system does not say."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    _, user, _ = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, option, _UCRED.size))
    return int(user)


@contextmanager
def _folder(own: Path) -> Iterator[int]:
    folder = os.open(own, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield folder
    finally:
        os.close(folder)


def _address(own: Path, folder: int) -> str:
    """The socket's path; through the folder's descriptor when it is too long for an address."""
    path = str(own / CONTROL_SOCKET)
    if len(os.fsencode(path)) <= _LONGEST:
        return path
    if not _DESCRIPTORS.is_dir():
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), path)
    return str(_DESCRIPTORS / str(folder) / CONTROL_SOCKET)


def _remove_stale(folder: int) -> None:
    with suppress(FileNotFoundError):
        found = os.stat(CONTROL_SOCKET, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISSOCK(found.st_mode):
            raise OSError(errno.EEXIST, "is there already, and is no socket", CONTROL_SOCKET)
        os.unlink(CONTROL_SOCKET, dir_fd=folder)
