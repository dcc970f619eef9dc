"""Reading the artifacts that a filter fits, in any order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from artifact_sync.domain.listing import FailedTry
from artifact_sync.domain.model import State
from artifact_sync.ledger.queries.artifact_reads import artifact_of, of_runs_at
from artifact_sync.ledger.queries.keys import key_digest
from artifact_sync.ledger.queries.runs import Place
from artifact_sync.ledger.queries.transaction import chunks, find_repo, find_repos, find_run
from artifact_sync.ledger.sql.encoding import EVER, NEVER

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Sequence

    from artifact_sync.domain.listing import ArtifactFilter
    from artifact_sync.domain.model import ArtifactKey, ArtifactRow, RepoName
    from artifact_sync.ledger.sql.connection import Connection

_READ = 500
"""Artifacts that are read at a time."""
_LISTED = "listed"
_BEHIND_HEX = "g"
"""Comes after every digit."""


def fitting(
    connection: Connection, after: Place | None, repo: RepoName, wanted: ArtifactFilter
) -> tuple[Sequence[ArtifactRow], Place | None]:
    """A batch of one repository's artifacts, newest run first, whole runs at a time.

    Runs without an artifact in these states cost a look at their row.
    """
    which = {**_terms(wanted), "repo_id": find_repo(connection, repo)}
    runs = connection.rows("choosing_runs", **which, **(after or Place())._asdict(), limit=_READ)
    rows, last = of_runs_at(connection, runs)
    return [row for row in rows if row.state in wanted.states], last


def sorted_ids(
    connection: Connection, repos: Sequence[RepoName], wanted: ArtifactFilter
) -> array[int]:
    """The rows of all artifacts that fit, in order: eight bytes of memory each."""
    low, high = wanted.sha256, wanted.sha256 + _BEHIND_HEX
    order = {"sort": wanted.sort.value if wanted.sort is not None else _LISTED}
    terms = {**_terms(wanted), **order, "low": low, "high": high}
    if wanted.runs is None:
        these = find_repos(connection, repos)
        name = "hashed_of_repositories" if wanted.sha256 else "sorted_of_repositories"
    else:
        these = _known(find_run(connection, it) for it in wanted.runs)
        name = "hashed_of_runs" if wanted.sha256 else "sorted_of_runs"
    found = connection.ids(name, **terms, these=these)
    falls = wanted.sort is not None and wanted.sort.is_falling
    if falls is not wanted.reverse:
        found.reverse()
    return found


def of_ids(connection: Connection, ids: Sequence[int]) -> Sequence[ArtifactRow]:
    """These artifacts in this order, those that are still there."""
    found = [row for some in chunks(ids) for row in connection.rows("of_ids", these=list(some))]
    place = {number: position for position, number in enumerate(ids)}
    found.sort(key=lambda row: place[row[-1]])
    return [artifact_of(row) for row in found]


def at_path(connection: Connection, path: str) -> Sequence[ArtifactRow]:
    """The artifacts of any state that have this very path, or had it."""
    return [artifact_of(row) for row in connection.rows("at_path", path=path)]


def failed_tries(connection: Connection, key: ArtifactKey) -> Sequence[FailedTry]:
    """The last failed tries of an artifact, the oldest first."""
    if not connection.has_table("tries"):  # an older ledger, which may only be read
        return []
    which = {"run_id": find_run(connection, key.run_key), "digest": key_digest(key)}
    return [FailedTry(*row) for row in connection.rows("tries", **which)]


def _known(ids: Iterable[int | None]) -> list[int]:
    """Those that there are; never none, which no statement takes."""
    return [it for it in ids if it is not None] or [0]


def _terms(wanted: ArtifactFilter) -> dict[str, Any]:
    """What the statements are given of a filter."""
    counts = {state.value: int(state in wanted.states) for state in State}
    since = wanted.since if wanted.since is not None else EVER
    return {**counts, "since": since, "until": NEVER}
