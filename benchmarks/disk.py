"""The place where all contenders write: room, new folders, and a disk that has come to rest.

A disk that discards what is deleted is slow for a while afterwards. So nothing is deleted while a
group is measured if there is room for all, and else it is waited until the disk is as it was.
"""

from __future__ import annotations

import os
import shutil
import statistics
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_PROBES = 20
_CALM = 2.0
"""How many times slower than at first a write may be when the disk counts as at rest."""
_PATIENCE = 30.0


class Disk:
    """A folder of our own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._count = 0
        self._at_first = self._probe()

    def fresh(self) -> Path:
        """A new empty folder."""
        self._count += 1
        path = self.folder / f"run-{self._count:04}"
        path.mkdir()
        return path

    def has_room(self, size: int) -> bool:
        """Whether so many bytes fit, and as many again."""
        return size < shutil.disk_usage(self.folder).free // 2

    def remove(self, *folders: Path) -> None:
        """Delete folders, and wait until the disk has come to rest."""
        for folder in folders:
            shutil.rmtree(folder)
        if folders:
            self.rest()

    def rest(self) -> None:
        """Wait until writes are about as fast as at first, for half a minute at most."""
        latest = time.monotonic() + _PATIENCE
        os.sync()
        while self._probe() > _CALM * self._at_first and time.monotonic() < latest:
            time.sleep(0.5)

    def _probe(self) -> float:
        """The median time that a small durable write takes."""
        path = self.folder / "probe"
        with path.open("wb", buffering=0) as file:
            times = [_write(file.fileno()) for _ in range(_PROBES)]
        return statistics.median(times)


def _write(file: int) -> float:
    begun = time.perf_counter()
    os.write(file, bytes(4096))
    os.fsync(file)
    return time.perf_counter() - begun
