"""Repositories in the order of their times. Cheap for thousands: a heap."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from artifact_sync.domain.model import RepoName

_SLACK = 64
"""Outdated places in the heap that are put up with."""


class Timeline:
    """At most one time for each repository; of equal times the one set first comes first."""

    def __init__(self) -> None:
        self._places: dict[RepoName, tuple[float, int, RepoName]] = {}
        self._heap: list[tuple[float, int, RepoName]] = []
        """The places, and outdated ones, which are left out when they come up."""
        self._count = 0

    def set(self, repo: RepoName, at: float) -> None:
        """Give a repository its time, in place of the one it had."""
        self._count += 1
        place = (at, self._count, repo)
        self._places[repo] = place
        heappush(self._heap, place)
        if len(self._heap) > 2 * len(self._places) + _SLACK:
            self._heap = list(self._places.values())
            heapify(self._heap)

    def drop(self, repo: RepoName) -> None:
        """Take a repository out, if it is in."""
        self._places.pop(repo, None)

    def at(self, repo: RepoName) -> float | None:
        """Its time; None: it is not in."""
        place = self._places.get(repo)
        return None if place is None else place[0]

    def first(self) -> float | None:
        """The earliest time of all; None: there is none."""
        while self._heap and self._places.get(self._heap[0][2]) is not self._heap[0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop(self, latest: float, but: Collection[RepoName] = ()) -> RepoName | None:
        """Take out the first one; None: none has a time of ``latest`` or before.

        Those of ``but`` are passed over and keep their places.
        """
        passed = []
        found = None
        while found is None and (at := self.first()) is not None and at <= latest:
            place = heappop(self._heap)
            if place[2] in but:
                passed.append(place)
                continue
            found = place[2]
            del self._places[found]
        for place in passed:
            heappush(self._heap, place)
        return found

    def count(self, latest: float) -> int:
        """How many have a time of ``latest`` or before."""
        return sum(place[0] <= latest for place in self._places.values())
