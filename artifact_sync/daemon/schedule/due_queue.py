"""A priority queue of repositories by due time (a heap)."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from artifact_sync.domain.model import RepoName

_SLACK = 64
"""Outdated entries that the heap may keep."""


class DueQueue:
    """One time for each repository. Equal times keep their order."""

    def __init__(self) -> None:
        self._entries: dict[RepoName, tuple[float, int, RepoName]] = {}
        self._heap: list[tuple[float, int, RepoName]] = []
        """The entries, and outdated ones, which are skipped."""
        self._count = 0

    def set(self, repo: RepoName, at: float) -> None:
        """Set a repository's time."""
        self._count += 1
        entry = (at, self._count, repo)
        self._entries[repo] = entry
        heappush(self._heap, entry)
        if len(self._heap) > 2 * len(self._entries) + _SLACK:
            self._heap = list(self._entries.values())
            heapify(self._heap)

    def drop(self, repo: RepoName) -> None:
        """Remove a repository, if it is there."""
        self._entries.pop(repo, None)

    def at(self, repo: RepoName) -> float | None:
        """A repository's time; None: it is not there."""
        entry = self._entries.get(repo)
        return None if entry is None else entry[0]

    def first(self) -> float | None:
        """The earliest time; None: the queue is empty."""
        while self._heap and self._entries.get(self._heap[0][2]) is not self._heap[0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop(self, latest: float, but: Collection[RepoName] = ()) -> RepoName | None:
        """Remove and return the first repository; None: none is due by ``latest``.

        Repositories in ``but`` are skipped and stay in the queue.
        """
        passed = []
        found = None
        while found is None and (at := self.first()) is not None and at <= latest:
            entry = heappop(self._heap)
            if entry[2] in but:
                passed.append(entry)
                continue
            found = entry[2]
            del self._entries[found]
        for entry in passed:
            heappush(self._heap, entry)
        return found

    def count(self, latest: float) -> int:
        """How many are due by ``latest``."""
        return sum(entry[0] <= latest for entry in self._entries.values())
