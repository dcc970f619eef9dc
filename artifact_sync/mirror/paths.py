"""Checks a mirror's paths and its id, and names what is displaced. Pure."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime

from artifact_sync.domain.errors import DiskError, UnsafePath
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.mirror.names import fold, quoted

Parts = tuple[str, ...]
"""A path's components."""

DISPLACED = "displaced"
ID = "id"
PROBE = "probe"
"""The name of an empty object by which it is tried whether a store honours conditions."""

_NO_NAMES = frozenset({"", ".", ".."})
_ID_FORM = r"[0-9a-f]{32}"
_STAMP = "%Y%m%dT%H%M%SZ"


def id_in(content: bytes | None, place: str) -> str | None:
    """Read a mirror's id from what is kept of it at a place.

    None where nothing is. Empty when that is: by that a user says that this is the ledger's mirror.
    ``DiskError`` for any text that is no id.
    """
    text = content.decode("ascii", "replace").strip() if content is not None else None
    if text and not re.fullmatch(_ID_FORM, text):
        raise DiskError(
            f"{place} holds no mirror's id: put it back from a backup, or empty it if the ledger is"
            " this mirror's"
        )
    return text


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
