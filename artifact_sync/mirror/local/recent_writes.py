"""What this process has lately put into the mirror, or taken out of it: how a watch knows its work.

Kept in memory only, and bounded: what is not known here any more has to be hashed.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

_MOST = 4_096
"""A watch judges within seconds of a change, and a mirror may have millions of files."""


def _seal(found: os.stat_result | None) -> int | None:
    """By what a file is known as the one that was put there. Any change of it changes ctime."""
    if found is None:
        return None
    return hash((found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns))


class RecentWrites:
    """Paths and what this process has left there; safe from many threads. The oldest go first.

    Both are kept as hashes, which take a tenth of the memory.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._seals: OrderedDict[int, int | None] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, path: str, left: os.stat_result | None) -> None:
        """This stands there now, by our doing; None: nothing does."""
        with self._lock:
            self._seals[hash(path)] = _seal(left)
            self._seals.move_to_end(hash(path))
            if len(self._seals) > self._most:
                self._seals.popitem(last=False)

    def knows(self, path: str) -> bool:
        """Whether anything is known of a path."""
        with self._lock:
            return hash(path) in self._seals

    def left(self, path: str, found: os.stat_result | None) -> bool:
        """Whether what was found there is what we left there, untouched since."""
        with self._lock:
            return hash(path) in self._seals and self._seals[hash(path)] == _seal(found)
