"""Values about which runs stay: counts, pins, plans, the last listing."""

from __future__ import annotations

# Not for the checkers alone: whoever asks a ``Struct`` for its signature needs these names.
# ruff: noqa: TC001, TC003
from datetime import datetime
from typing import Literal, NamedTuple

from msgspec import Struct

from artifact_sync.domain.model import RunKey


class KeptRun(NamedTuple):
    """A run of which files are on record, as the ledger counts it."""

    run: str
    number: int
    """Below zero: the slug is none."""
    created_at: datetime | None
    status: str
    bytes: int
    """Of its files that are here."""
    outstanding: int
    """Its artifacts that are on their way, and that upstream may still have; no failed ones."""
    pinned: bool


class Pin(Struct, frozen=True):
    """A run that is never pruned."""

    run: RunKey
    reason: str
    pinned_at: datetime


class ListingVerdict(Struct, frozen=True):
    """What the last reading of a repository's list of runs came to."""

    at: datetime
    flaw: str
    """Why nothing follows from it; empty: it was complete and plausible."""


class PlannedRun(Struct):
    """A run, what becomes of it, and why."""

    run: str
    created_at: datetime | None
    action: Literal["keep", "prune"]
    why: list[str]
    bytes: int
