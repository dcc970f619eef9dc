"""What the daemon remembers of each repository: settings, lag, what is unchanged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from artifact_sync.domain.model import RepoName
from artifact_sync.domain.request import PassOptions, PassRequest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from artifact_sync.daemon.schedule.turns import Turn
    from artifact_sync.domain.jobs import PastTurn
    from artifact_sync.domain.request import Unchanged
    from artifact_sync.domain.settings import RepoSettings

_LOOK = 3600.0
"""Seconds after which a pass sees whether the mirror's newest files are there."""


class _Known(Struct):
    unchanged: Unchanged | None = None
    looked_at: float = 0.0
    """When a pass last looked at the mirror's newest files, on the monotonic clock."""


class UnchangedRepositories:
    """Remembers repositories in which the last pass left nothing to do.

    What lasts is in the ledger, which others write to, too: other workers, commands. So what is
    remembered counts only where the ledger stands as it did then, which the next pass reads in one
    step while it holds the repository (``Standing``). Nothing has to be told to this process, and a
    connection that was lost meanwhile changes nothing. Without that, a pass reads and writes all of
    it again.
    """

    def __init__(self) -> None:
        self._known: dict[RepoName, _Known] = {}

    def request(
        self, turn: Turn, settings: RepoSettings, now: float, *, must_look: bool
    ) -> PassRequest:
        """The request for a turn, which demands as little as possible.

        ``must_look``: each pass has to check the newest files of the mirror.
        """
        known = self._known.get(turn.repo)
        look = must_look or turn.eager or known is None or now - known.looked_at >= _LOOK
        mode = PassOptions(eager=turn.eager, look=look)
        asked = PassRequest((settings,), mode=mode, announced=turn.announced)
        request = replace(asked, remembers=True)
        if known is None or look or turn.announced:
            return request
        return replace(request, unchanged=known.unchanged)

    def ended(
        self, repo: RepoName, request: PassRequest, unchanged: Unchanged | None, now: float
    ) -> None:
        """Remember the end of a pass; ``unchanged`` when it left nothing to do."""
        known = self._known.setdefault(repo, _Known())
        if request.mode.look:
            known.looked_at = now
        known.unchanged = unchanged

    def keep(self, repos: Collection[RepoName]) -> None:
        """Forget all other repositories."""
        self._known = {repo: it for repo, it in self._known.items() if repo in repos}

    def forget(self) -> None:
        """Forget everything: other things are wanted, or files were damaged."""
        self._known.clear()


class WatchedRepositories:
    """Repositories and their settings. ``org/*`` is an entry of its own, for the list."""

    def __init__(self, configured: Iterable[RepoSettings]) -> None:
        self._configured: dict[RepoName, RepoSettings] = {}
        self._found: dict[str, tuple[RepoName, ...]] = {}
        self.entries: Mapping[RepoName, RepoSettings] = {}
        """All of them. A repository's own settings win over those of ``org/*``."""
        self.configure(configured)

    def configure(self, configured: Iterable[RepoSettings]) -> None:
        """Use another configuration. Repositories found in organisations are kept."""
        self._configured = {RepoName.parse(settings.name): settings for settings in configured}
        stars = {repo.org for repo in self._configured if repo.is_star}
        self._found = {org: repos for org, repos in self._found.items() if org in stars}
        self.entries = self._expanded()

    def found(self, org: str, repos: Iterable[RepoName]) -> tuple[set[RepoName], set[RepoName]]:
        """Take the complete list of an organisation; the repositories added and removed.

        An empty list after one that was not is ignored.
        """
        known, listed = self._found.get(org, ()), tuple(repos)
        if known and not listed:
            return set(), set()
        self._found[org] = listed
        self.entries = self._expanded()
        return set(listed) - set(known), set(known) - set(listed)

    def settings_of(self, repo: RepoName) -> RepoSettings | None:
        """The settings of a repository, also of one that another process has found."""
        found, star = self.entries.get(repo), self._configured.get(RepoName.star(repo.org))
        return found or (star and replace(star, name=str(repo)))

    def listed(self, org: str) -> tuple[RepoName, ...] | None:
        """The repositories found in an organisation; None: it was not listed."""
        return self._found.get(org)

    def knows_organisation(self, org: str) -> bool:
        """Whether ``org/*`` is configured."""
        return RepoName.star(org) in self._configured

    def _expanded(self) -> Mapping[RepoName, RepoSettings]:
        entries = dict(self._configured)
        for org, repos in self._found.items():
            star = self._configured[RepoName.star(org)]
            for repo in repos:
                entries.setdefault(repo, replace(star, name=str(repo)))
        return entries


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

    def told(self, repo: RepoName, past: PastTurn, now: float) -> None:
        """Take over what all workers know of a repository."""
        history = self._histories.setdefault(repo, _History(now))
        history.behind = past.behind_for is not None
        history.caught_up_at = now - (past.behind_for or 0.0)
        history.complete_at = None if past.complete_ago is None else now - past.complete_ago

    def last(self, repo: RepoName) -> tuple[bool, bool]:
        """Whether the last pass caught up, and whether it was complete."""
        history = self._histories.get(repo)
        if history is None or history.ended_at is None:
            return False, False
        return not history.behind, history.complete_at == history.ended_at

    def keep(self, repos: Collection[RepoName]) -> None:
        """Forget all other repositories."""
        self._histories = {repo: it for repo, it in self._histories.items() if repo in repos}
