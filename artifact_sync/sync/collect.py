"""Which artifacts of a run are wanted, and which of those are there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.domain.model import (
    ARTIFACT_STATUSES,
    Artifact,
    ArtifactKey,
    ArtifactRow,
    Problem,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from artifact_sync.domain.model import Run
    from artifact_sync.sync.rules import Rules

Rows = Mapping[ArtifactKey, ArtifactRow]

_NEVER_COMING = frozenset({"failed", "missing"})


class Collected(Struct, frozen=True):
    """A run's artifacts sorted out, each once, in the order of the tree."""

    selected: tuple[Artifact, ...] = ()
    """Wanted and there: status ``success``."""
    pending: tuple[Artifact, ...] = ()
    """Wanted and perhaps yet to come: ``registered``, or a status that nobody knows."""
    skipped: int = 0
    """How many others there are: not wanted, or ``failed`` or ``missing`` upstream."""
    problems: tuple[Problem, ...] = ()
    """The parts of the answer that made no sense and may have held something wanted."""
    unknown: frozenset[str] = frozenset()
    """Unknown statuses of wanted artifacts, worth one line in the log."""


class RunSelection:
    """What is wanted of one run: by the rules, and by requests in the ledger."""

    def __init__(self, rules: Rules, rows: Rows, *, recorded: bool = False) -> None:
        self._rules = rules
        self._rows = rows
        self._recorded = recorded

    def wants(self, key: ArtifactKey) -> bool:
        """Whether an artifact is selected. ``recorded``: what has been mirrored is, no more."""
        row = self._rows.get(key)
        if self._recorded:
            return row is not None and row.on_record
        return (row is not None and row.is_requested) or self._rules.wants(key)

    def wants_workflow(self, slug: str) -> bool:
        """Whether a workflow's artifacts are wanted at all."""
        return self._rules.wants_workflow(slug)


def collect(run: Run, rules: Rules | RunSelection) -> Collected:
    """Sort out a run's artifacts; the run itself is taken to be wanted."""
    artifacts = _each_once(run.artifacts)
    wanted = [artifact for artifact in artifacts if rules.wants(artifact.key)]
    selected = tuple(artifact for artifact in wanted if artifact.status == "success")
    pending = tuple(artifact for artifact in wanted if _may_come(artifact))
    return Collected(
        selected=selected,
        pending=pending,
        skipped=len(artifacts) - len(selected) - len(pending),
        problems=tuple(problem for problem in run.problems if _concerns(problem, rules)),
        unknown=frozenset(artifact.status for artifact in wanted) - ARTIFACT_STATUSES,
    )


def _each_once(artifacts: Iterable[Artifact]) -> tuple[Artifact, ...]:
    """One artifact a key, at the place of its first mention: the best of its mentions."""
    best: dict[ArtifactKey, Artifact] = {}
    for artifact in artifacts:
        known = best.setdefault(artifact.key, artifact)
        if _merit(artifact) > _merit(known):
            best[artifact.key] = artifact
    return tuple(best.values())


def _merit(artifact: Artifact) -> tuple[bool, bool]:
    return (artifact.status == "success", bool(artifact.url))


def _may_come(artifact: Artifact) -> bool:
    return artifact.status != "success" and artifact.status not in _NEVER_COMING


def _concerns(problem: Problem, rules: Rules | RunSelection) -> bool:
    """A problem that names no workflow may be in any of them."""
    return not problem.workflow or rules.wants_workflow(problem.workflow)
