"""Moves what stands in the way to ``displaced/``, and keeps account of it."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from itertools import count, groupby
from typing import TYPE_CHECKING

from artifact_sync.domain.errors import DiskError, MirrorGone
from artifact_sync.domain.model import DisplacedFile, MirrorPath
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.mirror.local.folder import is_folder
from artifact_sync.mirror.local.move import move
from artifact_sync.mirror.local.tree import InTheWay
from artifact_sync.mirror.paths import DISPLACED, is_path, split, stamp, stamped_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime

    from artifact_sync.mirror.local.folder import Folder
    from artifact_sync.mirror.local.tree import Tree
    from artifact_sync.mirror.paths import Parts

    _Naming = Callable[[str], AbstractContextManager[None]]
    _Staying = Mapping[DisplacedFile, DiskError]

_TOP = (OWN_FOLDER, DISPLACED)


class DisplacedFiles:
    """``.artifact-sync/displaced/<time in UTC>[-n]/<the path that it had>``."""

    def __init__(self, tree: Tree, now: Callable[[], datetime]) -> None:
        self._tree = tree
        self._now = now
        self._lock = threading.Lock()

    def take(self, parts: Parts, *, spare_folder: bool = False) -> str | None:
        """Displace a path; return its new place below the root, or None.

        Durable and atomic, and never over something displaced before. ``spare_folder``: a folder
        stays, since the caller wants one there and another thread may have made it meanwhile.
        """
        check = self._tree.fence()
        with self._lock, self._tree.entered(parts[:-1]) as source:
            found = source.look(parts[-1]) if source is not None else None
            if source is None or found is None or (spare_folder and is_folder(found)):
                return None
            check()
            try:
                return self._move(source, parts)
            except FileNotFoundError:
                if source.look(parts[-1]) is not None:
                    raise
                return None  # moved away by somebody else meanwhile

    def _move(self, source: Folder, parts: Parts) -> str:
        now = self._now()
        for number in count(1):
            place = (*_TOP, stamp(now, number), *parts)
            if self._moved(source, place):
                break
        self._tree.sync(source)
        return "/".join(place)

    def _moved(self, source: Folder, place: Parts) -> bool:
        """Whether the place was free; then it is taken."""
        try:
            with self._tree.made(place[:-1]) as target:
                move(target, place[-1], source, place[-1], fresh=True)
                self._tree.sync(target)
        except FileExistsError:
            return False
        except InTheWay as way:
            if len(way.parts) <= len(_TOP):
                raise DiskError(
                    f"{way} is no folder, but artifact-sync keeps its own files there: move it away"
                ) from way
            return False
        return True

    def files(self, below: str) -> Iterator[DisplacedFile]:
        """See ``Displacement.displaced``. Raises ``OSError``."""
        parts = tuple(below.split("/")) if below else ()
        if parts and not is_path(parts):
            return
        for path in self._below(parts):
            _, _, top, *rest = path.split("/")
            at, found = stamped_at(top), self._look(path)
            if at is not None and rest and found is not None:
                yield DisplacedFile("/".join((top, *rest)), MirrorPath("/".join(rest)), at, found)

    def _below(self, parts: Parts) -> Iterator[str]:
        """Paths of all files below a folder, or of the file itself."""
        with self._tree.entered((*_TOP, *parts[:-1])) as folder:
            found = folder.look(parts[-1]) if folder is not None and parts else None
        if found is not None and not is_folder(found):
            yield "/".join((*_TOP, *parts))
        else:
            yield from self._tree.files((*_TOP, *parts))

    def _look(self, path: str) -> int | None:
        """The size of a file; None when it is gone."""
        *above, name = path.split("/")
        with self._tree.entered(tuple(above)) as folder:
            found = folder.look(name) if folder is not None else None
        return found.st_size if found is not None else None

    def put_back(self, file: DisplacedFile) -> bool:
        """See ``Displacement.put_back``. Raises ``OSError``."""
        *above, name = _TOP + tuple(file.place.split("/"))
        parts, check = split(file.path), self._tree.fence()
        with self._lock, self._tree.entered(tuple(above)) as source:
            if source is None:
                return False
            check()
            try:
                with self._tree.made(parts[:-1]) as target:
                    move(target, parts[-1], source, name, fresh=True)
                    self._tree.sync(target)
            except (FileExistsError, FileNotFoundError, InTheWay):
                return False
            self._tree.sync(source)
        self._tree.remove_empty([tuple(above)], tuple(above[: len(_TOP) + 1]))
        return True

    def discard(self, files: Iterable[DisplacedFile], naming: _Naming) -> _Staying:
        """See ``Displacement.discard``. ``naming``: makes errors that name a path."""
        staying: dict[DisplacedFile, DiskError] = {}
        check = self._tree.fence()
        for top, its in groupby(files, lambda it: it.place.partition("/")[0]):
            some = list(its)
            for file in some:
                check()
                with _kept(staying, file), naming("/".join(_parts(file))):
                    self._remove(_parts(file))
            with _kept(staying, some[-1]), naming("/".join((*_TOP, top))):
                self._tree.remove_empty({_parts(it)[:-1] for it in some}, (*_TOP, top))
        return staying

    def _remove(self, path: Parts) -> None:
        with self._tree.entered(path[:-1]) as folder, suppress(FileNotFoundError):
            if folder is not None:
                folder.remove(path[-1])


def _parts(file: DisplacedFile) -> Parts:
    return _TOP + tuple(file.place.split("/"))


@contextmanager
def _kept(staying: dict[DisplacedFile, DiskError], file: DisplacedFile) -> Iterator[None]:
    """Keep the first error about a file; one of the whole mirror is raised."""
    try:
        yield
    except MirrorGone:
        raise
    except DiskError as error:
        staying.setdefault(file, error)
