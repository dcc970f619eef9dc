# ruff: noqa: S608 - names of our own tables
"""The driver for PostgreSQL, by psycopg 3.

Works through a pooler in transaction mode, such as PgBouncer: nothing is set, prepared or made for
a session, only for a transaction. Each answer that is waited for costs more than most statements:
so values are put into the statements here, and a change is kept back until it can be sent in one
message with the next statement whose answer is needed. (Pipeline mode would do the same, but behind
PgBouncer 1.18 a transaction was now and then waited for in vain.) A lost connection is made anew,
and the transaction repeated: so a restart of the server is waited out. A transaction that was lost
at its commit may have been carried out; every verb may be repeated, at the price of an attempt or a
look that counts twice.
"""

from __future__ import annotations

import re
from collections import ChainMap
from functools import cache, partial
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from artifact_sync.domain.errors import LeaseLost, LedgerUnreachable, UsageError
from artifact_sync.ledger import migrations
from artifact_sync.ledger.drivers.location import absent
from artifact_sync.ledger.drivers.postgres_errors import (
    Silent,
    is_conflict,
    is_passing,
    of_connecting,
    of_statement,
)
from artifact_sync.ledger.queries.transaction import carry_out, chunks
from artifact_sync.ledger.sql import bound
from artifact_sync.ledger.sql.connection import Connection
from artifact_sync.ledger.sql.encoding import stored
from artifact_sync.runtime.postgres_terms import CONNECTION_TERMS, WHILE_MAKING_TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, MutableMapping, Sequence
    from typing import Self

    from artifact_sync.ledger.drivers.location import Location, OpenTerms
    from artifact_sync.ledger.queries.transaction import Transaction
    from artifact_sync.ledger.sql.connection import Row

_T = TypeVar("_T")

TYPES = {"id": "BIGSERIAL", "ref": "BIGINT", "text": 'TEXT COLLATE "C"', "bytes": "BYTEA"}
"""Of migrations. Text is ordered by code point, as on SQLite."""

_DEFAULTS: Mapping[str, Any] = {
    **CONNECTION_TERMS,
    "tcp_user_timeout": 30_000,
    "client_encoding": "utf8",
}
"""Of connections, unless the URL says otherwise. After ``tcp_user_timeout``, in milliseconds, a
server that says nothing is given up. The kernel of a frozen server does answer, so we measure it
ourselves, and ask the server to break a statement off before."""
_BREAK_OFF = 0.8
"""Of that time, for one statement."""

_PATIENCE = 15.0
"""Seconds in which a lost connection is made anew."""
_SHORTEST, _LONGEST = 0.1, 2.0
"""Seconds between the tries."""
_PAUSE = 5.0
"""Seconds in which a server that was given up is not asked again, so that no queue takes long."""
_STREAMED = 10_000
"""Rows that a server sends at a time where they are many."""
_MESSAGE = 100_000
"""Characters of changes that are not sent yet, at most."""
_INSERT = r"(INSERT .*\sVALUES )(\([^()]*\))((?:\s+ON CONFLICT [^()]*\([^()]*\) DO NOTHING)?)"
_INSERTED = 100
"""Rows that one statement inserts: a statement for each takes the server twice as long."""
_MOST_CHECKED = 1000
"""Things that are remembered to be checked."""
_REPEATS = 5
"""Of a transaction that another one got into the way of."""

