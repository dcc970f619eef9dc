"""Notices filters of a repository that have fitted nothing so far. Pure.

Where a filter is misspelt a pass has nothing to do and ends well, until the artifacts expire.
One run alone proves nothing: so what was met is noted in the ledger, and judged in every pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.domain.globs import plain_path
from artifact_sync.domain.model import FilterNotes
from artifact_sync.sync.rules import toml_string

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable

    from artifact_sync.domain.model import ArtifactKey, RepoName
    from artifact_sync.sync.rules import Rules

_MOST_NAMES = 20
"""Names that are noted of each kind."""
_LONGEST_NAME = 80

Globs = dict[str, "re.Pattern[str]"]


class FilterFit:
    """Holds the globs of ``workflows`` and ``include`` against the artifacts that a pass meets."""

    def __init__(self, rules: Rules, noted: FilterNotes) -> None:
        self._rules = rules
        self._before = noted
        same = noted.selection == rules.fingerprint
        self.is_new = not same
        """Nothing was noted of these filters yet."""
        self._workflows = dict.fromkeys(noted.workflows)
        self._paths = dict.fromkeys(noted.paths if same else ())
        fitted = set(noted.fitted if same else ())
        settings = rules.settings
        self._open_workflows = _unless(fitted, settings.workflows, rules.workflows)
        self._open_include = _unless(fitted, settings.include, rules.include)

    @property
    def is_open(self) -> bool:
        """Whether a glob has fitted nothing so far."""
        return bool(self._open_workflows or self._open_include)

    def take(self, keys: Iterable[ArtifactKey]) -> None:
        """Take in artifacts, whatever their status."""
        for key in keys:
            if not self.is_open:
                return
            _note(self._workflows, key.workflow)
            _close(self._open_workflows, key.workflow)
            if self._rules.wants_workflow(key.workflow):
                _note(self._paths, plain_path(key.local_path))
                _close(self._open_include, "/" + plain_path(key.local_path))

    @property
    def unfit_globs(self) -> frozenset[tuple[str, str]] | None:
        """Keys and globs that have fitted nothing; None: nothing was met."""
        globs = ((key, glob) for key, globs, *_ in self._kinds for glob in globs)
        return frozenset(globs) if self._workflows else None

    def unfit(self, repo: RepoName) -> tuple[str, ...]:
        """A sentence for each glob that has fitted nothing, and the known names."""
        return tuple(
            f"{key}: {toml_string(glob)} has fitted no {what} of {repo} so far: there are"
            f" {_listed(names)}"
            for key, globs, what, names in self._kinds
            for glob in globs
            if names
        )

    @property
    def _kinds(self) -> tuple[tuple[str, Globs, str, dict[str, None]], ...]:
        return (
            ("workflows", self._open_workflows, "workflow with artifacts", self._workflows),
            ("include", self._open_include, "artifact", self._paths),
        )

    def notes(self, unfit: tuple[str, ...]) -> FilterNotes | None:
        """What to note in the ledger; None: it holds that already."""
        settings = self._rules.settings
        if not (settings.workflows or settings.include or self._before.unfit):
            return None
        still = self._open_workflows.keys() | self._open_include.keys()
        notes = FilterNotes(
            self._rules.fingerprint,
            tuple(self._workflows),
            tuple(self._paths),
            tuple(it for it in (*settings.workflows, *settings.include) if it not in still),
            unfit,
        )
        return notes if notes != self._before else None


def _unless(fitted: set[str], globs: Iterable[str], compiled: Iterable[re.Pattern[str]]) -> Globs:
    return {glob: it for glob, it in zip(globs, compiled, strict=True) if glob not in fitted}


def _note(names: dict[str, None], name: str) -> None:
    if len(names) < _MOST_NAMES:
        names.setdefault(name[:_LONGEST_NAME])


def _close(globs: Globs, text: str) -> None:
    for glob in [glob for glob, pattern in globs.items() if pattern.match(text)]:
        del globs[glob]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(toml_string, sorted(names)))
