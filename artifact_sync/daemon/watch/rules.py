"""What a change below the mirror's root may mean, and which paths are to be looked at. Pure.

Looking and telling is ``judge``'s, hearing of changes is ``watch``'s.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.mirror.names import fold
from artifact_sync.sync.verify import Condition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from artifact_sync.domain.model import ArtifactRow, Found

_SLACK = 60.0
"""Seconds by which a file may be younger than the moment at which it is said to have come."""


def below_root(path: str, root: str) -> str | None:
    """A path below the root with ``/`` between its components; None for the root and our own."""
    if not path.startswith(root):
        return None
    below = path[len(root) :].replace(os.sep, "/").strip("/")
    return None if not below or fold(below.split("/", 1)[0]) == OWN_FOLDER else below


class Touched:
    """Paths that are to be looked at, and whether with all below them. Bounded.

    When there are too many of them, only their first ``depth`` components are kept: the folder of
    their repository, which is then looked at as a whole.
    """

    def __init__(self, depth: int, most: int = 10_000) -> None:
        self._depth = depth
        self._most = most
        self._paths: dict[str, bool] = {}

    def __len__(self) -> int:
        return len(self._paths)

    def add(self, path: str, *, deep: bool) -> None:
        """One more path."""
        self._paths[path] = deep or self._paths.get(path, False)
        if len(self._paths) > self._most:
            short = ("/".join(it.split("/")[: self._depth]) for it in self._paths)
            self._paths = dict.fromkeys(short, True)

    def take(self) -> Mapping[str, bool]:
        """All of them, which are then forgotten."""
        paths, self._paths = self._paths, {}
        return paths


def glance(row: ArtifactRow, found: Found | None, *, touched: bool) -> Condition | None:
    """What a look tells of a mirrored file without reading it; None: it must be hashed.

    ``touched``: something was done to the file itself, and not only to a folder above it. If not,
    one that was not changed since it came need not be read again.
    """
    if found is None or found.kind != "file":
        return Condition.MISSING
    if found.size != row.size:
        return Condition.CHANGED
    if touched or row.mirrored_at is None:
        return None
    return Condition.OK if found.changed <= row.mirrored_at.timestamp() + _SLACK else None


def respelled(path: str, links: Mapping[str, str]) -> set[str]:
    """A path, and what it is where folders on its way are these symbolic links to others.

    The system tells of a folder by one of its names only, which may be that through a link.
    """
    parts = path.split("/")
    above = {"/".join(parts[:depth]) for depth in range(1, len(parts))}
    return {path} | {(links[link] + path[len(link) :]).lstrip("/") for link in above & links.keys()}
