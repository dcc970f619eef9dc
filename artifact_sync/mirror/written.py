"""What this process has lately put into the mirror, or taken out of it: how a watch knows its work.

Kept in memory only, and bounded: what is not known here any more has to be hashed.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import os

_MOST = 20_000


class _Seal(NamedTuple):
    """By what a file is known as the one that was put there. Any change of it changes ctime."""

    inode: int
    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, found: os.stat_result | None) -> _Seal | None:
        if found is None:
            return None
        return cls(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class Written:
    """Paths and what this process has left there; safe from many threads. The oldest go first."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._seals: dict[str, _Seal | None] = {}
        self._lock = threading.Lock()

    def note(self, path: str, left: os.stat_result | None) -> None:
        """This stands there now, by our doing; None: nothing does."""
        with self._lock:
            self._seals.pop(path, None)
            self._seals[path] = _Seal.of(left)
            if len(self._seals) > self._most:
                del self._seals[next(iter(self._seals))]

    def knows(self, path: str) -> bool:
        """Whether anything is known of a path."""
        with self._lock:
            return path in self._seals

    def left(self, path: str, found: os.stat_result | None) -> bool:
        """Whether what was found there is what we left there, untouched since."""
        with self._lock:
            return path in self._seals and self._seals[path] == _Seal.of(found)
