"""Parses ``ledger.url`` or a path; the only parser of either."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.domain.errors import UsageError
from artifact_sync.domain.model import Redacted

if TYPE_CHECKING:
    from artifact_sync.domain.settings import Durability

_SQLITE = r"(?s)sqlite(?:\+pysqlite)?:///([^?]+)(?:\?(.*))?"
_IN_MEMORY = r"sqlite(?:\+pysqlite)?://(?:/(?::memory:)?)?"
_TIMEOUT = r"timeout=([0-9]+(?:\.[0-9]*)?)"
_HOST = r"(?:\[[0-9A-Fa-f:.%]+\]|[^@:/?#,\[\]]*)(?::[0-9]*)?"
_POSTGRESQL = (
    r"(?s)postgres(?:ql)?(?:\+\w+)?://"
    rf"((?:[^@/?#]*@)?({_HOST}(?:,{_HOST})*)(?:/([^@/?#]*))?(?:\?.*)?)"
)

PATIENCE = 10.0
"""Seconds that SQLite waits for another process's lock, unless the URL has a ``timeout``."""


class OpenTerms(Struct, frozen=True):
    """How a ledger is to be opened."""

    durability: Durability
    create: bool = True
    read_only: bool = False


class Location(Redacted, frozen=True):
    """Where a ledger is."""

    SHOWN = ("name",)

    name: str
    """For people, without secrets."""
    file: Path | None = None
    """SQLite's file; None: in memory, or on a server."""
    patience: float = PATIENCE
    server: str = ""
    """PostgreSQL's URL, as libpq reads it; it may hold a password."""

    def exists(self) -> bool:
        """Whether the file exists; always true of a server. ``OSError``."""
        return self.file is None or self.file.is_file()

    def is_below(self, folder: Path) -> bool:
        """Whether it is a file somewhere in this folder."""
        return self.file is not None and self.file.resolve().is_relative_to(folder.resolve())


def location(url: str | Path) -> Location:
    """Parse a URL or a path. ``UsageError``, without any of the URL."""
    if isinstance(url, Path):
        return Location(str(url), url)
    if re.fullmatch(_IN_MEMORY, url):
        return Location("in memory")
    if found := re.fullmatch(_SQLITE, url):
        return _sqlite(found[1], found[2] or "")
    if found := re.fullmatch(_POSTGRESQL, url):
        name = f"{found[3] or 'of its user'} at {found[2] or 'this machine'}"
        return Location(name, server=f"postgresql://{found[1]}")
    raise UsageError(
        "ledger.url must be sqlite:///FILE or postgresql://HOST/DATABASE"
        " (in a password, write @ as %40, / as %2F, ? as %3F)"
    )


def _sqlite(file: str, options: str) -> Location:
    if file.startswith("file:"):
        raise UsageError("ledger.url must name a plain file: write sqlite:///FILE")
    found = re.fullmatch(_TIMEOUT, options)
    if options and found is None:
        raise UsageError("ledger.url of SQLite takes no option but timeout: ?timeout=SECONDS")
    return Location(file, Path(file), float(found[1]) if found else PATIENCE)


def absent(place: Location) -> UsageError:
    """There is no ledger to be read."""
    return UsageError(f"there is no ledger at {place.name} yet: run artifact-sync sync first")
