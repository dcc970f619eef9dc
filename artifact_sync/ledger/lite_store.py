"""The opened ledger on SQLite, by the standard library. Migrations alone need SQLAlchemy."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from artifact_sync.ledger import frozen
from artifact_sync.ledger.faults import translated
from artifact_sync.ledger.files import KEYS, has_log, is_there, make, writing_pragmas
from artifact_sync.ledger.lite import LiteConnection
from artifact_sync.ledger.place import absent
from artifact_sync.ledger.revision import HEAD, VERSION_TABLE
from artifact_sync.ledger.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import Self

    from artifact_sync.ledger.place import Place, Terms
    from artifact_sync.ledger.statement import Connection

_T = TypeVar("_T")

_HURRY = 0.2
"""Seconds that who is in a hurry waits for a lock, in which no signal is heard."""

_COPIED = ("meta", "repositories", "runs", "passes")
"""What a rehearsal writes to. There may be a million artifacts, and it writes none."""


class LiteStore:
    """``Store`` over one connection of ``sqlite3``."""

    def __init__(self, raw: sqlite3.Connection, place: Place, *, rehearsing: bool) -> None:
        self._connection = LiteConnection(raw)
        self._place = place
        self._rehearsing = self._unprepared = rehearsing
        """Writing goes to copies; whether these are not made yet."""

    @classmethod
    def open(cls, place: Place, terms: Terms) -> Self:
        """Open it; see ``opening.open_store``."""
        as_it_is = terms.read_only and place.file is not None
        with translated(place):
            raw = _connect(place, terms)
            try:
                if not _bring_up(raw, place, terms, as_it_is=as_it_is):
                    raw.close()
                    _upgrade(place, terms)
                    raw = _connect(place, terms)
            except BaseException:
                raw.close()
                raise
        return cls(raw, place, rehearsing=as_it_is)

    def commit(self, works: Sequence[Callable[[Transaction], Any]]) -> list[Any]:
        """Do all of these in one transaction, or none; see ``Store``."""
        with translated(self._place), self._transaction(writes=not self._rehearsing):
            if self._unprepared:
                _rehearse(self._connection.raw)
            transaction = Transaction(self._connection)
            told = [work(transaction) for work in works]
            transaction.flush()
        self._unprepared = False
        return told

    def read(self, work: Callable[[Connection], _T]) -> _T:
        """Read from one state of the ledger; see ``Store``."""
        with translated(self._place), self._transaction(writes=False):
            return work(self._connection)

    def close(self) -> None:
        """Close the connection; see ``Store``."""
        with translated(self._place):
            self._connection.raw.close()

    def _transaction(self, *, writes: bool) -> Any:
        return _transaction(self._connection.raw, writes=writes)


@contextmanager
def _transaction(raw: sqlite3.Connection, *, writes: bool) -> Iterator[None]:
    # a reader that turns into a writer would not wait for a lock but fail at once
    raw.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
    try:
        yield
        raw.execute("COMMIT")
    except BaseException:
        if raw.in_transaction:  # a full disk has ended it already
            raw.execute("ROLLBACK")
        raise


def _connect(place: Place, terms: Terms) -> sqlite3.Connection:
    if place.file is None:
        return _opened(":memory:", place, [KEYS])
    if terms.read_only:
        return _reading(place, place.file)
    if terms.create:
        make(place.file)
    elif not is_there(place.file):
        raise absent(place)
    if terms.hurried:
        place = replace(place, patience=_HURRY)
    return _opened(str(place.file), place, writing_pragmas(terms.durability))


def _opened(database: str, place: Place, pragmas: Sequence[str]) -> sqlite3.Connection:
    # transactions are begun by us: the driver's own way leaves out reading and DDL
    raw = sqlite3.connect(
        database, timeout=place.patience, isolation_level=None, uri=database.startswith("file:")
    )
    try:
        for pragma in pragmas:
            raw.execute(pragma).close()
    except BaseException:
        raw.close()
        raise
    return raw


def _reading(place: Place, file: Path) -> sqlite3.Connection:
    """Open without writing; where even SQLite's side files cannot be made, as a file at rest.

    Taking it for a file at rest is right only when nobody writes to it, which no write-ahead log
    beside it tells.
    """
    if not is_there(file):
        raise absent(place)
    plain = file.absolute().as_uri()
    look = ["SELECT count(*) FROM sqlite_master"]
    try:
        return _opened(f"{plain}?mode=ro", place, look)
    except sqlite3.OperationalError:
        if has_log(file):
            raise
        return _opened(f"{plain}?mode=ro&immutable=1", place, look)


def _bring_up(raw: sqlite3.Connection, place: Place, terms: Terms, *, as_it_is: bool) -> bool:
    """Whether the ledger can be used now; else it must be upgraded first."""
    revision = _revision(raw)
    if revision == HEAD:
        return True
    if as_it_is:
        from artifact_sync.ledger.migrate import refuse_unreadable  # noqa: PLC0415 - slow, and rare

        refuse_unreadable(revision, place.name)
    if revision is not None:
        return False
    if not terms.create:
        raise absent(place)
    _make_tables(raw)
    return True


def _revision(raw: sqlite3.Connection) -> str | None:
    """The revision that the ledger is at; None: nothing there yet."""
    query = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
    if not raw.execute(query, [VERSION_TABLE]).fetchone()[0]:
        return None
    found = raw.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()  # noqa: S608 - ours
    return found[0] if found else None


def _make_tables(raw: sqlite3.Connection) -> None:
    """Make a ledger where there is none, at ``HEAD``; what the migrations lead to."""
    with _transaction(raw, writes=True):
        if _revision(raw) is not None:
            return  # another process has been quicker
        for parts in frozen.TABLES.values():
            for part in parts:
                raw.execute(part)
        raw.execute(f"INSERT INTO {VERSION_TABLE} VALUES (?)", [HEAD])  # noqa: S608 - ours


def _upgrade(place: Place, terms: Terms) -> None:
    """Bring an older ledger's schema to ``HEAD``. ``LedgerTooNew``."""
    from artifact_sync.ledger.alchemy_store import upgrade_file  # noqa: PLC0415 - slow, and rare

    upgrade_file(place, terms)


def _rehearse(raw: sqlite3.Connection) -> None:
    """From here on writing goes to copies, which are found before the ledger's own tables."""
    for table in _COPIED:
        create, *indexes = frozen.TABLES[table]
        raw.execute(create.replace("CREATE TABLE", "CREATE TEMPORARY TABLE", 1))
        raw.execute(f"INSERT INTO temp.{table} SELECT * FROM main.{table}")  # noqa: S608 - ours
        for index in indexes:
            raw.execute(index)