_IS_HELD = (
    "SELECT ln(count(*)) FROM pg_lock_status() WHERE locktype = 'advisory' AND granted"
    " AND classid = %s AND objid = %s AND objsubid = 1"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
"""Fails where no session holds an advisory lock, by the halves of its key."""
_HALF = 2**32 - 1
_UNLIMITED = "SET LOCAL statement_timeout TO 0"
_NEVER_IDLE = "SET LOCAL idle_in_transaction_session_timeout TO 0"
_SCHEMA = (
    "SELECT quote_ident(nspname) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
    " WHERE pg_class.oid = to_regclass('meta')"
)
_COLUMNS = (
    "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute"
    " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped"
)


class PostgresConnection(Connection):
    """Over a connection of psycopg."""

    raw: _Connection

    def __init__(
        self,
        raw: _Connection,
        remembered: MutableMapping[Any, Any],
        checked: MutableMapping[Any, Any],
    ) -> None:
        super().__init__(raw)
        self._remembered = remembered
        self._checked = checked

    def lasting(self, name: str, **values: Any) -> Any:
        """Ask the server once, and then never again; see ``Connection``."""
        key = (name, *values.values())
        if key not in self._remembered and (found := self.value(name, **values)) is not None:
            self._remembered[key] = found
        return self._remembered.get(key)

    def checked(self, name: str, check: str, **values: Any) -> Any:
        """Have the server check what it has told before; see ``Connection``.

        The check goes with the next message, and fails the transaction, which is then repeated.
        """
        key = (name, *values.values())
        if (known := self._checked.get(key)) is not None:
            self.write(check, **values, found=known)
            return known
        if (found := self.value(name, **values)) is not None:
            if len(self._checked) >= _MOST_CHECKED:
                self._checked.clear()
            self._checked[key] = found
        return found

    def has_table(self, name: str) -> bool:
        """Ask the server until there is one; see ``Connection``."""
        if name not in self._remembered and super().has_table(name):
            self._remembered[name] = True
        return name in self._remembered

    MARK = "%s"
    # of pg_class: to open a table lets a session hear of what others have just made
    FIND_TABLE = "SELECT FROM pg_class WHERE oid = to_regclass(%s)"

    def insert(self, name: str, **values: Any) -> int:
        """Insert a row; see ``Connection``."""
        sql, given = self._filled(name, values)
        made = self.raw.execute(f"{sql} RETURNING id", given).fetchone()
        return int(made[0]) if made is not None else 0

    def write(self, name: str, **values: Any) -> None:
        """Execute a change by the next message; see ``Connection``."""
        self.raw.later(*self._filled(name, values))

    def carry_out(self) -> None:
        """Send what was not sent yet; see ``Connection``."""
        self.raw.send()

    def demand_lock(self, key: int) -> None:
        """Have the server look for it; see ``Connection``. ``postgres_errors`` knows the error."""
        self.raw.later(_IS_HELD, [key >> 32 & _HALF, key & _HALF])

    def put_rows(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Insert rows, more quickly than one by one; see ``Connection``."""
        self.raw.send()
        with self.raw.cursor().copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def count_on(self, table: str) -> None:
        """Number new rows behind all others; see ``Connection``."""
        sequence = f"pg_get_serial_sequence('{table}', 'id')"
        highest = f"SELECT coalesce(max(id), 0) + 1 FROM {table}"
        self.raw.execute(f"SELECT setval({sequence}, ({highest}), false)")

    def take_time(self) -> None:
        """Have neither the server nor us break a statement off; see ``Connection``.

        A machine that has vanished is found out by TCP.
        """
        self.raw.execute(_UNLIMITED)
        self.raw.silence = 0.0

    def check_version(self) -> None:
        """See ``Connection``."""
        migrations.pending(self.value("version"))  # the table was there when it was opened

    def _filled(self, name: str, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
        sql, names = bound(name, self.MARK)
        return sql.replace("IN (%s)", "= ANY(%s)"), stored([values[it] for it in names])

    def _for_each(self, sql: str, values: Sequence[Sequence[Any]]) -> None:
        """Execute a change for each of these by the next message; see ``Connection``."""
        if (parts := _parts_of_insert(sql)) is None:
            for some in values:
                self.raw.later(sql, some)
            return
        before, each, after = parts
        for these in chunks(values, _INSERTED):
            texts = (self.raw.filled(each, some) for some in these)
            self.raw.later(f"{before}{', '.join(texts)}{after}")

    def _stream(self, name: str, values: Mapping[str, Any]) -> Iterator[Row]:
        self.raw.send()
        with self.raw.cursor(name="stream") as cursor:
            cursor.itersize = _STREAMED
            cursor.execute(*self._filled(name, values))
            yield from cursor


class PostgresStore:
    """``store.Store`` over one connection of psycopg, made anew when it is lost."""

    def __init__(self, place: Location, terms: OpenTerms) -> None:
        self._place = place
        self._terms = terms
        self._options = options_of(place)
        silence = int(self._options["tcp_user_timeout"])
        limit = f"SET LOCAL statement_timeout TO {int(_BREAK_OFF * silence)}"
        synchronous = "on" if terms.durability == "full" else "off"
        self._reading = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {limit}"
        self._writing = f"BEGIN; {limit}; SET LOCAL synchronous_commit TO {synchronous}"
        self._raw: _Connection | None = None
        self._remembered: dict[Any, Any] = {}
        """What lasts as long as the database; another one may be there after the connection."""
        self._checked: dict[Any, Any] = {}
        """What is checked where it is used."""
        self._rehearsing = False
        """Whether a transaction is open that has copies to write to."""
        self._given_up = (0.0, "")
        """Until when a lost server is not asked again, and what is said instead."""

    @classmethod
    def open(cls, place: Location, terms: OpenTerms) -> Self:
        """Open it; see ``open.open_store``."""
        store = cls(place, terms)
        try:
            store._connect()
            store._bring_up()
        except BaseException:
            store.close()
            raise
        return store

    def commit(self, works: Sequence[Callable[[Transaction], Any]]) -> list[Any]:
        """Do all of these in one transaction, or none; see ``Store``."""
        work = partial(carry_out, works=works)
        if self._terms.read_only:
            return self._rehearsed(work)
        return self._repeated(self._writing, work)

    def read(self, work: Callable[[Connection], _T], more: Callable[[], bool] | None = None) -> _T:
        """Read from one state of the ledger; see ``Store``."""
        if self._rehearsing:
            return self._rehearsed(work)
        return self._repeated(self._reading, work, more)

    def compact(self) -> None:
        """End what was read; the server does the rest by itself; see ``Store``."""
        if self._raw is not None:
            self._raw.send()

    def close(self) -> None:
        """Close the connection; see ``Store``."""
        if self._raw is not None:
            self._raw.close()
            self._raw = None

    def _connect(self) -> _Connection:
        """Connect, once."""
        self._remembered.clear()
        self._checked.clear()
        self._raw = connect(self._place, self._options)
        return self._raw

    def _repeated(
        self,
        begin: str,
        work: Callable[[PostgresConnection], _T],
        more: Callable[[], bool] | None = None,
    ) -> _T:
        """The work in a transaction of its own, as often as it takes and may help."""
        until, words = self._given_up
        if monotonic() < until:
            raise LedgerUnreachable(words)
        patience = 0.0 if words else _PATIENCE  # it has been waited for
        deadline, delay, conflicts = monotonic() + patience, _SHORTEST, 0
        while True:
            try:
                told = self._once(begin, work, more)
            except psycopg.Error as error:
                self._checked.clear()
                conflicts += is_conflict(error)
                again = conflicts <= _REPEATS if is_conflict(error) else is_passing(error)
                if not again or monotonic() + delay > deadline:
                    raise self._told(error) from error
            except LeaseLost:  # which nothing gives back
                raise
            except LedgerUnreachable as error:  # of connecting
                if monotonic() + delay > deadline:
                    raise self._told(error) from error
            else:
                self._given_up = (0.0, "")
                return told
            sleep(delay)
            delay = min(2 * delay, _LONGEST)

    def _once(
        self, begin: str, work: Callable[[PostgresConnection], _T], more: Callable[[], bool] | None
    ) -> _T:
        raw = self._connect() if self._raw is None or self._raw.closed else self._raw
        try:
            raw.later(begin)
            # what a transaction sees of its own is remembered no longer than it takes
            seen = self._remembered if begin is self._reading else ChainMap({}, self._remembered)
            told = work(PostgresConnection(raw, seen, self._checked))
            raw.conclude(at_once=more is None or not more())
        except BaseException as error:
            self._abandon(raw, lost=raw.closed or isinstance(error, Silent))
            raise
        finally:
            raw.silence = _silence(self._options)
        return told

    def _abandon(self, raw: _Connection, *, lost: bool) -> None:
        """End a transaction that has failed, or the connection where that cannot be done."""
        try:
            raw.drop()
            if not lost:
                raw.rollback()
        except psycopg.Error:
            lost = True
        if lost:
            self.close()

    def _told(self, error: Exception) -> Exception:
        """The error for the caller; a server that does not answer is left alone for a while."""
        told = of_statement(error, self._place) if isinstance(error, psycopg.Error) else error
        if self._raw is None:
            self._given_up = (monotonic() + _PAUSE, str(told))
        return told

    def _bring_up(self) -> None:
        """Make the ledger, or migrate it, where that is due; else see that it can be used."""
        version = self._repeated(self._reading, migrations.version)
        pending = migrations.pending(version)
        if version is None and (self._terms.read_only or not self._terms.create):
            raise absent(self._place)
        if pending and self._terms.read_only:
            self._rehearsed(_nothing)  # an older ledger is left as it is: copies stand in for it
            return
        for _ in pending:
            self._repeated(self._writing, _migrate)

    def _rehearsed(self, work: Callable[[PostgresConnection], _T]) -> _T:
        """The work in the one transaction of a dry run, which writes to copies and never commits.

        Were the copies made for the session, a pooler would show them to others.
        """
        if not self._rehearsing:
            self._repeated(self._reading, _nothing)  # connects
        raw = self._raw
        if raw is None:
            raise LedgerUnreachable(
                f"the ledger {self._place.name} was lost in the dry run: run it again"
            )
        try:
            if not self._rehearsing:
                raw.execute(f"{self._writing}; {_NEVER_IDLE}")
                _make_copies(raw)
                self._rehearsing = True
            return _saved(raw, work)
        except psycopg.Error as error:
            if raw.closed or isinstance(error, Silent) or not self._rehearsing:
                self.close()
            raise self._told(error) from error


@cache
def _parts_of_insert(sql: str) -> tuple[str, str, str] | None:
    """What is before the values of a row, those, and what is behind; None: it is no such insert.

    One that changes a row that is there cannot do that twice in a statement.
    """
    parts = re.fullmatch(_INSERT, sql, re.DOTALL)
    return None if parts is None else (parts[1], parts[2], parts[3])


class _Connection(psycopg.Connection[Any]):
    """Sends changes with the next statement whose answer is needed, and gives up a silent server.

    Neither TCP nor the server itself would tell of one that says nothing.
    """

    silence = 0.0
    """Seconds without an answer; 0: no limit yet."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._binder = psycopg.ClientCursor(self)
        self._unsent: list[str] = []
        self._length = 0

    def filled(self, sql: str, given: Sequence[Any] | None) -> str:
        """A statement, or a part of one, with values in place of their marks."""
        return self._binder.mogrify(sql, given)

    def later(self, sql: str, given: Sequence[Any] | None = None) -> None:
        """Execute it before the next statement whose answer is needed."""
        self._unsent.append(self.filled(sql, given))
        self._length += len(self._unsent[-1])
        if self._length > _MESSAGE:
            self.send()

    def send(self) -> None:
        """Have the server execute what was not sent yet."""
        if self._unsent:
            self._ask()

    def drop(self) -> None:
        """Forget what was not sent yet."""
        self._unsent.clear()
        self._length = 0

    def conclude(self, *, at_once: bool) -> None:
        """Commit, ``at_once`` or with the next statement. A mere beginning is given up."""
        if self.info.transaction_status is TransactionStatus.IDLE and len(self._unsent) == 1:
            self.drop()
            return
        self.later("COMMIT")
        if at_once:
            self.send()

    def execute(self, query: Any, params: Any = None, **_: Any) -> psycopg.Cursor[Any]:
        """Execute it, and wait for the answer; see ``psycopg.Connection``."""
        self._unsent.append(self.filled(query, params))
        return self._ask()

    def _ask(self) -> psycopg.Cursor[Any]:
        message = ";\n".join(self._unsent)
        self.drop()
        return super().execute(message).set_result(-1)

    def wait(self, gen: Any, *args: Any, **more: Any) -> Any:
        """Wait for an answer; see ``psycopg.Connection``. ``Silent``."""
        limited = _within(gen, self.silence) if self.silence else gen
        return super().wait(limited, *args, **more)


def _within(gen: Generator[Any, Any, _T], seconds: float) -> Generator[Any, Any, _T]:
    """The generator, which psycopg wakes up now and then, until it has waited for so long."""
    deadline = monotonic() + seconds
    try:
        asked = next(gen)
        while True:
            ready = yield asked
            if not ready and monotonic() > deadline:
                raise Silent
            asked = gen.send(ready)
    except StopIteration as done:
        told: _T = done.value
        return told


def options_of(place: Location, **more: Any) -> dict[str, Any]:
    """What to connect with; ``more`` unless the URL says otherwise. ``UsageError``."""
    try:
        options = {**_DEFAULTS, **more, **conninfo_to_dict(place.server)}
        _silence(options)
    except (psycopg.Error, ValueError):  # whose messages would repeat a part of the URL
        raise UsageError(
            "ledger.url has an option that libpq does not know, or a % that must be %25: correct it"
        ) from None
    return options


def _silence(options: Mapping[str, Any]) -> float:
    """Seconds after which a server that says nothing is given up."""
    return int(options["tcp_user_timeout"]) / 1000


def connect(place: Location, options: Mapping[str, Any]) -> _Connection:
    """Connect, once. ``UsageError``, ``LedgerUnreachable``."""
    try:
        raw = _Connection.connect(**options, autocommit=True, prepare_threshold=None)
    except psycopg.Error as error:
        raise of_connecting(error, place) from None
    raw.silence = _silence(options)
    encoding = raw.info.parameter_status("server_encoding")
    if encoding not in {"UTF8", None}:
        raw.close()
        raise UsageError(
            f"the ledger {place.name} is not in UTF-8 but in {encoding}: name a database"
            " made with createdb --encoding=UTF8 --template=template0"
        )
    return raw


def _nothing(_: Connection) -> None:
    """Just be there."""


def _migrate(connection: PostgresConnection) -> None:
    connection.take_time()  # others may migrate meanwhile, and an index of all rows takes minutes
    connection.raw.execute(WHILE_MAKING_TABLES)
    migrations.advance(connection, TYPES)


def _make_copies(raw: psycopg.Connection[Row]) -> None:
    """From here on writing goes to copies, which are found before the ledger's own tables."""
    found = raw.execute(_SCHEMA).fetchone()
    schema = found[0] if found else "public"
    columns = {table: _columns(raw, f"{schema}.{table}") for table in migrations.SMALL_TABLES}
    held = _columns(raw, f"{schema}.artifacts").split(", ")
    if view := migrations.stand_in(schema, held, TYPES):
        raw.execute(view)
    for sql in migrations.copies(TYPES):
        raw.execute(sql)
    for table, names in columns.items():
        if not names:
            continue  # an older ledger lacks some
        raw.execute(f"INSERT INTO pg_temp.{table} ({names}) SELECT {names} FROM {schema}.{table}")
        if "id" in names.split(", "):  # new rows are numbered behind those that were copied
            highest = f"SELECT coalesce(max(id), 0) + 1 FROM {table}"
            sequence = f"pg_get_serial_sequence('pg_temp.{table}', 'id')"
            raw.execute(f"SELECT setval({sequence}, ({highest}), false)")
    raw.execute("SET TRANSACTION READ ONLY")  # but for the copies


def _columns(raw: psycopg.Connection[Row], table: str) -> str:
    found = raw.execute(_COLUMNS, [table]).fetchone()
    return str(found[0]) if found and found[0] else ""


def _saved(raw: _Connection, work: Callable[[PostgresConnection], _T]) -> _T:
    """The work within the open transaction, of which nothing is left when it fails."""
    raw.execute("SAVEPOINT work")
    try:
        told = work(PostgresConnection(raw, {}, {}))
    except BaseException:
        raw.drop()
        if not raw.closed:
            raw.execute("ROLLBACK TO SAVEPOINT work")
        raise
    raw.execute("RELEASE SAVEPOINT work")
    return told
