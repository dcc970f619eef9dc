"""Walks folders below the mirror's root, following no symbolic link. Blocking."""

from __future__ import annotations

import stat
from collections import defaultdict
from contextlib import contextmanager, suppress
from functools import partial, reduce
from typing import TYPE_CHECKING, Any, TypeVar

from artifact_sync.domain.disk_errors import in_the_way, is_absent, is_not_empty
from artifact_sync.domain.errors import MirrorGone
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.mirror.fence import nobody_else
from artifact_sync.mirror.names import fold
from artifact_sync.mirror.paths import is_path, split

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from artifact_sync.mirror.fence import Fence
    from artifact_sync.mirror.local.folder import Folder
    from artifact_sync.mirror.paths import Parts

STAGING = "staging"
_REMEMBERED = 4096

_Path = TypeVar("_Path", bound=str)


class InTheWay(Exception):
    """Something that is no folder is in the place of one."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        super().__init__("/".join(parts))


def _mark(found: os.stat_result | None) -> tuple[int, int] | None:
    """The identity of a folder, as far as the system numbers its inodes."""
    return (found.st_dev, found.st_ino) if found is not None else None


@contextmanager
def _closed_on_error(folder: Folder) -> Iterator[None]:
    """Close a folder when the block fails."""
    try:
        yield
    except BaseException:
        folder.__exit__()
        raise


class _Branch:
    """Paths to be looked at in a folder, and in the folders below it."""

    __slots__ = ("below", "files")

    def __init__(self) -> None:
        self.files: list[tuple[str, Any]] = []
        self.below = defaultdict[str, _Branch](_Branch)

    def at(self, parts: Parts) -> _Branch:
        """The branch of a folder below."""
        return reduce(lambda branch, part: branch.below[part], parts, self)


@contextmanager
def absent_is_none(opening: Callable[[], Folder]) -> Iterator[Folder | None]:
    """A folder in the block; None when it is absent or no folder."""
    try:
        folder = opening()
    except OSError as error:
        if not is_absent(error):
            raise
        yield None
        return
    with folder:
        yield folder


class Tree:
    """The folders below a root. ``durable``: what is made outlives a power cut.

    The root, and our own folder in it, must stay what they are now: whoever opens the root later
    and finds another one, such as the bare mount point, gets ``MirrorGone``.
    """

    def __init__(self, root: Path, opener: Callable[[Path], Folder], *, durable: bool) -> None:
        self.root = root
        self.durable = durable
        self.opener = opener
        """Opens a folder by its path."""
        with opener(root) as folder:
            self._root, self._own = _mark(folder.itself()), _mark(folder.look(OWN_FOLDER))
        self._known: set[Parts] = set()
        """Folders whose names this process has made durable. Never trusted to exist."""
        self.staging: Parts = (OWN_FOLDER, STAGING)
        """The folder for what has no name in the mirror yet."""
        self.fence: Fence = nobody_else
        """Its answer is asked before anything gets a name or loses one."""

    def share(self, staging: Parts, fence: Fence) -> None:
        """Stage in a folder of this process's own, and ask ``fence``. ``OSError``."""
        with self.existing(staging[:-1]) as above, suppress(FileExistsError):
            above.make(staging[-1], 0o700)
        self.staging, self.fence = staging, fence

    def check(self) -> None:
        """Raise ``MirrorGone`` when the root or our own folder is not what it was."""
        with self._top() as folder:
            if _mark(folder.look(OWN_FOLDER)) != self._own:
                raise MirrorGone(self.root)

    def check_writable(self, parts: Parts) -> None:
        """Raise ``OSError`` when a folder, or its nearest one, is read-only."""
        for depth in range(len(parts), -1, -1):
            with self.entered(parts[:depth]) as folder:
                if folder is not None:
                    folder.check_writable()
                    return

    def _top(self) -> Folder:
        """Open the root."""
        try:
            folder = self.opener(self.root)
            with _closed_on_error(folder):
                if _mark(folder.itself()) != self._root:
                    raise MirrorGone(self.root)
        except OSError as error:
            if is_absent(error):
                raise MirrorGone(self.root) from error
            raise
        return folder

    def existing(self, parts: Parts) -> Folder:
        """Open a folder. ``OSError`` when a part of its path is no folder."""
        return self._reach(parts, lambda folder, way: folder.enter(way[-1]))

    def entered(self, parts: Parts) -> AbstractContextManager[Folder | None]:
        """Open a folder within the block; None when it does not exist."""
        return absent_is_none(lambda: self.existing(parts))

    def made(self, parts: Parts) -> Folder:
        """Open a folder, made as needed. Raises ``InTheWay``."""
        return self._reach(parts, self._enter_or_make)

    def _reach(self, parts: Parts, step: Callable[[Folder, Parts], Folder]) -> Folder:
        folder = self._top()
        for depth in range(1, len(parts) + 1):
            with folder:
                below = step(folder, parts[:depth])
            folder = below
        return folder

    def _enter_or_make(self, folder: Folder, way: Parts) -> Folder:
        try:
            below = self._entered_or_new(folder, way)
        except OSError as error:
            if in_the_way(error):
                raise InTheWay(way) from error
            raise
        with _closed_on_error(below):
            self._settle(folder, way)
        return below

    def _entered_or_new(self, folder: Folder, way: Parts) -> Folder:
        try:
            return folder.enter(way[-1])
        except FileNotFoundError:
            self._known.discard(way)
            with suppress(FileExistsError):  # another thread was quicker
                folder.make(way[-1], 0o700 if way[0] == OWN_FOLDER else 0o755)
            return folder.enter(way[-1])

    def _settle(self, folder: Folder, way: Parts) -> None:
        """Make a folder's name durable, unless this process has done so since it was made.

        A folder that another thread, or a process that was killed, has just made may not be yet.
        """
        if self.durable and way not in self._known:
            try:
                folder.sync()
            except OSError:
                with suppress(OSError):  # where it is empty, the next try makes it anew
                    folder.remove_folder(way[-1])
                raise
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known.add(way)

    def sync(self, folder: Folder) -> None:
        """Make the names in an open folder durable, if durability is wanted."""
        if self.durable:
            folder.sync()

    def remove_empty(self, folders: Iterable[Parts], top: Parts) -> None:
        """Remove these folders, and those above them up to ``top``, where they are empty.

        Durable, also the names that have gone from the folders that stay.
        """
        every = {it[:depth] for it in folders for depth in range(len(top), len(it) + 1)}
        for parts in sorted(every, key=len, reverse=True):
            if not self._removed(parts):
                self._sync_at(parts)
        self._sync_at(top[:-1])

    def _removed(self, parts: Parts) -> bool:
        """Remove a folder if it is empty; whether it is gone."""
        with self.entered(parts[:-1]) as above:
            try:
                if above is not None:
                    above.remove_folder(parts[-1])
            except FileNotFoundError:
                return True
            except OSError as error:
                if not is_not_empty(error) and not in_the_way(error):
                    raise
                return False
        return True

    def _sync_at(self, parts: Parts) -> None:
        with self.entered(parts) as folder:
            if folder is not None:
                self.sync(folder)

    def sizes(self, paths: Iterable[_Path]) -> dict[_Path, int]:
        """The sizes of the regular files at these paths, each folder opened once."""
        top, branches = _Branch(), dict[str, _Branch]()
        for path in paths:
            above, _, name = path.rpartition("/")
            if above not in branches or not above or not is_path((name,)):
                branches[above] = top.at(split(path)[:-1])
            branches[above].files.append((name, path))
        sizes: dict[_Path, int] = {}
        with self._top() as folder:
            _look(folder, top, sizes)
        return sizes

    def files(self, below: Parts, skip: frozenset[str] = frozenset()) -> Iterator[str]:
        """Paths of everything below a folder but folders, ordered as text; lazily.

        What is in ``skip``, with all below it, and our own folder at the root are left out. One
        folder's names are in memory at a time, and those of the folders above it.
        """
        with self.entered(below) as folder:
            if folder is not None and "/".join(below) not in skip:
                yield from self._files(folder, below, skip)

    def _files(self, folder: Folder, above: Parts, skip: frozenset[str]) -> Iterator[str]:
        prefix = "".join(f"{part}/" for part in above)
        for entry in sorted(name + "/" * is_folder for name, is_folder in folder.entries()):
            name = entry.removesuffix("/")
            if prefix + name in skip or (not above and fold(name) == OWN_FOLDER):
                continue
            if name == entry:
                yield prefix + name
            else:
                yield from self.files((*above, name), skip)


def _look(folder: Folder, branch: _Branch, sizes: dict[_Path, int]) -> None:
    """Note the sizes of a branch's regular files."""
    for name, path in branch.files:
        found = folder.look(name)
        if found is not None and stat.S_ISREG(found.st_mode):
            sizes[path] = found.st_size
    for name, below in branch.below.items():
        with absent_is_none(partial(folder.enter, name)) as inner:
            if inner is not None:
                _look(inner, below, sizes)
