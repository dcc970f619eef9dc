"""What mirrored files take, by what they belong to."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class UsageBy(StrEnum):
    """What the parts of a sum are."""

    REPO = "repo"
    RUN = "run"
    WORKFLOW = "workflow"
    PATH = "path"
    """The path in CI, over all runs."""


class UsagePart(NamedTuple):
    """What the mirrored files of one repository, run, workflow or path take."""

    name: str
    """``org/repo``, ``org/repo@run``, a workflow's slug, or a path in CI; empty: logs of cubes."""
    bytes: int
    files: int
    runs: int
    """Runs that have one of these files."""
