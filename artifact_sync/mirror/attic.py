"""Displaced things: where what stood in the mirror's way is kept. Nothing in it is ever removed."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

from artifact_sync.mirror.layout import OWN
from artifact_sync.mirror.own import DISPLACED
from artifact_sync.mirror.tree import InTheWay

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from artifact_sync.mirror.tree import Parts, Tree


class Attic:
    """``.artifact-sync/displaced/<time in UTC>[-n]/<the path that it had>``."""

    def __init__(self, tree: Tree, now: Callable[[], datetime]) -> None:
        self._tree = tree
        self._now = now
        self._lock = threading.Lock()

    def take(self, parts: Parts) -> str | None:
        """Move what stands there here, as it is; its new path below the root, None for nothing.

        All of it or nothing, and never over something that is here already.
        """
        stamp = f"{self._now():%Y%m%dT%H%M%SZ}"
        with self._lock, self._tree.entered(parts[:-1]) as source:
            if source is None or source.look(parts[-1]) is None:
                return None
            for number in itertools.count(1):
                place = (OWN, DISPLACED, f"{stamp}-{number}" if number > 1 else stamp, *parts)
                try:
                    with self._tree.made(place[:-1]) as target:
                        target.take(parts[-1], source, parts[-1], fresh=True)
                        self._tree.sync(target)
                    self._tree.sync(source)
                except (FileExistsError, InTheWay):
                    continue
                except FileNotFoundError:
                    if source.look(parts[-1]) is not None:
                        raise
                    return None  # whoever had put it there was quicker
                return "/".join(place)
        raise AssertionError("unreachable")
