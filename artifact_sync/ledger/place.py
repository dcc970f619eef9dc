"""Where a ledger is, and how it is to be opened: from a URL or a path to values. Opens nothing.

What the standard library can open is told here; any other URL is understood by ``connect``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.domain.errors import UsageError

if TYPE_CHECKING:
    from artifact_sync.domain.settings import Durability

_PLAIN = r"sqlite:///(?!file:|:memory:)([^?]+)(?:\?timeout=([0-9.]+))?"
PATIENCE = 10.0
"""Seconds that SQLite waits for another process's lock, unless the URL has a ``timeout``."""


class Terms(Struct, frozen=True):
    """How a ledger is to be opened."""

    durability: Durability
    create: bool = True
    read_only: bool = False
    hurried: bool = False
    """Whoever meets another process's lock would rather know at once than wait."""


class Place(Struct, frozen=True):
    """Where a ledger is."""

    name: str
    """For people, without secrets."""
    file: Path | None = None
    """SQLite's file; None: in memory, or on a server."""
    patience: float = PATIENCE


def plain_place(url: str | Path) -> Place | None:
    """An SQLite file, or one in memory, that needs nothing but the standard library; else None."""
    if isinstance(url, Path):
        return Place(str(url), url)
    if url == "sqlite://":
        return Place("in memory")
    found = re.fullmatch(_PLAIN, url)
    if found is None:
        return None
    return Place(found[1], Path(found[1]), float(found[2] or PATIENCE))


def place_of(url: str | Path) -> Place:
    """Where a URL or a path leads. ``UsageError`` when it is none."""
    plain = plain_place(url)
    if plain is not None:
        return plain
    from artifact_sync.ledger.connect import locate  # noqa: PLC0415 - SQLAlchemy is slow to import

    return locate(str(url))[1]


def absent(place: Place) -> UsageError:
    """There is no ledger to be read."""
    return UsageError(f"there is no ledger at {place.name} yet: run artifact-sync sync first")
