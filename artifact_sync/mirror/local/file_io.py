"""Files in open folders: reading, hashing, writing, judging what is there. Blocking."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

from artifact_sync.domain.disk_errors import is_absent, is_not_offered
from artifact_sync.domain.errors import DiskError
from artifact_sync.domain.model import FileState
from artifact_sync.mirror.local.folder import Folder, sync_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from artifact_sync.domain.ports import Chunk

_BLOCK = 1 << 20


def free_bytes(folder: Path) -> int | None:
    """Bytes that this user may still write there.

    None: the file system does not tell.
    """
    from shutil import disk_usage  # noqa: PLC0415 - who only looks has no use for it

    try:
        usage = disk_usage(folder)
    except OSError as error:
        if not is_not_offered(error):
            raise
        return None
    return usage.free if usage.total else None  # ramfs and FUSE may say that all is 0


@contextmanager
def reading(folder: Folder | None, name: str) -> Iterator[int | None]:
    """A regular file's descriptor while it is read; None where there is none.

    Whatever else has the name is not opened: a FIFO blocks, a device may do anything.
    """
    fd = _opened(folder, name) if folder is not None else None
    try:
        yield fd
    finally:
        if fd is not None:
            os.close(fd)


def _opened(folder: Folder, name: str) -> int | None:
    found = folder.look(name)
    if found is None or not stat.S_ISREG(found.st_mode):
        return None
    try:
        fd = folder.open(name, os.O_RDONLY)
    except OSError as error:
        if is_absent(error):
            return None  # it has become something else since the look
        raise
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    return None


def blocks(fd: int) -> Iterator[bytes]:
    """A file's bytes from where it stands."""
    while block := os.read(fd, _BLOCK):
        yield block


def content_of(fd: int) -> bytes:
    """All of a file, which is in the memory once."""
    with os.fdopen(fd, "rb", buffering=0, closefd=False) as file:
        return file.read()


def digest(
    folder: Folder | None, name: str, stop: Callable[[], bool] | None = None
) -> tuple[int, str] | None:
    """Hash a regular file: size and SHA-256; None: no file, or stopped."""
    with reading(folder, name) as fd:
        return digest_of(fd, stop) if fd is not None else None


def digest_of(fd: int, stop: Callable[[], bool] | None = None) -> tuple[int, str] | None:
    """Hash an open file from where it stands; see ``digest``."""
    size, sha256 = 0, hashlib.sha256()
    for block in blocks(fd):
        if stop is not None and stop():
            return None
        size += len(block)
        sha256.update(block)
    return size, sha256.hexdigest()


def drop_cached(fd: int) -> None:
    """Drop what the system holds of a file in memory, where it offers that."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def create(folder: Folder, name: str, content: Iterable[Chunk], mode: int) -> int:
    """Write a new file of this mode, less the umask; its descriptor."""
    fd = folder.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        for chunk in content:
            view = memoryview(chunk)
            while view:
                view = view[os.write(fd, view) :]
    except BaseException:
        os.close(fd)
        raise
    return fd


def set_mode(folder: Folder, fd: int, mode: int) -> None:
    """Give a file this mode, if there are modes. ``OSError`` where it is refused."""
    if stat.S_IMODE(os.fstat(fd).st_mode) == mode or not hasattr(os, "fchmod"):
        return
    try:
        os.fchmod(fd, mode)
    except OSError as error:
        refused = isinstance(error, PermissionError) or is_not_offered(error)
        if not refused or _makes_another_mode(folder, fd, mode):
            raise DiskError(
                f"the mode {mode:o} could not be given to a staged file ({error.strerror}):"
                " check the disk, and this user's rights"
            ) from error


def _makes_another_mode(folder: Folder, fd: int, mode: int) -> bool:
    """Whether a new file of this mode gets another one than the open file has, as vfat's do not."""
    name = temporary_name()
    probe = create(folder, name, (), mode)
    try:
        return os.fstat(probe).st_mode != os.fstat(fd).st_mode
    finally:
        os.close(probe)
        folder.remove(name)


def finish(fd: int, *, durable: bool) -> FileState:
    """Close a complete file, durable if wanted; the state it is left in."""
    try:
        if durable:
            sync_file(fd)
        return FileState.of(os.fstat(fd))
    finally:
        os.close(fd)


def temporary_name() -> str:
    """A name that no other temporary file has."""
    return f"{os.urandom(8).hex()}.new"


def umask() -> int:
    """Read the process's umask, by setting it for a moment."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


Replaceable = Callable[[Folder, os.stat_result], bool]
"""Whether what was found under a name in a folder may be replaced; else it is displaced."""


def same(name: str, size: int, sha256: str) -> Replaceable:
    """Whether an existing file has exactly the content to be published."""

    def is_same(folder: Folder, found: os.stat_result) -> bool:
        return found.st_size == size and digest(folder, name) == (size, sha256)

    return is_same


def is_file(_: Folder, found: os.stat_result) -> bool:
    """Whether it is a regular file, as every manifest of ours is."""
    return stat.S_ISREG(found.st_mode)


def is_link(_: Folder, found: os.stat_result) -> bool:
    """Whether it is a symbolic link, as ``latest`` is."""
    return stat.S_ISLNK(found.st_mode)
