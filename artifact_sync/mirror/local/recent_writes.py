"""This process's recent changes of the mirror, so that a watch ignores them.

Assumes that one process changes the mirror: what another writes looks like anybody's change. Kept
in memory and bounded: what is forgotten is hashed.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from artifact_sync.domain.model import FileState

if TYPE_CHECKING:
    import os

_MOST = 4_096
"""A watch looks within seconds of a change, and a mirror may have millions of files."""


class RecentWrites:
    """Remembers paths that this process wrote, and their state. Thread-safe.

    Both are kept as hashes, which take a tenth of the memory.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._states: OrderedDict[int, int | None] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, path: str, left: os.stat_result | None) -> None:
        """We left this there now; None: nothing."""
        with self._lock:
            self._states[hash(path)] = _state(left)
            self._states.move_to_end(hash(path))
            if len(self._states) > self._most:
                self._states.popitem(last=False)

    def knows(self, path: str) -> bool:
        """Whether anything is known of a path."""
        with self._lock:
            return hash(path) in self._states

    def left(self, path: str, found: os.stat_result | None) -> bool:
        """Whether what was found there is what we left, unchanged."""
        with self._lock:
            return hash(path) in self._states and self._states[hash(path)] == _state(found)


def _state(found: os.stat_result | None) -> int | None:
    return hash(FileState.of(found)) if found is not None else None
