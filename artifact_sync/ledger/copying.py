# ruff: noqa: S608 - names of our own tables
"""Copies all rows of a ledger to another one, between any two databases. Blocking.

The target knows that it is not whole until the end: by its mirror's id, which fits no mirror.
"""

from __future__ import annotations

import re
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from artifact_sync.ledger import migrations
from artifact_sync.ledger.unfinished import id_meanwhile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from artifact_sync.ledger.drivers.store import Store
    from artifact_sync.ledger.queries.transaction import Transaction
    from artifact_sync.ledger.sql.connection import Connection, Row

_AT_ONCE = 1_000
"""Rows of a commit."""
_LARGE_AT_ONCE = 50
"""Of a table whose rows are kilobytes."""
_MIRROR = "mirror"
_NO_TYPES = dict.fromkeys(("id", "ref", "text", "bytes"), "")
_TABLE = r"CREATE TABLE (\w+) "
_KEY = r"CONSTRAINT pk_\w+ PRIMARY KEY \(([\w, ]+)\)"
_PLACE = (
    "SELECT pg_postmaster_start_time(), oid, to_regclass('meta')::oid"
    " FROM pg_database WHERE datname = current_database()"
)
_FLAG = r"(?m)^(?:  |ALTER TABLE \w+ ADD COLUMN )(\w+) BOOLEAN\b"


class CopiedTable(Struct, frozen=True):
    """A table and its primary key."""

    name: str
    key: tuple[str, ...]

    @property
    def at_once(self) -> int:
        """Rows of a commit."""
        return _LARGE_AT_ONCE if self.name == "run_records" else _AT_ONCE


@cache
def copied_tables() -> Sequence[CopiedTable]:
    """All tables of a ledger, those that others refer to first."""
    tables = []
    for text in _statements():
        if found := re.match(_TABLE, text):
            key = re.search(_KEY, text)
            tables.append(CopiedTable(found[1], tuple(key[1].split(", ")) if key else ()))
    return tables


@cache
def _flags() -> frozenset[str]:
    """The columns that are true or false, which SQLite keeps as numbers."""
    return frozenset(name for text in _statements() for name in re.findall(_FLAG, text))


@cache
def _statements() -> Sequence[str]:
    versions = migrations.versions()
    return [text for version in versions for text in migrations.migration(version, _NO_TYPES)]


def has_rows(store: Store, table: str) -> bool:
    """Whether there is anything in a table."""
    return store.read(lambda it: _first(it, table) is not None)


def is_empty(store: Store) -> bool:
    """Whether a ledger knows nothing."""
    return store.read(lambda it: all(not _first(it, table.name) for table in copied_tables()))


def place_on_server(store: Store) -> Row:
    """What tells a ledger of PostgreSQL from others, whatever its address."""
    return store.read(lambda it: it.raw.execute(_PLACE).fetchone())


def begin_copy(target: Store, mirror: str) -> None:
    """Note in an empty ledger that this mirror is being moved to it."""
    target.commit([partial(_put_id, value=id_meanwhile(mirror))])


def copy_rows(source: Store, target: Store, told: Callable[[int], None]) -> None:
    """Put all rows of one ledger in the place of another's; see ``begin_copy``.

    ``told`` is called with the number of rows of each batch, and may raise.
    """
    target.commit([_clear])
    for table in copied_tables():
        columns: tuple[str, ...] = ()
        last: Row | None = None
        while True:
            columns, rows = source.read(partial(_following, table=table, last=last))
            if not rows:
                break
            target.commit([partial(_put, table=table, columns=columns, rows=rows)])
            last = tuple(rows[-1][columns.index(name)] for name in table.key)
            told(len(rows))


def end_copy(target: Store, mirror: str, fence: Callable[[], None]) -> None:
    """Make the copy the ledger of the mirror.

    ``fence`` raises where it must not be: called last, just before the commit.
    """
    target.commit([_finish, partial(_put_id, value=mirror), partial(_ask, fence=fence)])


def _ask(tx: Transaction, fence: Callable[[], None]) -> None:
    """Ask it when all else is carried out, which may have waited for another transaction."""
    tx.connection.carry_out()
    fence()


def _first(connection: Connection, table: str) -> Any:
    return connection.raw.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()


def _put_id(tx: Transaction, value: str) -> None:
    tx.connection.write("put_meta", key=_MIRROR, value=value)


def _clear(tx: Transaction) -> None:
    tx.connection.take_time()
    for table in reversed(copied_tables()):
        but = f" WHERE key <> '{_MIRROR}'" if table.name == "meta" else ""
        tx.connection.raw.execute(f"DELETE FROM {table.name}{but}")


def _following(
    connection: Connection, table: CopiedTable, last: Row | None
) -> tuple[tuple[str, ...], list[Row]]:
    """The rows that come next by their key, and their columns."""
    key, mark = ", ".join(table.key), connection.MARK
    after = f"WHERE ({key}) > ({', '.join([mark] * len(table.key))})" if last is not None else ""
    cursor = connection.raw.execute(
        f"SELECT * FROM {table.name} {after} ORDER BY {key} LIMIT {table.at_once}", last or ()
    )
    return tuple(column[0] for column in cursor.description), cursor.fetchall()


def _put(tx: Transaction, table: CopiedTable, columns: Sequence[str], rows: Sequence[Row]) -> None:
    flags = [place for place, name in enumerate(columns) if name in _flags()]
    values = [_with_flags(row, flags) for row in rows]
    if table.name == "meta":
        values = [row for row in values if row[columns.index("key")] != _MIRROR]
    if values:
        tx.connection.put_rows(table.name, columns, values)


def _with_flags(row: Row, flags: Sequence[int]) -> Row:
    values = list(row)
    for place in flags:
        values[place] = None if values[place] is None else bool(values[place])
    return tuple(values)


def _finish(tx: Transaction) -> None:
    """Forget which files share their blocks, as no copy does, and count on behind the rows."""
    tx.connection.take_time()
    raw = tx.connection.raw
    raw.execute("UPDATE artifacts SET shares = NULL WHERE shares IS NOT NULL")
    raw.execute("UPDATE runs SET shared_bytes = 0 WHERE shared_bytes <> 0")
    for table in copied_tables():
        if table.key == ("id",):
            tx.connection.count_on(table.name)
