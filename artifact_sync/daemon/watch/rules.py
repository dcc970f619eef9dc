"""Rules of the watch: which paths to inspect, and how. Pure."""

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
"""Seconds by which a file may be newer than the ledger says it was mirrored."""


def below_root(path: str, root: str) -> str | None:
    """A path relative to the root; None for the root and our own folder."""
    if not path.startswith(root):
        return None
    below = path[len(root) :].replace(os.sep, "/").strip("/")
    return None if not below or fold(below.split("/", 1)[0]) == OWN_FOLDER else below


class Touched:
    """A bounded set of paths to inspect, each alone or with everything below it.

    When there are too many, only the first ``depth`` components of each are kept: the folder of its
    repository, which is then inspected as a whole.
    """

    def __init__(self, depth: int, most: int = 10_000) -> None:
        self._depth = depth
        self._most = most
        self._paths: dict[str, bool] = {}

    def __len__(self) -> int:
        return len(self._paths)

    def add(self, path: str, *, deep: bool) -> None:
        """Add a path; ``deep``: with everything below it."""
        self._paths[path] = deep or self._paths.get(path, False)
        if len(self._paths) > self._most:
            short = ("/".join(it.split("/")[: self._depth]) for it in self._paths)
            self._paths = dict.fromkeys(short, True)

    def take(self) -> Mapping[str, bool]:
        """Return all paths and empty the set."""
        paths, self._paths = self._paths, {}
        return paths


def compare_metadata(row: ArtifactRow, found: Found | None, *, touched: bool) -> Condition | None:
    """The condition of a mirrored file by its metadata; None: it must be hashed.

    ``touched``: the file itself was changed, and not only a folder above it. Otherwise a file not
    modified since it was mirrored need not be hashed.
    """
    if found is None or found.kind != "file":
        return Condition.MISSING
    if found.size != row.size:
        return Condition.CHANGED
    if touched or row.mirrored_at is None:
        return None
    return Condition.OK if found.changed <= row.mirrored_at.timestamp() + _SLACK else None


def resolved_names(path: str, links: Mapping[str, str]) -> set[str]:
    """A path, and its names with symbolic links on the way resolved.

    The system reports a folder by one of its names only, which may go through a link.
    """
    parts = path.split("/")
    above = {"/".join(parts[:depth]) for depth in range(1, len(parts))}
    return {path} | {(links[link] + path[len(link) :]).lstrip("/") for link in above & links.keys()}
