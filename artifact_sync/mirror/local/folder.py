"""Open folders: calls on names in one, without following symbolic links.

Two kinds: by descriptor (openat(2) and its kin), which nobody can move away from under us, and by
path with a look beforehand, for Windows. Their errors are ``OSError``.
"""

# ruff: noqa: D102 - the contract of every method stands on ``Folder``

from __future__ import annotations

import errno
import os
import stat
import sys
from functools import cache
from typing import TYPE_CHECKING, Self

from artifact_sync.domain.disk_errors import is_not_offered

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CALLS = (
    os.open,
    os.stat,
    os.mkdir,
    os.rename,
    os.symlink,
    os.readlink,
    os.unlink,
    os.rmdir,
)
BY_DESCRIPTOR = (
    all(call in os.supports_dir_fd for call in _CALLS)
    and os.scandir in os.supports_fd
    and hasattr(os, "O_DIRECTORY")
    and hasattr(os, "O_NOFOLLOW")
)

_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _CLOEXEC
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
# A FIFO or a terminal that somebody has put there must not block us or become ours.
_FILE = (
    _NOFOLLOW
    | _CLOEXEC
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
_MOUNT_POINT = 0xA0000003  # IO_REPARSE_TAG_MOUNT_POINT: a junction


class Folder:
    """An open folder, to be closed. A name is one path component.

    Held by its descriptor, so that nobody can move it away from under us.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._dir_fd: int | None = fd

    @classmethod
    def at(cls, path: Path) -> Self:
        """Open a folder by its path, through symbolic links."""
        return cls(os.open(path, _FOLDER))

    def _at(self, name: str) -> str:
        """A name as the system's calls take it, beside ``_dir_fd``."""
        return name

    def enter(self, name: str) -> Self:
        """Open a folder in it; ``disk_errors.in_the_way`` knows the error when it is none."""
        return type(self)(os.open(name, _FOLDER | _NOFOLLOW, dir_fd=self.fd))

    def make(self, name: str, mode: int) -> None:
        """Make a folder in it, under the umask."""
        os.mkdir(self._at(name), mode, dir_fd=self._dir_fd)

    def look(self, name: str) -> os.stat_result | None:
        """What has the name, or None."""
        try:
            return os.stat(self._at(name), dir_fd=self._dir_fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def open(self, name: str, flags: int, mode: int = 0o600) -> int:
        """Open a file; a new descriptor."""
        return os.open(self._at(name), flags | _FILE, mode, dir_fd=self._dir_fd)

    def take(self, name: str, source: Self, source_name: str, *, fresh: bool) -> None:
        """Rename something from another folder into this one.

        ``fresh``: only when the name is free, else ``FileExistsError``. Otherwise a file that has
        the name is replaced, atomically.
        """
        if fresh:
            _rename_new(source_name, source.fd, name, self.fd)
        else:
            os.rename(source_name, name, src_dir_fd=source.fd, dst_dir_fd=self.fd)

    def link(self, name: str, source: Self, source_name: str) -> None:
        """Make a hard link, under a free name, to a file of another folder."""
        if getattr(os, "link", None) not in os.supports_dir_fd:  # as on Android
            raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), name)
        os.link(source_name, name, src_dir_fd=source.fd, dst_dir_fd=self.fd, follow_symlinks=False)

    def point(self, name: str, target: str) -> None:
        """Make a symbolic link to a folder."""
        os.symlink(target, name, dir_fd=self.fd)

    def target(self, name: str) -> str:
        """Where a symbolic link points to."""
        return os.readlink(self._at(name), dir_fd=self._dir_fd)

    def remove(self, name: str) -> None:
        """Remove a file or a symbolic link."""
        os.unlink(self._at(name), dir_fd=self._dir_fd)

    def remove_folder(self, name: str) -> None:
        """Remove an empty folder. ``OSError`` when it is not empty, or none."""
        os.rmdir(self._at(name), dir_fd=self._dir_fd)

    def entries(self) -> list[tuple[str, bool]]:
        """The names in it, and whether each is a folder."""
        with os.scandir(self.fd) as entries:
            return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]

    def sync(self) -> None:
        """Make the names in it durable."""
        try:
            sync_file(self.fd)
        except OSError as error:
            if not is_not_offered(error):  # some network file systems know no fsync of a folder
                raise

    def itself(self) -> os.stat_result:
        """The folder's own attributes."""
        return os.fstat(self.fd)

    def check_writable(self) -> None:
        """Raise ``OSError`` when nothing can be made in it: a read-only mount, missing rights."""
        unnamed = getattr(os, "O_TMPFILE", None)
        if unnamed is None or os.access(".", os.W_OK | os.X_OK, dir_fd=self.fd):
            return
        try:  # capabilities may allow what the rights do not
            os.close(os.open(".", os.O_WRONLY | unnamed | _CLOEXEC, 0o600, dir_fd=self.fd))
        except OSError as error:
            if error.errno in {errno.EROFS, errno.EACCES}:
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


