"""Select a run's artifacts and sort them by status. Pure."""

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
    from collections.abc import Callable, Iterable

    from artifact_sync.domain.model import Run
    from artifact_sync.sync.rules import Rules

Rows = Mapping[ArtifactKey, ArtifactRow]

_NEVER_COMING = frozenset({"failed", "missing"})


class Collected(Struct, frozen=True):
    """A run's artifacts by status, each once, in the tree's order."""

    selected: tuple[Artifact, ...] = ()
    """Wanted and there: status ``success``."""
    pending: tuple[Artifact, ...] = ()
    """Wanted and perhaps yet to come: ``registered``, or a status that nobody knows."""
    problems: tuple[Problem, ...] = ()
    """The parts of the answer that made no sense and may have held something wanted."""
    unknown: frozenset[str] = frozenset()
    """Unknown statuses of wanted artifacts, worth one line in the log."""
    rest: tuple[Artifact, ...] = ()
    """There, and not wanted: only noted."""
    whole: bool = True
    """Nothing is listed that is neither of these, and might be wanted by other rules."""


class RunSelection:
    """What one run's rules and the ledger's requests select."""

    def __init__(
        self,
        rules: Rules,
        rows: Rows,
        *,
        recorded: bool = False,
        let_go: Callable[[ArtifactKey], bool] = lambda _: False,
    ) -> None:
        self._rules = rules
        self._rows = rows
        self._recorded = recorded
        self._let_go = let_go

    @property
    def lists_logs(self) -> bool:
        """Whether logs are wanted, or some were."""
        return self._rules.lists_logs or any(key.is_log for key in self._rows)

    def wants(self, key: ArtifactKey) -> bool:
        """Whether an artifact is selected; in a repair, whether it is on record."""
        row = self._rows.get(key)
        if self._let_go(key):
            return False
        if self._recorded:
            return row is not None and row.on_record
        return (row is not None and row.is_requested) or self._rules.wants(key)


def collect(run: Run, rules: Rules, selection: RunSelection | None = None) -> Collected:
    """Sort the artifacts of a run that is wanted."""
    selects = selection or rules
    wants = selects.wants
    every = _each_once((*run.artifacts, *(run.logs if selects.lists_logs else ())))
    wanted = [it for it in every if wants(it.key)]
    rest = [it for it in every if not wants(it.key)]
    return Collected(
        selected=tuple(it for it in wanted if it.status == "success"),
        pending=tuple(it for it in wanted if _may_come(it)),
        rest=tuple(it for it in rest if it.status == "success"),
        whole=not (run.problems or any(map(_may_come, rest))),
        problems=tuple(it for it in run.problems if _concerns(it, rules)),
        unknown=frozenset(it.status for it in wanted) - ARTIFACT_STATUSES,
    )


def _each_once(artifacts: Iterable[Artifact]) -> tuple[Artifact, ...]:
    """The best mention of each key, in the place of the first."""
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


def _concerns(problem: Problem, rules: Rules) -> bool:
    """A problem that names no workflow may be in any of them."""
    return not problem.workflow or rules.wants_workflow(problem.workflow)
