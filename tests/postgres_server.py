"""A PostgreSQL of Debian's for tests, on a free port of this machine, and a PgBouncer before it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from user import wait_until

from artifact_sync.ledger import open_ledger
from fleet_demo.servers import free_port

if TYPE_CHECKING:
    from typing import Self

_ACCESS = """
host all stranger 127.0.0.1/32 reject
host all postgres 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
"""
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "shared_buffers": "16MB",
    "autovacuum": "off",
    "authentication_timeout": "20",
}
_BOUNCER = """
[databases]
* = host=127.0.0.1 port={port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
server_login_retry = 1
logfile = {home}/pgbouncer.log
"""
_EMPTYING = """
SELECT string_agg(
  CASE relkind
    WHEN 'r' THEN 'DELETE FROM ' || relname
    ELSE 'ALTER SEQUENCE ' || relname || ' RESTART'
  END,
  '; ' ORDER BY oid DESC
) FROM pg_class WHERE relnamespace = current_schema()::regnamespace
AND (relkind = 'S' OR relkind = 'r' AND relname <> 'artifact_sync_version')
"""
"""Makes the statements that leave a ledger's version and nothing else; the youngest table first,
which may refer to older ones."""


def program(name: str) -> str:
    """Where a program is; without it the test is skipped, but fails in CI."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which(name, path=os.pathsep.join(map(str, [*places, "/usr/sbin", "/usr/bin"])))
    if found is not None:
        return found
    why = f"{name} of Debian's postgresql or pgbouncer is not on this machine"
    if os.environ.get("CI"):
        pytest.fail(f"{why}; CI has to install it")
    pytest.skip(why)


def answers(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def _make_ledger(url: str) -> None:
    await (await open_ledger(url, durability="fast")).aclose()


class Server:
    """A server that runs as somebody else where the tests are root's, as these servers want it."""

    def __init__(self) -> None:
        self._user = "postgres" if os.geteuid() == 0 else None
        self.home = Path(tempfile.mkdtemp(prefix="artifact-sync-postgres-"))
        if self._user is not None:
            shutil.chown(self.home, self._user)
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, *command: str | Path) -> None:
        subprocess.run(command, check=True, capture_output=True, cwd=self.home, user=self._user)

    def begin(self, *command: str | Path) -> None:
        with (self.home / "said").open("ab") as said:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                cwd=self.home, user=self._user,
            )  # fmt: skip

    def end(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(60)
            self.process = None

    def remove(self) -> None:
        with suppress(ProcessLookupError):
            self.end(signal.SIGQUIT)
        shutil.rmtree(self.home, ignore_errors=True)


class Postgres(Server):
    """A cluster of databases. Its user ``postgres`` needs no password, others do."""

    def __init__(self) -> None:
        initdb, self._program = program("initdb"), program("postgres")
        self._ledger: str | None = None
        super().__init__()
        data = self.home / "data"
        self.run(
            initdb, "-D", data, "-U", "postgres", "-E", "UTF8", "--locale=C", "-N", "-A", "trust"
        )
        (data / "pg_hba.conf").write_text(_ACCESS)
        self.start()

    def start(self) -> None:
        settings = {**_SETTINGS, "port": self.port, "unix_socket_directories": self.home}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self.begin(self._program, "-D", self.home / "data", *options)
        wait_until(self._is_up)

    def _is_up(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=20).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """End every session and stop, as a service's restart does."""
        self.end(signal.SIGINT)

    def url(self, database: str = "postgres", user: str = "postgres", port: int = 0) -> str:
        return f"postgresql://{user}@127.0.0.1:{port or self.port}/{database}"

    def ask(self, sql: str, database: str = "postgres") -> list[tuple[object, ...]]:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def cut(self) -> None:
        """End every session but this one."""
        self.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                 " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")  # fmt: skip

    def database(self, options: str = "") -> str:
        """A new database's name."""
        name = f"test_{uuid.uuid4().hex}"
        self.ask(f"CREATE DATABASE {name} {options}")
        return name

    def schema(self) -> str:
        """The URL of a new schema, which is quicker to make than a database."""
        name = f"test_{uuid.uuid4().hex}"
        self.ask(f"CREATE SCHEMA {name}")
        return f"{self.url()}?options=-csearch_path%3D{name}"

    def ledger(self) -> str:
        """The URL of an empty ledger. It is one for all tests: to make one takes ten times as long
        as to empty it."""
        if self._ledger is None:
            url = self.schema()
            with ThreadPoolExecutor(1) as beside:  # an event loop may run here
                beside.submit(asyncio.run, _make_ledger(url)).result()
            self._ledger = url
        else:
            with psycopg.connect(self._ledger, autocommit=True) as connection:
                ((statements,),) = connection.execute(_EMPTYING)
                connection.execute(statements)
        return self._ledger

    def signal_all(self, number: signal.Signals) -> None:
        """Freeze (SIGSTOP) or thaw (SIGCONT) the server and its sessions."""
        assert self.process is not None
        parent = str(self.process.pid)
        found = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", parent, "--pid", parent],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        for pid in found.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), number)


class PgBouncer(Server):
    """A pooler with one connection to the server, which each transaction may find at another.

    ``mode``: another one, with some more connections.
    """

    def __init__(self, server: Postgres, mode: str = "transaction") -> None:
        found = program("pgbouncer")
        super().__init__()
        config = self.home / "pgbouncer.ini"
        config.write_text(
            _BOUNCER.format(
                port=server.port,
                own=self.port,
                home=self.home,
                mode=mode,
                size=1 if mode == "transaction" else 10,
            )
        )
        self.begin(found, config)

    def __enter__(self) -> Self:
        wait_until(lambda: answers(self.port))
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()
