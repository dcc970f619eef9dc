"""The repositories that the daemon watches, organisations expanded. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from artifact_sync.domain.model import RepoName

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from artifact_sync.domain.settings import RepoSettings


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
