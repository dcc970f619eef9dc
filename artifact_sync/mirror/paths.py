"""Checks paths below a mirror's root, and names what is displaced there. Pure."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

from artifact_sync.domain.errors import UnsafePath
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.mirror.names import fold, quoted

Parts = tuple[str, ...]
"""A path's components."""

DISPLACED = "displaced"
ID = "id"
PROBE = "probe"
"""The name of an empty object by which it is tried whether a store honours conditions."""

_NO_NAMES = frozenset({"", ".", ".."})
_STAMP = "%Y%m%dT%H%M%SZ"


def split(path: str) -> Parts:
    """The components of a path for a file of the mirror. ``UnsafePath``.

    The layout has checked it already, but the ledger that it comes from is a file, too.
    """
    parts = tuple(path.split("/"))
    if fold(parts[0]) == OWN_FOLDER or not is_path(parts):
        raise UnsafePath(f"{quoted(path)} is no path for a file of the mirror")
    return parts


def is_path(parts: Parts) -> bool:
    """Whether these components lead down, and to something."""
    return not any(part in _NO_NAMES or "\0" in part for part in parts)


def stamp(at: datetime, number: int) -> str:
    """Name a folder for what is displaced, the n-th of a second."""
    text = at.strftime(_STAMP)
    return f"{text}-{number}" if number > 1 else text


def stamped_at(name: str) -> datetime | None:
    """The time in a ``stamp``; None for any other name."""
    with suppress(ValueError):
        return datetime.strptime(name.partition("-")[0], _STAMP).replace(tzinfo=UTC)
    return None
