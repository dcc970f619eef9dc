"""Rules that say what was let go: repositories, runs, and paths of runs. Pure.

They have an order, as in an ignore file: of those that fit an artifact the last one counts.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from artifact_sync.domain.globs import path_regex, plain_path
from artifact_sync.domain.model import ArtifactKey, RepoName, RunKey  # noqa: TC001 - for signatures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class ForgetScope(NamedTuple):
    """A repository, one of its runs, or some paths of a run."""

    repo: RepoName
    run: str = ""
    """Empty: every run, also those to come."""
    glob: str = ""
    """Empty: everything."""

    def holds(self, key: ArtifactKey) -> bool:
        """Whether an artifact is in it."""
        if key[:2] != self.repo or self.run not in {"", key.run}:
            return False
        if not self.glob:
            return True
        return _compiled(self.glob).match("/" + plain_path(key.name)) is not None

    def covers(self, other: ForgetScope) -> bool:
        """Whether it plainly holds all of the other one."""
        if self.repo != other.repo or self.run not in {"", other.run}:
            return False
        return not self.glob or self.glob == other.glob

    def __str__(self) -> str:
        return " ".join(filter(None, (str(self.repo), self.run, self.glob)))


class ForgetRule(Struct, frozen=True):
    """One decision of the mirror's owner."""

    scope: ForgetScope
    forgets: bool = True
    """False: an exception from an earlier one that is wider."""
    deletes: bool = False
    """The files go, too."""
    done: bool = False
    """All that was known of it then is forgotten."""


class ForgetRules(Struct, frozen=True):
    """The rules of one repository, in their order."""

    rules: Sequence[ForgetRule] = ()

    def forgets(self, key: ArtifactKey) -> bool:
        """Whether an artifact is let go, also one that nobody has seen yet."""
        return next((it.forgets for it in reversed(self.rules) if it.scope.holds(key)), False)

    def forgets_run(self, key: RunKey) -> bool:
        """Whether all of a run is let go, whatever may come of it."""
        rules = [it for it in self.rules if it.scope.run in {"", key.run}]
        return _ends_with_all_of(rules, lambda scope: not scope.glob)

    @property
    def forgets_repository(self) -> bool:
        """Whether all of the repository is let go, the runs to come included."""
        return _ends_with_all_of(self.rules, lambda scope: not scope.run)

    @property
    def unfinished(self) -> Sequence[ForgetRule]:
        """Those of which something may be left to be done, after a crash."""
        return [it for it in self.rules if not it.done]

    def forgetting(self, rule: ForgetRule) -> ForgetRules:
        """With another rule, which replaces all that it covers."""
        return ForgetRules((*self._beside(rule.scope), rule))

    def remembering(self, scope: ForgetScope) -> ForgetRules:
        """Without rules about what a scope holds; with an exception where one is needed."""
        left = self._beside(scope)
        wider = any(it.forgets and it.scope.run in {"", scope.run} for it in left)
        exception = [ForgetRule(scope, forgets=False, done=True)] if wider else []
        return ForgetRules((*left, *exception))

    def _beside(self, scope: ForgetScope) -> Sequence[ForgetRule]:
        return [it for it in self.rules if not scope.covers(it.scope)]


def _ends_with_all_of(rules: Iterable[ForgetRule], whole: Callable[[ForgetScope], bool]) -> bool:
    """Whether the last rule about the whole forgets, and none makes an exception since."""
    forgets = False
    for rule in rules:
        forgets = rule.forgets if whole(rule.scope) else forgets and rule.forgets
    return forgets


@lru_cache(256)
def _compiled(glob: str) -> re.Pattern[str]:
    return re.compile(path_regex(glob))
