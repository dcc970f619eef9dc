"""From rows of the tables to values of the model. Which rows is ``runs``' and ``artifacts``'."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, select

from artifact_sync.ledger.schema import artifacts, repositories, runs
from artifact_sync.model import ArtifactKey, ArtifactRow, RepoName, RunKey, RunRow, State, Strength

if TYPE_CHECKING:
    from sqlalchemy import Row

    AnyRow = Row[*tuple[Any, ...]]

_STATES = {state.value: state for state in State}
_STRENGTHS = {strength.value: strength for strength in Strength}

RUN = (
    repositories.c.org,
    repositories.c.repo,
    runs.c.run,
    runs.c.status,
    runs.c.event,
    runs.c.created_at,
    runs.c.finished_at,
    runs.c.fingerprint,
    runs.c.settled_for,
    runs.c.first_seen,
    runs.c.seen_at,
    runs.c.next_look,
    runs.c.looks,
    runs.c.complete,
)

_KEY = (
    repositories.c.org,
    repositories.c.repo,
    runs.c.run,
    artifacts.c.workflow,
    artifacts.c.task,
    artifacts.c.cube,
    artifacts.c.local_path,
)

_HELD = (
    artifacts.c.path,
    artifacts.c.size,
    artifacts.c.sha256,
    artifacts.c.strength,
    artifacts.c.evidence,
    artifacts.c.version,
    artifacts.c.etag,
    artifacts.c.content_encoding,
    artifacts.c.attempts,
    artifacts.c.first_seen,
    artifacts.c.mirrored_at,
    artifacts.c.reason,
    artifacts.c.message,
)


def select_runs(*more: Any) -> Select[Any]:
    """Runs, for ``run_row``, with more columns behind."""
    return select(*RUN, *more).select_from(runs.join(repositories))


def select_artifacts(*more: Any) -> Select[Any]:
    """Artifacts, for ``artifact_row``, with more columns behind."""
    tables = artifacts.join(runs).join(repositories)
    return select(*_KEY, artifacts.c.state, *_HELD, *more).select_from(tables)


def run_row(row: AnyRow) -> RunRow:
    """A run."""
    org, repo, run, *rest = row[: len(RUN)]
    return RunRow(RunKey(RepoName(org, repo), run), *rest)


def artifact_row(row: AnyRow) -> ArtifactRow:
    """An artifact."""
    path, size, sha256, strength, *rest = row[8 : 8 + len(_HELD)]
    return ArtifactRow(
        ArtifactKey(*row[:7]), _STATES[row[7]], path, size, sha256, _STRENGTHS[strength], *rest
    )
