"""The driver for SQLite, by the standard library.

https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html, https://www.sqlite.org/uri.html
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from artifact_sync.ledger import migrations
from artifact_sync.ledger.drivers.errors import translated
from artifact_sync.ledger.drivers.location import absent
from artifact_sync.ledger.queries.transaction import carry_out
from artifact_sync.ledger.sql import bound
from artifact_sync.ledger.sql.connection import Connection
from artifact_sync.ledger.sql.encoding import stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Self

    from artifact_sync.domain.settings import Durability
    from artifact_sync.ledger.drivers.location import Location, OpenTerms
    from artifact_sync.ledger.queries.transaction import Transaction

_T = TypeVar("_T")

TYPES = {"id": "INTEGER", "ref": "INTEGER", "text": "TEXT", "bytes": "BLOB"}
"""Of migrations. SQLite numbers rows by itself only where the type is spelt INTEGER."""

_KEYS = "PRAGMA foreign_keys = ON"
_LOOK = "SELECT count(*) FROM sqlite_master"
_WORTH_COMPACTING = 4 * 2**20
"""Bytes that must be free in the file, before it is written anew."""
_SIZES = (1, 10, 50, 200, 500)
"""How long lists of values are made, by repeats, so that few statements differ."""


class SqliteConnection(Connection):
    """Over a connection of ``sqlite3``."""

    MARK = "?"
    FIND_TABLE = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"

    def insert(self, name: str, **values: Any) -> int:
        """Insert a row; see ``Connection``."""
        made = self._execute(name, values)
        return (made.lastrowid or 0) if made.rowcount else 0

    def take_time(self) -> None:
        """Do nothing: statements have no limit; see ``Connection``."""

    def check_version(self) -> None:
        """Do nothing: no other process has the mirror; see ``Connection``."""

    def _filled(self, name: str, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
        sql, names = bound(name, self.MARK)
        given = stored([values[it] for it in names])
        if "these" in values:
            place = names.index("these")
            these = given[place]
            count = next((size for size in _SIZES if size >= len(these)), len(these))
            given[place : place + 1] = these + these[:1] * (count - len(these))
            sql = sql.replace("IN (?)", f"IN ({','.join('?' * count)})")
        return sql, given


class SqliteStore:
    """``store.Store`` over one connection of ``sqlite3``."""

    def __init__(self, raw: sqlite3.Connection, place: Location, *, rehearsing: bool) -> None:
        self._connection = SqliteConnection(raw)
        self._place = place
        self._rehearsing = self._unprepared = rehearsing
        """Writing goes to copies; whether these are not made yet."""

    @classmethod
    def open(cls, place: Location, terms: OpenTerms) -> Self:
        """Open it; see ``open.open_store``."""
        rehearsing = terms.read_only and place.file is not None
        with translated(place):
            raw = _connect(place, terms)
            try:
                store = cls(raw, place, rehearsing=rehearsing)
                store._bring_up(terms)
            except BaseException:
                raw.close()
                raise
        return store

    def commit(self, works: Sequence[Callable[[Transaction], Any]]) -> list[Any]:
        """Do all of these in one transaction, or none; see ``Store``."""
        with translated(self._place), self._transaction(writes=not self._rehearsing):
            if self._unprepared:
                _rehearse(self._connection.raw)
            results = carry_out(self._connection, works)
        self._unprepared = False
        return results

    def read(self, work: Callable[[Connection], _T], more: Callable[[], bool] | None = None) -> _T:
        """Read from one state of the ledger; see ``Store``."""
        _ = more
        with translated(self._place), self._transaction(writes=False):
            return work(self._connection)

    def compact(self) -> None:
        """Write the file anew where a quarter of it is free; see ``Store``."""
        raw = self._connection.raw
        with translated(self._place):
            names = ("page_size", "page_count", "freelist_count")
            size, pages, free = (raw.execute(f"PRAGMA {it}").fetchone()[0] for it in names)
            if self._rehearsing:
                return
            if free * size >= _WORTH_COMPACTING and free * 4 >= pages:
                raw.execute("VACUUM")
            self._end_log()

    def _end_log(self) -> None:
        """Bring the log, into which all of the file may have gone, back into it.

        Not while somebody reads, who would be waited for: then the next time does.
        """
        raw = self._connection.raw
        (patience,) = raw.execute("PRAGMA busy_timeout").fetchone()
        raw.execute("PRAGMA busy_timeout = 0").close()
        try:
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
        finally:
            raw.execute(f"PRAGMA busy_timeout = {patience}").close()

    def close(self) -> None:
        """Close the connection; see ``Store``."""
        with translated(self._place):
            self._connection.raw.close()

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[None]:
        raw = self._connection.raw
        # a reader that turns into a writer would not wait for a lock but fail at once
        raw.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
        try:
            yield
            raw.execute("COMMIT")
        except BaseException:
            if raw.in_transaction:  # a full disk has ended it already
                raw.execute("ROLLBACK")
            raise

    def _bring_up(self, terms: OpenTerms) -> None:
        """Make the ledger, or migrate it, where that is due; else see that it can be used."""
        version = migrations.version(self._connection)
        pending = migrations.pending(version)
        if version is None and (self._rehearsing or not terms.create):
            raise absent(self._place)
        if pending and self._rehearsing:
            self.commit([])  # an older ledger is left as it is: copies stand in for its tables
            return
        for _ in pending:
            with self._transaction(writes=True):
                migrations.advance(self._connection, TYPES)


def _connect(place: Location, terms: OpenTerms) -> sqlite3.Connection:
    if place.file is None:
        return _opened(":memory:", place.patience, [_KEYS])
    if terms.read_only:
        return _reading(place, place.file)
    if terms.create:
        _make(place.file)
    elif not _is_there(place.file):
        raise absent(place)
    return _opened(str(place.file), place.patience, _writing(terms.durability))


def _opened(database: str, patience: float, first: Sequence[str]) -> sqlite3.Connection:
    # transactions are begun by us: the driver's own way leaves out reading and DDL
    raw = sqlite3.connect(
        database, timeout=patience, isolation_level=None, uri=database.startswith("file:")
    )
    try:
        for sql in first:
            raw.execute(sql).close()
    except BaseException:
        raw.close()
        raise
    return raw


def _reading(place: Location, file: Path) -> sqlite3.Connection:
    """Open without writing; where even SQLite's side files cannot be made, as a file at rest.

    Taking it for a file at rest is right only when nobody writes to it, which no write-ahead log
    beside it tells.
    """
    if not _is_there(file):
        raise absent(place)
    plain = file.absolute().as_uri()
    try:
        return _opened(f"{plain}?mode=ro", place.patience, [_LOOK])
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_CANTOPEN:
            os.close(os.open(file, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)))  # tells the reason
        if _is_there(file.with_name(f"{file.name}-wal")):
            raise
        return _opened(f"{plain}?mode=ro&immutable=1", place.patience, [_LOOK])


def _is_there(file: Path) -> bool:
    """Whether there is more than the empty file that a broken-off start leaves."""
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:
        return False


def _make(file: Path) -> None:
    """Make an empty file that only its owner may read; its side files take its rights over."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_CREAT | os.O_RDWR | getattr(os, "O_CLOEXEC", 0)
    os.close(os.open(file, flags, 0o600))


def _writing(durability: Durability) -> list[str]:
    synchronous = {"full": "FULL", "fast": "NORMAL"}[durability]
    return [
        "PRAGMA journal_mode = WAL",
        f"PRAGMA synchronous = {synchronous}",
        _KEYS,
        "PRAGMA journal_size_limit = 67108864",  # a burst's log does not stay that long for ever
    ]


def _rehearse(raw: sqlite3.Connection) -> None:
    """From here on writing goes to copies, which are found before the ledger's own tables."""
    for sql in migrations.copies(TYPES):
        raw.execute(sql)
    if view := migrations.stand_in("main", _columns(raw, "artifacts"), TYPES):
        raw.execute(view)
    for table in migrations.SMALL_TABLES:
        columns = ", ".join(_columns(raw, table))
        if columns:  # an older ledger lacks some
            raw.execute(f"INSERT INTO temp.{table} ({columns}) SELECT {columns} FROM main.{table}")  # noqa: S608 - ours


def _columns(raw: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in raw.execute(f"PRAGMA main.table_info({table})")]
