"""Reading artifacts, a batch at a time. Writing them is in ``artifacts``."""

from __future__ import annotations

from itertools import accumulate, takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import or_, select, text, tuple_

from artifact_sync.ledger.rows import artifact_row, select_artifacts
from artifact_sync.ledger.runs import Place, created_since, newest_first
from artifact_sync.ledger.schema import UNWELL, artifacts, repositories, runs
from artifact_sync.ledger.transaction import chunks, find_repo, find_run
from artifact_sync.model import State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection, Select

    from artifact_sync.ledger.rows import AnyRow
    from artifact_sync.ledger.runs import Wanting
    from artifact_sync.model import ArtifactKey, ArtifactRow, RepoName, RunKey

_BATCH = 500

_IS_MIRRORED = artifacts.c.state == State.MIRRORED.value
_COUNT = sum((runs.c[state.value] for state in State if state is not State.WANTED), runs.c.wanted)


class Scope(NamedTuple):
    """Of which repository, and of which run by its slug; None: of all."""

    repo: RepoName | None
    run: str | None

    @property
    def runs(self) -> Select[Any]:
        """The ids of its runs."""
        query = select(runs.c.id)
        if self.run is not None:
            query = query.where(runs.c.run == self.run)
        if self.repo is not None:
            org, name = self.repo
            whose = repositories.c.org == org, repositories.c.repo == name
            query = query.join(repositories).where(*whose)
        return query


class At(NamedTuple):
    """Where a reading by path has come to."""

    path: str
    id: int


def of_run(connection: Connection, key: RunKey) -> Mapping[ArtifactKey, ArtifactRow]:
    """All artifacts of a run."""
    query = select_artifacts().where(artifacts.c.run_id == find_run(connection, key))
    rows = map(artifact_row, connection.execute(query.order_by(artifacts.c.id)))
    return {row.key: row for row in rows}


def mirrored(
    connection: Connection, scope: Scope, after: At | None
) -> tuple[Sequence[ArtifactRow], At | None]:
    """A batch of mirrored artifacts by path, and where to go on; None: that was the last."""
    query = select_artifacts(artifacts.c.path, artifacts.c.id).where(_IS_MIRRORED)
    if scope.run is not None:
        query = query.where(artifacts.c.run_id.in_(scope.runs))
    elif scope.repo is not None:
        # the sum keeps the database from sorting the whole repository for every batch
        query = query.where((artifacts.c.run_id + 0).in_(scope.runs))
    return _by_path(connection, query, after)


def at(
    connection: Connection, path: str, after: At | None
) -> tuple[Sequence[ArtifactRow], At | None]:
    """A batch of mirrored artifacts at a path or below it, and where to go on.

    The range ends at ``path`` and a 0, the character behind the slash, so that the index by path
    bounds it; what has another character there is left out.
    """
    place = artifacts.c.path
    query = select_artifacts(place, artifacts.c.id).where(
        _IS_MIRRORED,
        place >= path,
        place < f"{path}0",
        or_(place == path, place >= f"{path}/"),
    )
    return _by_path(connection, query, after)


def _by_path(
    connection: Connection, query: Select[Any], after: At | None
) -> tuple[Sequence[ArtifactRow], At | None]:
    """A batch of a reading whose last columns are path and id."""
    order = artifacts.c.path, artifacts.c.id
    if after is not None:
        query = query.where(tuple_(*order) > tuple_(*after))
    found = connection.execute(query.order_by(*order).limit(_BATCH)).all()
    last = At(*found[-1][-2:]) if len(found) == _BATCH else None
    return [artifact_row(row) for row in found], last


def listing(
    connection: Connection, repo: RepoName, run: str | None, after: Place | None
) -> tuple[Sequence[ArtifactRow], Place | None]:
    """A batch of one repository's artifacts, newest run first, whole runs at a time."""
    order, below = newest_first(after)
    of_repo = runs.c.repo_id == find_repo(connection, repo)
    query = select(runs.c.number, runs.c.id, _COUNT).where(of_repo, *below)
    if run is not None:
        query = query.where(runs.c.run == run)
    some = connection.execute(query.where(_COUNT > 0).order_by(*order).limit(_BATCH)).all()
    first = _as_many(some, _BATCH)
    rows = _of_runs(connection, [row.id for row in first])
    return rows, Place(*first[-1][:2]) if first else None


def recent(connection: Connection, repo: RepoName, limit: int) -> Sequence[ArtifactRow]:
    """Up to so many mirrored artifacts of the newest runs."""
    order, _ = newest_first(None)
    query = select(runs.c.number, runs.c.id, runs.c.mirrored).where(
        runs.c.repo_id == find_repo(connection, repo), runs.c.mirrored > 0
    )
    some = connection.execute(query.order_by(*order).limit(limit)).all()
    ids = [row.id for row in _as_many(some, limit)]
    return _of_runs(connection, ids, _IS_MIRRORED)[:limit]


def _as_many(counted: Sequence[AnyRow], enough: int) -> Sequence[AnyRow]:
    """The first of these runs that together have enough artifacts, or all."""
    before = accumulate((row[2] for row in counted), initial=0)
    pairs = takewhile(lambda pair: pair[1] < enough, zip(counted, before, strict=False))
    return [row for row, _ in pairs]


def _of_runs(
    connection: Connection, ids: Sequence[int], *conditions: ColumnElement[bool]
) -> list[ArtifactRow]:
    """The artifacts of these runs, run by run, in the order in which they were met."""
    found: list[AnyRow] = []
    for some in chunks(ids):
        query = select_artifacts(artifacts.c.run_id, artifacts.c.id)
        found += connection.execute(query.where(artifacts.c.run_id.in_(some), *conditions))
    place = {run_id: position for position, run_id in enumerate(ids)}
    found.sort(key=lambda row: (place[row[-2]], row[-1]))
    return [artifact_row(row) for row in found]


def unwell(connection: Connection, wanting: Wanting) -> Sequence[ArtifactRow]:
    """What has failed in runs that are settled for the selection, newest run first."""
    query = select_artifacts().where(
        text(UNWELL),
        runs.c.repo_id == find_repo(connection, wanting.repo),
        runs.c.settled_for == wanting.selection,
        runs.c.kept.is_not(None),
        *created_since(wanting.since),
    )
    order, _ = newest_first(None)
    return [artifact_row(row) for row in connection.execute(query.order_by(*order, artifacts.c.id))]
