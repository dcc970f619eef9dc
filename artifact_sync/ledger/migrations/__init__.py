"""Migrations: numbered SQL files, each from one version to the next.

A driver carries them out, under a lock and each in a transaction of its own.
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from artifact_sync.domain.errors import LedgerTooNew

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from artifact_sync.ledger.sql.connection import Connection

_VERSION_TABLE = "artifact_sync_version"
"""Holds one row with the version, ``version_num``; made by Alembic in ledgers of old."""

MAKE_VERSION_TABLE = (
    f"CREATE TABLE {_VERSION_TABLE} (version_num VARCHAR(32) NOT NULL,"
    f" CONSTRAINT {_VERSION_TABLE}_pkc PRIMARY KEY (version_num))"
)

SMALL_TABLES = ("meta", "repositories", "passes", "runs", "forget_rules")
"""What a dry run writes to, in copies. There may be a million artifacts, and it writes none."""

_COMMENT = r"(?m)^--.*\n"
_ADDED = r"ALTER TABLE artifacts ADD COLUMN (\w+) [\w()]+(?: NOT NULL DEFAULT (\S+))?"


@cache
def versions() -> Sequence[str]:
    """All versions that this program knows, in order."""
    names = os.listdir(Path(__file__).parent)  # noqa: PTH208 - quick, at every start
    return sorted(name[:4] for name in names if name.endswith(".sql"))


def head() -> str:
    """The version that this program works with."""
    return versions()[-1]


def pending(version: str | None) -> Sequence[str]:
    """The versions that a ledger of this version, or none, must go through. ``LedgerTooNew``."""
    if version is None:
        return versions()
    if version not in versions():
        raise LedgerTooNew(version, head())
    return versions()[versions().index(version) + 1 :]


def migration(version: str, types: Mapping[str, str]) -> Sequence[str]:
    """The statements that lead to a version, with a database's own names of types."""
    (file,) = Path(__file__).parent.glob(f"{version}_*.sql")
    sql = re.sub(_COMMENT, "", file.read_text("utf-8")).format(**types)
    return [part.strip() for part in sql.split(";\n") if part.strip()]


def version(connection: Connection) -> str | None:
    """The version that a ledger is at; None: nothing there yet."""
    if not connection.has_table(_VERSION_TABLE):
        return None
    found: str | None = connection.value("version")
    return found


def advance(connection: Connection, types: Mapping[str, str]) -> None:
    """Go one version further, unless another process has been quicker. ``LedgerTooNew``.

    To be called under the database's lock, in a transaction.
    """
    found = version(connection)
    following = pending(found)
    if following:
        if found is None:
            connection.run(MAKE_VERSION_TABLE)
        for sql in migration(following[0], types):
            connection.run(sql)
        connection.write("forget_version")
        connection.write("put_version", version=following[0])


def stand_in(schema: str, held: Collection[str], types: Mapping[str, str]) -> str:
    """SQL of a view that stands for an older ledger's artifacts; empty: not needed."""
    every = [text for version in versions() for text in migration(version, types)]
    added = [match.groups() for text in every if (match := re.fullmatch(_ADDED, text))]
    missing = [f"{default or 'NULL'} AS {name}" for name, default in added if name not in held]
    if not missing:
        return ""
    columns = ", ".join(missing)
    return f"CREATE TEMPORARY VIEW artifacts AS SELECT *, {columns} FROM {schema}.artifacts"  # noqa: S608 - ours


def copies(types: Mapping[str, str]) -> Sequence[str]:
    """SQL of empty temporary tables like the small ones of the newest version."""
    every = [text for version in versions() for text in migration(version, types)]
    small = rf"(?:CREATE TABLE|ALTER TABLE|CREATE INDEX \w+ ON) (?:{'|'.join(SMALL_TABLES)})\b"
    return [
        text.replace("CREATE TABLE", "CREATE TEMPORARY TABLE", 1)
        for text in every
        if re.match(small, text)
    ]
