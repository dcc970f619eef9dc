"""The daemon's Unix socket as a name on disk: binding it, reaching it, and who is at the other end.

Blocking calls. What is said over it is ``wire``'s.
"""

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


def offered() -> bool:
    """Whether this system has Unix sockets, as far as Python knows."""
    return sys.platform != "win32" and hasattr(socket, "AF_UNIX")


@contextmanager
def bound(own: Path) -> Iterator[socket.socket]:
    """A socket bound in the mirror's own folder, not listening yet; removed at the end.

    ``OSError``. The caller holds the mirror's lock: a socket that is there is a dead daemon's.
    """
    with _folder(own) as folder, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        _make_way(folder)
        # The umask is the whole process's and other threads make files: it stays as it is. Linux
        # makes the name with the mode that the socket has already. Elsewhere nobody can connect
        # before ``listen``, and the folder lets nobody but its owner in.
        with suppress(OSError):
            os.fchmod(listener.fileno(), 0o600)
        listener.bind(_address(own, folder))
        os.chmod(CONTROL_SOCKET, 0o600, dir_fd=folder)
        try:
            yield listener
        finally:
            with suppress(OSError):
                os.unlink(CONTROL_SOCKET, dir_fd=folder)


def connected(own: Path) -> socket.socket:
    """A connection to the daemon. ``OSError``; ``BlockingIOError`` when too many wait for it."""
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
    """The user id of the other end; None where the system does not tell."""
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
    """The socket's path, by way of the folder's descriptor when it is too long for an address."""
    path = str(own / CONTROL_SOCKET)
    if len(os.fsencode(path)) <= _LONGEST:
        return path
    if not _DESCRIPTORS.is_dir():
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), path)
    return str(_DESCRIPTORS / str(folder) / CONTROL_SOCKET)


def _make_way(folder: int) -> None:
    with suppress(FileNotFoundError):
        found = os.stat(CONTROL_SOCKET, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISSOCK(found.st_mode):
            raise OSError(errno.EEXIST, "is there already, and is no socket", CONTROL_SOCKET)
        os.unlink(CONTROL_SOCKET, dir_fd=folder)
