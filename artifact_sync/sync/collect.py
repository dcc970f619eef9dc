"""Which artifacts of a run are wanted, and which of those are there. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.domain.model import ARTIFACT_STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from artifact_sync.domain.model import Artifact, ArtifactKey, Problem, Run
    from artifact_sync.sync.rules import Rules

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


def collect(run: Run, rules: Rules) -> Collected:
    """Walk a run's artifacts. Whether the run itself is wanted is ``Rules.wants_run``'s to say."""
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


def _concerns(problem: Problem, rules: Rules) -> bool:
    """A problem that names no workflow may be in any of them."""
    return not problem.workflow or rules.wants_workflow(problem.workflow)
