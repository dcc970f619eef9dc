"""Sums up what mirrored files take, the largest part first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from artifact_sync.domain.globs import plain_path
from artifact_sync.domain.usage import UsageBy, UsagePart
from artifact_sync.ledger.queries.runs import all_repositories
from artifact_sync.ledger.queries.transaction import find_repos

if TYPE_CHECKING:
    from collections.abc import Sequence

    from artifact_sync.domain.model import RepoName
    from artifact_sync.ledger.sql.connection import Connection, Row

_READ = 10_000
"""Parts that are read at a time. Each time all is summed up again."""
_MOST = 2**63 - 1
"""No part has so many bytes."""
_STATEMENTS = {
    UsageBy.REPO: ("used_by_repositories", "id"),
    UsageBy.RUN: ("used_by_runs", "id"),
    UsageBy.WORKFLOW: ("used_by_workflows", "workflow"),
    UsageBy.PATH: ("used_by_paths", "local_path"),
}
"""The statement, and what tells parts of one size apart."""

_NARROWED = {
    "used_by_workflows": "used_by_workflows_of",
    "used_by_paths": "used_by_paths_of",
}
"""Where only some repositories are asked for."""

Place = tuple[int, Any]


def used(
    connection: Connection, after: Place | None, repos: Sequence[RepoName], by: UsageBy
) -> tuple[Sequence[UsagePart], Place | None]:
    """Read a batch of parts, the largest first; the cursor, or None."""
    statement, key = _STATEMENTS[by]
    size, last = after or (_MOST, 0 if key == "id" else "")
    which: dict[str, Any] = {"bytes": size, key: last}
    if statement not in _NARROWED:
        which["these"] = find_repos(connection, repos)
    elif not set(all_repositories(connection)) <= set(repos):
        statement = _NARROWED[statement]
        which["these"] = find_repos(connection, repos)
    found = connection.rows(statement, **which, limit=_READ)
    parts = [_part(row, by) for row in found]
    if len(found) < _READ:
        return parts, None
    return parts, (parts[-1].bytes, found[-1][-1 if key == "id" else 0])


def _part(row: Row, by: UsageBy) -> UsagePart:
    match by:
        case UsageBy.REPO:
            org, repo, *numbers, _ = row
            name = f"{org}/{repo}"
        case UsageBy.RUN:
            org, repo, run, *numbers, _ = row
            name = f"{org}/{repo}@{run}"
        case UsageBy.WORKFLOW:
            name, *numbers = row
        case UsageBy.PATH:
            path, *numbers = row
            name = plain_path(path)
    return UsagePart(name, *map(int, numbers))


def bytes_in_shared_blocks(connection: Connection, repos: Sequence[RepoName]) -> int:
    """What these repositories' files would take more if they shared no blocks."""
    return int(connection.value("shared_bytes", these=find_repos(connection, repos)) or 0)
