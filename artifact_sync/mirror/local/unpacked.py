"""Folders that were unpacked from archives: written in staging, compared, removed. Blocking."""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from artifact_sync.domain.errors import UnsafeArchive
from artifact_sync.mirror.archives.unpack import unpack
from artifact_sync.mirror.local.file_io import blocks, create, digest, digest_of, finish, reading
from artifact_sync.mirror.local.folder import is_folder
from artifact_sync.mirror.names import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from artifact_sync.domain.archives import ExtractLimits, UnpackedEntry
    from artifact_sync.mirror.local.folder import Folder

    Parts = tuple[str, ...]

TREE = ".d"
"""Behind the temporary name of what is being unpacked."""


class OpenArchive:
    """An archive that is open, to be read at any place."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.size = os.fstat(fd).st_size

    def read_at(self, offset: int, count: int) -> bytes:
        """So many bytes, fewer only at the end."""
        os.lseek(self.fd, offset, os.SEEK_SET)
        found = b""
        while len(found) < count and (piece := os.read(self.fd, count - len(found))):
            found = found + piece if found else piece
        return found

    def is_as_recorded(self, size: int | None, sha256: str) -> bool:
        """Whether its bytes are those on record."""
        os.lseek(self.fd, 0, os.SEEK_SET)
        return digest_of(self.fd) == (size, sha256)


@contextmanager
def opened_archive(folder: Folder | None, name: str) -> Iterator[OpenArchive | None]:
    """An archive in a folder; None: no regular file."""
    with reading(folder, name) as fd:
        yield OpenArchive(fd) if fd is not None else None


class TreeWriter:
    """A sink that writes below an open folder, which is new and empty.

    Every step is entered from an open folder, and through no link: nothing can lead out.
    """

    def __init__(self, top: Folder, *, modes: tuple[int, int], durable: bool) -> None:
        """``modes``: of files, and of those that can be run."""
        self._top = top
        self._modes = modes
        self._durable = durable
        self._way: list[tuple[str, Folder]] = []
        """The folders that are open, from the top down."""

    def folder(self, path: Parts) -> None:
        """See ``Sink``."""
        self._entered(path)

    def file(self, path: Parts, content: Iterator[bytes], *, executable: bool) -> None:
        """See ``Sink``."""
        with _refusing(path):
            fd = create(self._entered(path[:-1]), path[-1], content, self._modes[executable])
        finish(fd, durable=self._durable)

    def copy(self, path: Parts, source: Parts) -> Iterator[bytes]:
        """See ``Sink``."""
        with reading(self._entered(source[:-1]), source[-1]) as fd:
            if fd is None:
                raise UnsafeArchive(f"{quoted('/'.join(source))} is not there to be copied")
            executable = bool(os.fstat(fd).st_mode & stat.S_IXUSR)
            self.file(path, blocks(fd), executable=executable)
        return iter(())

    def link(self, path: Parts, target: str) -> None:
        """See ``Sink``."""
        with _refusing(path):
            self._entered(path[:-1]).point(path[-1], target)

    def finish(self) -> None:
        """Make the names in every folder durable."""
        self.close()
        if self._durable:
            _sync(self._top)

    def close(self) -> None:
        """Close what is open."""
        self._leave(0)

    def _entered(self, path: Parts) -> Folder:
        depth = 0
        for (name, _), part in zip(self._way, path, strict=False):
            if name != part:
                break
            depth += 1
        self._leave(depth)
        for part in path[depth:]:
            above = self._way[-1][1] if self._way else self._top
            if above.look(part) is None:
                above.make(part, 0o755)
            self._way.append((part, above.enter(part)))
        return self._way[-1][1] if self._way else self._top

    def _leave(self, depth: int) -> None:
        while len(self._way) > depth:
            self._way.pop()[1].__exit__()


@contextmanager
def _refusing(path: Parts) -> Iterator[None]:
    """A name that is taken is one that this file system does not tell from another."""
    try:
        yield
    except FileExistsError:
        where = quoted("/".join(path))
        raise UnsafeArchive(f"{where} and another entry are one name on this disk") from None


def write_tree(
    archive: OpenArchive,
    top: Folder,
    limits: ExtractLimits,
    stop: Callable[[], None],
    *,
    modes: tuple[int, int],
    durable: bool,
) -> Sequence[UnpackedEntry]:
    """Unpack an archive below an open folder. ``UnsafeArchive``, ``OSError``."""
    with ExitStack() as closing:
        sink = TreeWriter(top, modes=modes, durable=durable)
        closing.callback(sink.close)
        entries = unpack(archive, limits, sink, stop)
        sink.finish()
    return entries


def _sync(folder: Folder) -> None:
    for name, is_below in folder.entries():
        if is_below:
            with folder.enter(name) as below:
                _sync(below)
    folder.sync()


def remove_tree(above: Folder, name: str) -> None:
    """Remove a folder with all that is in it, following no link."""
    found = above.look(name)
    if found is None:
        return
    if not is_folder(found):
        above.remove(name)
        return
    with above.enter(name) as folder:
        for entry, _ in folder.entries():
            remove_tree(folder, entry)
    above.remove_folder(name)


def holds(folder: Folder | None, entries: Sequence[UnpackedEntry]) -> bool:
    """Whether a folder holds exactly these entries."""
    expected = {it.path: it for it in entries}
    return folder is not None and _holds(folder, "", expected) and not expected


def _holds(folder: Folder, prefix: str, expected: dict[str, UnpackedEntry]) -> bool:
    """Whether all in a folder is as expected, of which it is taken out."""
    names = folder.entries()
    if not names:
        found = expected.pop(prefix.removesuffix("/"), None)
        return found is not None and found.target is None and not found.sha256
    for name, is_below in sorted(names):
        if is_below:
            with folder.enter(name) as below:
                if not _holds(below, f"{prefix}{name}/", expected):
                    return False
        elif (it := expected.pop(prefix + name, None)) is None or not stands(folder, name, it):
            return False
    return True


def stands(folder: Folder | None, name: str, entry: UnpackedEntry) -> bool:
    """Whether a file or a link is as it was unpacked."""
    found = folder.look(name) if folder is not None else None
    if folder is None or found is None:
        return False
    if entry.target is not None:
        return stat.S_ISLNK(found.st_mode) and folder.target(name) == entry.target
    if not entry.sha256:
        return is_folder(found)
    return digest(folder, name) == (entry.size, entry.sha256)
