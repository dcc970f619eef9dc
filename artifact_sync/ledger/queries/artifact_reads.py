"""Reading artifacts, a batch at a time."""

from __future__ import annotations

from itertools import accumulate, chain, islice, takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

from artifact_sync.domain.archives import Extraction, ExtractionState
from artifact_sync.domain.model import (
    ArtifactKey,
    ArtifactRow,
    ExpectedFile,
    RunKey,
    State,
    Strength,
    Upstream,
)
from artifact_sync.ledger.queries.keys import key_digest
from artifact_sync.ledger.queries.runs import READ_RUNS, Place, selected
from artifact_sync.ledger.queries.transaction import chunks, find_repo, find_repos, find_run
from artifact_sync.ledger.sql.encoding import stored_moment

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from artifact_sync.domain.model import RepoName, RunScope
    from artifact_sync.ledger.sql.connection import Connection, Row

_STATES = {state.value: state for state in State}
_STRENGTHS = {strength.value: strength for strength in Strength}
_UPSTREAM = {word.value: word for word in Upstream}
_EXTRACTIONS = {state.value: state for state in ExtractionState}
_READ = 500
"""Artifacts that are read at a time."""


def artifact_of(row: Row) -> ArtifactRow:
    """The artifact of a row of ``artifact_columns``, whatever stands behind them."""
    path, size, sha256, strength, *rest = row[8:24]
    key, state = ArtifactKey(*row[:7]), _STATES[row[7]]
    upstream, *since = row[24:28]
    facts = (path, size, sha256, _STRENGTHS[strength], *rest, _UPSTREAM[upstream], *since)
    extraction = [it] if (it := _extraction(row[28:35])) is not None else []
    return ArtifactRow(key, state, *facts, *extraction)


def _extraction(columns: Row) -> Extraction | None:
    """What has become of unpacking it; None: nobody has tried."""
    word, *facts = columns
    return Extraction(_EXTRACTIONS[word], *facts) if word else None


class At(NamedTuple):
    """Where a reading by path has come to; at first, before all."""

    path: str = ""
    id: int = 0


class Verified(NamedTuple):
    """Where a reading by verification has come to, as stored; at first, before all."""

    verified: str = ""
    id: int = 0


def of_run(connection: Connection, key: RunKey) -> Mapping[ArtifactKey, ArtifactRow]:
    """All artifacts of a run."""
    found = connection.rows("of_run", run_id=find_run(connection, key))
    return {row.key: row for row in map(artifact_of, found)}


def each_of_run(
    connection: Connection, after: bytes | None, key: RunKey
) -> tuple[Sequence[ArtifactRow], bytes | None]:
    """Read a batch of a run's artifacts; the cursor, or None."""
    which = {"run_id": find_run(connection, key), "digest": after or b""}
    found = connection.rows("of_run_by_digest", **which, limit=_READ)
    last: bytes | None = found[-1][-1] if len(found) == _READ else None
    return [artifact_of(row) for row in found], last


def mirrored(
    connection: Connection, after: At | None, repo: RepoName | None = None, run: str | None = None
) -> tuple[Sequence[ArtifactRow], At | None]:
    """Read a batch of mirrored artifacts by path; the cursor, or None."""
    of_repo = repo._asdict() if repo is not None else {}
    if run is None:
        name = "mirrored_ones" if repo is None else "mirrored_of_repository"
    else:
        name = "mirrored_of_runs" if repo is None else "mirrored_of_run"
    return _by_path(connection, name, {**of_repo, "run": run}, after)


def at(
    connection: Connection, after: At | None, path: str
) -> tuple[Sequence[ArtifactRow], At | None]:
    """Read a batch of mirrored artifacts at or below a path, and the cursor.

    The range ends at ``path`` and a 0, the character behind the slash, so that the index by path
    bounds it; what has another character there is left out.
    """
    return _by_path(connection, "mirrored_at", _at(path), after)


def _at(path: str) -> Mapping[str, str]:
    return {"place": path, "below": f"{path}/", "end": f"{path}0"}


def _by_path(
    connection: Connection, statement: str, values: Mapping[str, Any], after: At | None
) -> tuple[Sequence[ArtifactRow], At | None]:
    """A batch of a reading whose last columns are path and id."""
    found = connection.rows(statement, **values, **(after or At())._asdict(), limit=_READ)
    last = At(*found[-1][-2:]) if len(found) == _READ else None
    return [artifact_of(row) for row in found], last


