"""Translates errors of databases, without statements or values."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from artifact_sync.domain.disk_errors import disk_error
from artifact_sync.domain.errors import ArtifactSyncError, DiskError, NoSpace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from artifact_sync.ledger.drivers.location import Location

_ROOM = 1 << 20
"""Bytes free below which a vague error of SQLite is taken for a full disk."""

_UNUSABLE = "or move it aside: artifact-sync adopt makes a new one from the files"
_LOOK = "check the disk and its quota, and who may write to it and to its folder"
_SQLITE_WORDS = {
    sqlite3.SQLITE_BUSY: "is locked by another process: wait for it to end, or stop it",
    sqlite3.SQLITE_LOCKED: "is locked by another process: wait for it to end, or stop it",
    sqlite3.SQLITE_READONLY: "cannot be written: is its folder read-only, or somebody else's?",
    sqlite3.SQLITE_IOERR: "cannot be read or written: check the disk, its quota, the system's log",
    sqlite3.SQLITE_CANTOPEN: f"cannot be opened: {_LOOK}",
    sqlite3.SQLITE_PERM: f"cannot be opened: {_LOOK}",
    sqlite3.SQLITE_CORRUPT: f"is damaged: restore it, {_UNUSABLE}",
    sqlite3.SQLITE_NOTADB: f"is not a ledger but some other file: name another one, {_UNUSABLE}",
}
_VAGUE = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})
"""What SQLite also answers when there is no room for its side files."""
_OF_THE_SYSTEM = frozenset(
    getattr(errno, name, errno.EIO)
    for name in ("EIO", "EROFS", "ENOSPC", "EDQUOT", "EMFILE", "ENFILE")
)
"""What SQLite tells as a file that cannot be opened or written."""


@contextmanager
def translated(place: Location) -> Iterator[None]:
    """Let nothing of SQLite's or of the system's out of here."""
    try:
        yield
    except sqlite3.Error as error:
        raise _sqlite(error, place) from error
    except OSError as error:
        raise _system(error, place) from error


def _sqlite(error: sqlite3.Error, place: Location) -> ArtifactSyncError:
    """By SQLite's result code; the low byte is the kind (sqlite.org/rescode.html)."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL or (code in _VAGUE and _crowded(place)):
        return no_space(place)
    if code in _SQLITE_WORDS and (refused := _refused(place)) is not None:
        return _system(refused, place)
    if words := _SQLITE_WORDS.get(code):
        return DiskError(f"the ledger {place.name} {words}")
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return ArtifactSyncError(f"the ledger {place.name} refused a statement ({name}): report it")


def _crowded(place: Location) -> bool:
    from shutil import disk_usage  # noqa: PLC0415 - only for this question

    try:
        usage = disk_usage(place.file.parent) if place.file is not None else None
    except OSError:
        return False
    return usage is not None and usage.total > 0 and usage.free < _ROOM


def _refused(place: Location) -> OSError | None:
    """What the disk says to a write beside the ledger: SQLite keeps the reason to itself."""
    if place.file is None:
        return None
    from tempfile import TemporaryFile  # noqa: PLC0415 - only for this question

    try:
        with TemporaryFile(dir=place.file.parent, buffering=0) as probe:
            probe.write(bytes(4096))
    except OSError as error:
        return error if error.errno in _OF_THE_SYSTEM else None
    return None


def _system(error: OSError, place: Location) -> DiskError:
    if error.errno in _OF_THE_SYSTEM:
        return disk_error(error, f"the ledger {place.name}")
    return DiskError(
        f"the ledger {place.name} cannot be opened: {error.strerror or error}: {_LOOK}"
    )


def no_space(place: Location) -> NoSpace:
    """There is no room for it."""
    return NoSpace(f"no space left for the ledger {place.name}: make room and run it again")
