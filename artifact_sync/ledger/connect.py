"""From a URL to an engine of SQLAlchemy. What is in the database is nobody's here.

SQLite: https://www.sqlite.org/uri.html
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.pool import QueuePool

from artifact_sync.domain.errors import UsageError
from artifact_sync.ledger.files import KEYS, has_log, is_there, make, writing_pragmas
from artifact_sync.ledger.place import PATIENCE, Place, absent

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from artifact_sync.ledger.place import Terms

WRITES = "artifact_sync_writes"
"""The execution option of a transaction that will write."""


def locate(url: str | Path) -> tuple[URL, Place]:
    """Understand a URL or a path. ``UsageError`` when it is none."""
    if isinstance(url, Path):
        return URL.create("sqlite", database=str(url)), Place(str(url), url)
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise UsageError("ledger.url is not a database's URL: write sqlite:///FILE") from None
    if parsed.get_backend_name() != "sqlite":
        return parsed, Place(f"{parsed.database} at {parsed.host or 'this machine'}")
    if parsed.database in {None, "", ":memory:"}:
        return parsed, Place("in memory")
    if parsed.database.startswith("file:"):
        raise UsageError("ledger.url must name a plain file: write sqlite:///FILE")
    return parsed, Place(parsed.database, Path(parsed.database))


def connect(url: URL, place: Place, terms: Terms) -> Engine:
    """An engine with one connection, for use on one thread."""
    if url.get_backend_name() != "sqlite":
        try:
            return _server(url, terms)
        except (ImportError, ArgumentError) as error:
            driver = f"ledger.url needs a driver for {url.drivername}, which is not installed"
            raise UsageError(f"{driver}: try pip install 'psycopg[binary]'") from error
    url = url.update_query_dict({"timeout": url.query.get("timeout", str(PATIENCE))})
    if place.file is None:
        return _sqlite(url, [KEYS])
    if terms.read_only:
        return _reading(url, place.file)
    if terms.create:
        make(place.file)
    elif not is_there(place.file):
        raise absent(place)
    return _sqlite(url, writing_pragmas(terms.durability))


def _reading(url: URL, file: Path) -> Engine:
    """Open without writing; where even SQLite's side files cannot be made, as a file at rest.

    Taking it for a file at rest is right only when nobody writes to it, which no write-ahead log
    beside it tells.
    """
    if not is_there(file):
        raise absent(Place(str(file), file))
    plain = url.set(database=file.absolute().as_uri())
    read_only = plain.update_query_dict({"uri": "true", "mode": "ro"})
    try:
        return _usable(_sqlite(read_only, []))
    except OperationalError:
        if has_log(file):
            raise
        return _usable(_sqlite(read_only.update_query_dict({"immutable": "1"}), []))


def _usable(engine: Engine) -> Engine:
    """The engine, once it has read something."""
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one()
    except BaseException:
        engine.dispose()
        raise
    return engine


def _sqlite(url: URL, pragmas: list[str]) -> Engine:
    engine = create_engine(
        url, poolclass=QueuePool, pool_size=1, max_overflow=0, hide_parameters=True
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # transactions are begun by us: the driver's own way leaves out reading and DDL
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(pragma).close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # a reader that turns into a writer would not wait for a lock but fail at once
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _server(url: URL, terms: Terms) -> Engine:
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,
    )
    settings = [f"SET synchronous_commit TO {'on' if terms.durability == 'full' else 'off'}"]
    if terms.read_only:
        settings.append("SET default_transaction_read_only TO on")

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            for setting in settings:
                cursor.execute(setting)
        connection.commit()

    return engine
