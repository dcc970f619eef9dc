"""Reading artifacts, a batch at a time. Writing them is in ``artifacts``."""

from __future__ import annotations

from itertools import accumulate, chain, islice, takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

from artifact_sync.domain.model import ExpectedFile, RunKey
from artifact_sync.ledger import frozen
from artifact_sync.ledger.limits import READ_ARTIFACTS, READ_RUNS
from artifact_sync.ledger.rows import artifact_row
from artifact_sync.ledger.runs import Place
from artifact_sync.ledger.transaction import chunks, find_repo, find_run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from artifact_sync.domain.model import ArtifactKey, ArtifactRow, RepoName
    from artifact_sync.ledger.runs import Wanting
    from artifact_sync.ledger.statement import Connection, Row, Statement


class Scope(NamedTuple):
    """Of which repository, and of which run by its slug; None: of all."""

    repo: RepoName | None
    run: str | None

    @property
    def statement(self) -> Statement:
        """What reads its mirrored artifacts by path."""
        if self.run is None:
            return frozen.MIRRORED_ONES if self.repo is None else frozen.MIRRORED_OF_REPO
        return frozen.MIRRORED_OF_RUNS if self.repo is None else frozen.MIRRORED_OF_RUN

    @property
    def values(self) -> dict[str, str]:
        """What the statement is given."""
        values = {} if self.run is None else {"of_run": self.run}
        if self.repo is not None:
            values |= {"of_org": self.repo.org, "of_repo": self.repo.repo}
        return values


class At(NamedTuple):
    """Where a reading by path has come to; at first, before all."""

    path: str = ""
    id: int = 0


def of_run(connection: Connection, key: RunKey) -> Mapping[ArtifactKey, ArtifactRow]:
    """All artifacts of a run."""
    found = connection.rows(frozen.OF_RUN, run_id=find_run(connection, key))
    return {row.key: row for row in map(artifact_row, found)}


def mirrored(
    connection: Connection, scope: Scope, after: At | None
) -> tuple[Sequence[ArtifactRow], At | None]:
    """A batch of mirrored artifacts by path, and where to go on; None: that was the last."""
    return _by_path(connection, scope.statement, scope.values, after)


def at(
    connection: Connection, path: str, after: At | None
) -> tuple[Sequence[ArtifactRow], At | None]:
    """A batch of mirrored artifacts at a path or below it, and where to go on.

    The range ends at ``path`` and a 0, the character behind the slash, so that the index by path
    bounds it; what has another character there is left out.
    """
    values = {"place": path, "below": f"{path}/", "end": f"{path}0"}
    return _by_path(connection, frozen.AT, values, after)


def _by_path(
    connection: Connection, statement: Statement, values: Mapping[str, Any], after: At | None
) -> tuple[Sequence[ArtifactRow], At | None]:
    """A batch of a reading whose last columns are path and id."""
    found = connection.rows(statement, **values, **(after or At())._asdict())
    last = At(*found[-1][-2:]) if len(found) == READ_ARTIFACTS else None
    return [artifact_row(row) for row in found], last


def listing(
    connection: Connection, repo: RepoName, run: str | None, after: Place | None
) -> tuple[Sequence[ArtifactRow], Place | None]:
    """A batch of one repository's artifacts, newest run first, whole runs at a time."""
    which = {"repo_id": find_repo(connection, repo), **(after or Place())._asdict()}
    if run is None:
        some = connection.rows(frozen.HOLDING_RUNS, **which)
    else:
        some = connection.rows(frozen.HOLDING_RUN, **which, of_run=run)
    first = _as_many(some, READ_ARTIFACTS)
    rows = _of_runs(connection, [row[1] for row in first])
    return [artifact_row(row) for row in rows], Place(*first[-1][:2]) if first else None


def recent(connection: Connection, repo: RepoName, limit: int) -> Sequence[ExpectedFile]:
    """Up to so many mirrored artifacts of the newest runs."""
    runs = {row[1]: RunKey(repo, row[3]) for row in _newest_runs(connection, repo, limit)}
    found: dict[int, list[ExpectedFile]] = {run_id: [] for run_id in runs}
    for some in chunks(list(runs)):
        for run_id, path, size in connection.rows(frozen.RECENT_FILES, these=some):
            found[run_id].append(ExpectedFile(runs[run_id], path, size))
    return list(islice(chain.from_iterable(found.values()), limit))


def _newest_runs(connection: Connection, repo: RepoName, enough: int) -> Sequence[Row]:
    """The newest runs that together have so many mirrored artifacts, or all."""
    repo_id, place = find_repo(connection, repo), Place()
    runs: list[Row] = []
    while True:
        some = connection.rows(frozen.RECENT_RUNS, repo_id=repo_id, **place._asdict())
        runs += some
        if len(some) < READ_RUNS or sum(row[2] for row in runs) >= enough:
            return _as_many(runs, enough)
        place = Place(*some[-1][:2])


def _as_many(counted: Sequence[Row], enough: int) -> Sequence[Row]:
    """The first of these runs that together have enough artifacts, or all."""
    before = accumulate((row[2] for row in counted), initial=0)
    pairs = takewhile(lambda pair: pair[1] < enough, zip(counted, before, strict=False))
    return [row for row, _ in pairs]


def _of_runs(connection: Connection, ids: Sequence[int]) -> list[Row]:
    """The artifacts of these runs, run by run, in the order in which they were met."""
    found: list[Row] = []
    for some in chunks(ids):
        found += connection.rows(frozen.OF_RUNS, these=some)
    place = {run_id: position for position, run_id in enumerate(ids)}
    found.sort(key=lambda row: (place[row[-2]], row[-1]))
    return found


def unwell(connection: Connection, wanting: Wanting) -> Sequence[ArtifactRow]:
    """What has failed in runs that are settled for the selection, newest run first."""
    found = connection.rows(
        frozen.UNWELL_ONES,
        repo_id=find_repo(connection, wanting.repo),
        selection=wanting.selection,
        since=wanting.from_then,
    )
    return [artifact_row(row) for row in found]
