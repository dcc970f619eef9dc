"""Tells what keeps a run from being complete. Pure.

An artifact does that is not here. A log that never came does not: the service need not give it, and
the artifacts have their manifests without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.domain.model import AT_REST, State

if TYPE_CHECKING:
    from artifact_sync.domain.model import ArtifactKey, ArtifactRow

_NEVER_THERE = frozenset({State.PENDING, State.REFUSED}) | AT_REST


def holds_back(key: ArtifactKey, row: ArtifactRow | None) -> bool:
    """Whether its run is incomplete while an artifact or a log cannot be had."""
    return not key.is_log or (row is not None and row.on_record)


def is_lacking(row: ArtifactRow) -> bool:
    """Whether an artifact that never came keeps its run incomplete."""
    due = not row.on_record and row.state not in _NEVER_THERE
    return due and holds_back(row.key, row)
