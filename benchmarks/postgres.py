"""Debian's PostgreSQL as it is installed, with its defaults: durable, 128 MB of buffers.

Added are the count of statements (``pg_stat_statements``), and room for the sessions of a few
workers.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from benchmarks.server import HOST, free_port, is_open, start

if TYPE_CHECKING:
    from collections.abc import Sequence

_PROGRAMS = "/usr/lib/postgresql"
_USER = "postgres"
"""Of Debian's package; PostgreSQL refuses root."""
_COUNTED = ("-c", "shared_preload_libraries=pg_stat_statements")
_CALLS = (
    "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements JOIN pg_database ON oid = dbid"
    " WHERE datname = 'bench'"
)


def programs() -> Path | None:
    """The folder with the newest version's programs."""
    found = sorted(Path(_PROGRAMS).glob("*/bin"), key=lambda it: float(it.parent.name))
    return found[-1] if found else None


class Postgres:
    """A server while it is entered, with a database ``bench``. ``home`` takes what is its own."""

    def __init__(self, home: Path) -> None:
        found = programs()
        if found is None:
            raise SystemExit("case 9 needs PostgreSQL: apt-get install postgresql")
        self._programs, self._home = found, home
        self._user = _USER if os.geteuid() == 0 else None
        self._port, self._schemas = free_port(), 0

    def __enter__(self) -> Self:
        if self._user is not None:
            shutil.chown(self._home, self._user)
        data = self._home / "data"
        make = (self._programs / "initdb", "-D", data, "-U", _USER, "-E", "UTF8", "--locale=C")
        command = self._as_user(*make, "-A", "trust")
        made = subprocess.run(command, check=False, capture_output=True, text=True, cwd="/")
        if made.returncode != 0:
            raise SystemExit(f"case 9 cannot make a database in BENCH_DIR: {made.stderr.strip()}")
        where = ("-D", data, "-p", str(self._port), "-k", self._home, "-h", HOST)
        command = self._as_user(self._programs / "postgres", *where, *_COUNTED)
        with (self._home / "log").open("wb") as log:
            self._process = start(command, lambda: is_open(self._port), stderr=log)
        self.ask("CREATE DATABASE bench", "postgres")
        self.ask("CREATE EXTENSION pg_stat_statements")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(60)
        finally:
            self._process.kill()
            self._process.wait()

    def _as_user(self, *command: str | Path) -> Sequence[str]:
        """The command as who may start the server."""
        given = list(map(str, command))
        if self._user is None:
            return given
        return ["setpriv", "--reuid", self._user, "--regid", self._user, "--clear-groups", *given]

    def schema(self) -> str:
        """The URL of a new and empty schema, where a ledger can be made."""
        self._schemas += 1
        name = f"bench_{self._schemas}"
        self.ask(f"CREATE SCHEMA {name}")
        return f"postgresql://{_USER}@{HOST}:{self._port}/bench?options=-csearch_path%3D{name}"

    def ask(self, sql: str, database: str = "bench") -> list[tuple[Any, ...]]:
        """Execute a statement by itself; its rows."""
        return ask(f"postgresql://{_USER}@{HOST}:{self._port}/{database}", sql)

    def statements(self) -> int:
        """How many the database has executed so far, those that begin and commit among them."""
        return int(self.ask(_CALLS)[0][0])


def ask(url: str, sql: str) -> list[tuple[Any, ...]]:
    """Execute a statement by itself; its rows."""
    import psycopg  # noqa: PLC0415 - an extra, which the other cases do without

    with closing(psycopg.connect(url, autocommit=True)) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []
