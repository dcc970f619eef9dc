"""How far each repository is behind, from how its passes ended. Pure; times are monotonic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from artifact_sync.domain.model import RepoName


@dataclass(slots=True)
class _Course:
    """One repository's."""

    well_at: float
    """When all that could be had was last here; at first, when the daemon came to know of it."""
    behind: bool = False
    complete_at: float | None = None
    """When a pass last ended complete."""
    looked_at: float | None = None
    """When a pass last ended."""


class Lags:
    """Remembers when each repository was last as it should be."""

    def __init__(self) -> None:
        self._courses: dict[RepoName, _Course] = {}

    def ended(self, repo: RepoName, *, caught_up: bool, complete: bool, now: float) -> None:
        """A pass has ended; all is here that can be had, all is here that is wanted, or not."""
        course = self._courses.setdefault(repo, _Course(now))
        course.behind = not caught_up
        course.looked_at = now
        if caught_up:
            course.well_at = now
        if complete:
            course.complete_at = now

    def lag(self, repo: RepoName, now: float, overdue: float = 0.0) -> float:
        """Seconds for which it has not been as it should be.

        ``overdue``: seconds for which a look has been due that has not begun.
        """
        course = self._courses.setdefault(repo, _Course(now))
        return now - course.well_at if course.behind else max(overdue, 0.0)

    def is_behind(self, repo: RepoName) -> bool:
        """Whether something was missing when a pass last ended."""
        course = self._courses.get(repo)
        return course is not None and course.behind

    def ages(self, repo: RepoName, now: float) -> tuple[float | None, float | None]:
        """Seconds since a pass last ended, and since one last ended complete; None: not known."""
        course = self._courses.get(repo, _Course(now))
        ends = course.looked_at, course.complete_at
        return ends[0] and now - ends[0], ends[1] and now - ends[1]

    def since_complete(self, now: float) -> dict[str, float]:
        """Seconds since the last complete pass, by repository; those that had none are left out."""
        return {
            str(repo): now - course.complete_at
            for repo, course in self._courses.items()
            if course.complete_at is not None
        }

    def was_complete(self, repo: RepoName, ago: float, now: float) -> None:
        """An earlier process has seen it complete, so many seconds ago."""
        course = self._courses.setdefault(repo, _Course(now))
        if course.complete_at is None:
            course.complete_at = now - ago

    def keep(self, repos: Collection[RepoName]) -> None:
        """Only these are looked after from now on."""
        self._courses = {repo: it for repo, it in self._courses.items() if repo in repos}
