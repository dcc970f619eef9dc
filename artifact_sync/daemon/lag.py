"""How long each repository has been behind. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from artifact_sync.domain.model import RepoName


@dataclass(slots=True)
class _History:
    """The passes of one repository, on the monotonic clock."""

    caught_up_at: float
    """When it was last fully caught up; initially, when the daemon first saw it."""
    behind: bool = False
    complete_at: float | None = None
    """When a pass last ended complete."""
    ended_at: float | None = None
    """When a pass last ended."""


class Lags:
    """Remembers when each repository was last caught up. Times are monotonic."""

    def __init__(self) -> None:
        self._histories: dict[RepoName, _History] = {}

    def ended(self, repo: RepoName, *, caught_up: bool, complete: bool, now: float) -> None:
        """Note the end of a pass. ``caught_up``: a retry would change nothing."""
        history = self._histories.setdefault(repo, _History(now))
        history.behind = not caught_up
        history.ended_at = now
        if caught_up:
            history.caught_up_at = now
        if complete:
            history.complete_at = now

    def lag(self, repo: RepoName, now: float, overdue: float = 0.0) -> float:
        """Seconds for which it has been behind.

        ``overdue``: seconds for which a pass has been due that has not begun.
        """
        history = self._histories.setdefault(repo, _History(now))
        return now - history.caught_up_at if history.behind else max(overdue, 0.0)

    def is_behind(self, repo: RepoName) -> bool:
        """Whether something was missing when a pass last ended."""
        history = self._histories.get(repo)
        return history is not None and history.behind

    def ages(self, repo: RepoName, now: float) -> tuple[float | None, float | None]:
        """Seconds since a pass last ended, and last ended complete; None: unknown."""
        history = self._histories.get(repo, _History(now))
        ends = history.ended_at, history.complete_at
        return ends[0] and now - ends[0], ends[1] and now - ends[1]

    def since_complete(self, now: float) -> dict[str, float]:
        """Seconds since the last complete pass, by repository; without those that had none."""
        return {
            str(repo): now - history.complete_at
            for repo, history in self._histories.items()
            if history.complete_at is not None
        }

    def was_complete(self, repo: RepoName, ago: float, now: float) -> None:
        """It was complete so many seconds ago, by an earlier process."""
        history = self._histories.setdefault(repo, _History(now))
        if history.complete_at is None:
            history.complete_at = now - ago

    def keep(self, repos: Collection[RepoName]) -> None:
        """Forget all other repositories."""
        self._histories = {repo: it for repo, it in self._histories.items() if repo in repos}