class PathFolder(Folder):
    """A folder held by its path, for systems without descriptors of folders (Windows)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._dir_fd = None

    @classmethod
    def at(cls, path: Path) -> Self:
        return cls(path)

    def _at(self, name: str) -> str:
        return str(self.path / name)

    def enter(self, name: str) -> Self:
        self._check_folder(name)
        return type(self)(self.path / name)

    def _check_folder(self, name: str) -> None:
        if not is_folder((self.path / name).lstat()):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name)

    def take(self, name: str, source: Self, source_name: str, *, fresh: bool) -> None:
        target = self.path / name
        if fresh and os.path.lexists(target):
            raise FileExistsError(name)
        move = os.rename if fresh else os.replace  # on Windows ``rename`` never overwrites
        move(source.path / source_name, target)

    def link(self, name: str, source: Self, source_name: str) -> None:
        os.link(source.path / source_name, self.path / name)

    def point(self, name: str, target: str) -> None:
        (self.path / name).symlink_to(target.replace("/", os.sep), target_is_directory=True)

    def target(self, name: str) -> str:
        return (self.path / name).readlink().as_posix()

    def remove_folder(self, name: str) -> None:
        self._check_folder(name)
        super().remove_folder(name)

    def entries(self) -> list[tuple[str, bool]]:
        return [(path.name, is_folder(path.lstat())) for path in self.path.iterdir()]

    def sync(self) -> None:
        """Nothing: Windows cannot, and NTFS keeps a journal of names."""

    def itself(self) -> os.stat_result:
        return self.path.stat()

    def check_writable(self) -> None:
        """Nothing: Windows tells it when a file is made."""

    def __exit__(self, *_: object) -> None:
        pass


def is_folder(found: os.stat_result) -> bool:
    """Whether it is a folder, and no junction of Windows."""
    return stat.S_ISDIR(found.st_mode) and getattr(found, "st_reparse_tag", 0) != _MOUNT_POINT


def open_folder(path: Path) -> Folder:
    """Open a folder by its path, by descriptor where the system can."""
    return (Folder if BY_DESCRIPTOR else PathFolder).at(path)


def sync_file(fd: int) -> None:
    """Make what was written durable. macOS needs ``F_FULLFSYNC`` for it."""
    if sys.platform == "darwin":
        import fcntl  # noqa: PLC0415 - no such module on Windows

        try:
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        except OSError:
            os.fsync(fd)
    else:
        os.fsync(fd)


_NO_REPLACE = {"linux": ("renameat2", 1), "darwin": ("renameatx_np", 4)}
"""The C function and its flag for "not over an existing name": RENAME_NOREPLACE, RENAME_EXCL."""


def _rename_new(source: str, source_fd: int, target: str, target_fd: int) -> None:
    """Rename between two open folders; ``FileExistsError`` when the target's name is taken.

    Atomic where the system and the file system offer it (renameat2(2), renameatx_np(2)), else by a
    look beforehand.
    """
    call = _no_replace()
    if call is not None:
        arguments = (source_fd, os.fsencode(source), target_fd, os.fsencode(target))
        while (code := call(*arguments)) == errno.EINTR:
            pass
        if code == 0:
            return
        error = OSError(code, os.strerror(code), source, None, target)
        if not is_not_offered(error):
            raise error
    try:
        os.stat(target, dir_fd=target_fd, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd)
    else:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)


@cache
def _no_replace() -> Callable[[int, bytes, int, bytes], int] | None:
    """The call as a function that returns 0 or an errno; None where the C library has none."""
    import ctypes  # noqa: PLC0415 - for those who write

    name, flag = _NO_REPLACE.get(sys.platform, ("", 0))
    function = getattr(ctypes.CDLL(None, use_errno=True), name, None) if name else None
    if function is None:
        return None
    number, text = ctypes.c_int, ctypes.c_char_p
    function.argtypes = (number, text, number, text, ctypes.c_uint)
    function.restype = number

    def call(source_fd: int, source: bytes, target_fd: int, target: bytes) -> int:
        done = function(source_fd, source, target_fd, target, flag) == 0
        return 0 if done else ctypes.get_errno()

    return call
