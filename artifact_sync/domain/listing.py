"""What a listing of artifacts is narrowed to, its order, and what is found."""

from __future__ import annotations

# Not for the checkers alone: whoever asks a ``Struct`` for its signature needs these names.
# ruff: noqa: TC003
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from artifact_sync.domain.model import RunKey, State

NEWEST = ("latest", "latest-success")
"""Names for a repository's newest complete run: of any status, and of a success."""


class SortKey(StrEnum):
    """What a listing is sorted by."""

    PATH = "path"
    """By name; what has no path comes last."""
    SIZE = "size"
    """The largest first."""
    AGE = "age"
    """What was mirrored, or first seen, last comes first."""
    RUN = "run"
    """The run that was created last comes first, over all repositories."""
    STATE = "state"
    """Failures first, then what is outstanding, then what is here, then the rest."""
    VERIFIED = "verified"
    """What was verified longest ago comes first."""

    @property
    def is_falling(self) -> bool:
        """Whether the greatest comes first."""
        return self in {SortKey.SIZE, SortKey.AGE, SortKey.RUN}


class ArtifactFilter(Struct, frozen=True, kw_only=True):
    """What artifacts must be like to be listed."""

    runs: frozenset[RunKey] | None = None
    """Of these runs; None: of any."""
    states: frozenset[State] = frozenset(State)
    """In one of these states."""
    since: datetime | None = None
    """Of runs created at or after this, or at an unknown time."""
    sha256: str = ""
    """Recorded with a SHA-256 that begins like this, in lower case; empty: with any or none."""
    sort: SortKey | None = None
    """None: by repository; of each, the newest runs first."""
    reverse: bool = False
    """The other way round."""

    @property
    def is_plain(self) -> bool:
        """Whether whole repositories are listed in the usual order."""
        return self.runs is None and self.sort is None and not (self.sha256 or self.reverse)


class FailedTry(NamedTuple):
    """A pass that has failed with an artifact."""

    at: datetime
    reason: str
    """As ``Reason`` has it."""
    message: str