def least_verified(
    connection: Connection,
    after: Verified | None,
    before: datetime,
    *,
    since: datetime | None = None,
    repos: Collection[RepoName] = (),
    unread: bool = False,
) -> tuple[Sequence[ArtifactRow], Verified | None]:
    """Read a batch of mirrored artifacts by their verification; the cursor, or None."""
    place = after or Verified(stored_moment(since) if since is not None else "")
    which = {**place._asdict(), "before": before, "limit": _READ}
    if repos:
        these = find_repos(connection, list(repos))
        found = connection.rows("least_verified_of", **which, these=these)
    else:
        found = connection.rows("least_verified_unread" if unread else "least_verified", **which)
    last = Verified(*found[-1][-2:]) if len(found) == _READ else None
    return [artifact_of(row) for row in found], last


def broken_off(connection: Connection) -> Sequence[ArtifactRow]:
    """Some mirrored artifacts of which a reading was broken off; first the earliest."""
    return [artifact_of(row) for row in connection.rows("broken_off", limit=_READ)]


def listing(
    connection: Connection, after: Place | None, repo: RepoName, run: str | None
) -> tuple[Sequence[ArtifactRow], Place | None]:
    """A batch of one repository's artifacts, newest run first, whole runs at a time."""
    which = {"repo_id": find_repo(connection, repo), **(after or Place())._asdict()}
    statement = "holding_runs" if run is None else "holding_run"
    return of_runs_at(connection, connection.rows(statement, **which, run=run, limit=_READ))


def of_runs_at(
    connection: Connection, runs: Sequence[Row]
) -> tuple[Sequence[ArtifactRow], Place | None]:
    """The artifacts of the first of these runs, a batch; the cursor, or None.

    Of each run: number, id, how many artifacts.
    """
    first = _as_many(runs, _READ)
    rows = _of_runs(connection, [row[1] for row in first])
    return [artifact_of(row) for row in rows], Place(*first[-1][:2]) if first else None


def recent(connection: Connection, repo: RepoName, limit: int) -> Sequence[ExpectedFile]:
    """Up to so many mirrored artifacts of the newest runs."""
    runs = {row[1]: RunKey(repo, row[3]) for row in _newest_runs(connection, repo, limit)}
    found: dict[int, list[ExpectedFile]] = {run_id: [] for run_id in runs}
    for some in chunks(list(runs)):
        for run_id, path, size in connection.rows("recent_files", these=some):
            found[run_id].append(ExpectedFile(runs[run_id], path, size))
    return list(islice(chain.from_iterable(found.values()), limit))


def _newest_runs(connection: Connection, repo: RepoName, enough: int) -> Sequence[Row]:
    """The newest runs that together have so many mirrored artifacts, or all."""
    repo_id, place = find_repo(connection, repo), Place()
    runs: list[Row] = []
    while True:
        which = {"repo_id": repo_id, **place._asdict(), "limit": READ_RUNS}
        some = connection.rows("recent_runs", **which)
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
        found += connection.rows("of_runs", these=some)
    place = {run_id: position for position, run_id in enumerate(ids)}
    found.sort(key=lambda row: (place[row[-2]], row[-1]))
    return found


def missing(connection: Connection, repo: RepoName) -> Sequence[ArtifactRow]:
    """The artifacts of a repository whose file is missing, newest run first."""
    found = connection.rows("missing_ones", repo_id=find_repo(connection, repo))
    return [artifact_of(row) for row in found]


def missing_at(
    connection: Connection, after: At | None, path: str
) -> tuple[Sequence[ArtifactRow], At | None]:
    """Read a batch of artifacts at or below a path without their file."""
    return _by_path(connection, "missing_at", _at(path), after)


def sharing(connection: Connection, key: ArtifactKey) -> Sequence[ArtifactRow]:
    """The other artifacts whose files share their blocks with this one's."""
    run_id = find_run(connection, key.run_key)
    own = connection.row("own_blocks", run_id=run_id, digest=key_digest(key))
    if own is None:
        return []
    found = connection.rows("sharing_ones", id=own[0], owner=own[1])
    return [artifact_of(row) for row in found]


def being_pruned(connection: Connection, repo: RepoName) -> Sequence[ArtifactRow]:
    """What a pruning that was broken off has left."""
    found = connection.rows("being_pruned", repo_id=find_repo(connection, repo))
    return [artifact_of(row) for row in found]


def unwell(connection: Connection, scope: RunScope) -> Sequence[ArtifactRow]:
    """What has failed in runs that are settled for the selection, newest run first."""
    found = connection.rows("unwell_ones", **selected(connection, scope))
    return [artifact_of(row) for row in found]
