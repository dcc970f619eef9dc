"""Moves what stands in the way to ``displaced/``, which is never emptied."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

from artifact_sync.domain.errors import DiskError
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.mirror.local.folder import is_folder
from artifact_sync.mirror.local.move import move
from artifact_sync.mirror.local.own_folder import DISPLACED
from artifact_sync.mirror.local.tree import InTheWay

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from artifact_sync.mirror.local.folder import Folder
    from artifact_sync.mirror.local.tree import Parts, Tree


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
        with self._lock, self._tree.entered(parts[:-1]) as source:
            found = source.look(parts[-1]) if source is not None else None
            if source is None or found is None or (spare_folder and is_folder(found)):
                return None
            try:
                return self._move(source, parts)
            except FileNotFoundError:
                if source.look(parts[-1]) is not None:
                    raise
                return None  # moved away by somebody else meanwhile

    def _move(self, source: Folder, parts: Parts) -> str:
        stamp = f"{self._now():%Y%m%dT%H%M%SZ}"
        for number in itertools.count(1):
            place = (OWN_FOLDER, DISPLACED, f"{stamp}-{number}" if number > 1 else stamp, *parts)
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
            if len(way.parts) <= len((OWN_FOLDER, DISPLACED)):
                raise DiskError(
                    f"{way} is no folder, but artifact-sync keeps its own files there: move it away"
                ) from way
            return False
        return True
