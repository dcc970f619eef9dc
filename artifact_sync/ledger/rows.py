"""From rows of the tables to values of the model. Which rows is ``runs``' and ``readings``'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.domain.model import (
    ArtifactKey,
    ArtifactRow,
    RepoName,
    RunKey,
    RunRow,
    State,
    Strength,
)

if TYPE_CHECKING:
    from artifact_sync.ledger.statement import Row

_STATES = {state.value: state for state in State}
_STRENGTHS = {strength.value: strength for strength in Strength}

_RUN = 14
_ARTIFACT = 21
"""Columns that make a value; what stands behind them is for whoever asked."""


def run_row(row: Row) -> RunRow:
    """A run."""
    org, repo, run, *rest = row[:_RUN]
    return RunRow(RunKey(RepoName(org, repo), run), *rest)


def artifact_row(row: Row) -> ArtifactRow:
    """An artifact."""
    path, size, sha256, strength, *rest = row[8:_ARTIFACT]
    return ArtifactRow(
        ArtifactKey(*row[:7]), _STATES[row[7]], path, size, sha256, _STRENGTHS[strength], *rest
    )
