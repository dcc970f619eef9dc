"""SQLite's files and how a connection to them is set up. Which library opens them is elsewhere.

https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from artifact_sync.domain.settings import Durability

KEYS = "PRAGMA foreign_keys = ON"


def is_there(file: Path) -> bool:
    """Whether there is more than the empty file that a broken-off start leaves."""
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:
        return False


def has_log(file: Path) -> bool:
    """Whether a write-ahead log lies beside it, with what is not merged yet."""
    return is_there(file.with_name(file.name + "-wal"))


def make(file: Path) -> None:
    """Make an empty file that only its owner may read; its side files take its rights over."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_CREAT | os.O_RDWR | getattr(os, "O_CLOEXEC", 0)
    os.close(os.open(file, flags, 0o600))


def writing_pragmas(durability: Durability) -> list[str]:
    """What a connection is told that will write."""
    synchronous = {"full": "FULL", "fast": "NORMAL"}[durability]
    return [
        "PRAGMA journal_mode = WAL",
        f"PRAGMA synchronous = {synchronous}",
        KEYS,
        "PRAGMA journal_size_limit = 67108864",  # a burst's log does not stay that long for ever
    ]
