"""``move`` as somebody at a shell sees it: to a store and PostgreSQL, back, killed, with damage."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from archives import FILES, entry, tar_of
from daemon_user import DaemonUser
from object_proxy import Asked, ObjectProxy
from user import TOKEN, Done, User, wait_until

from artifact_sync.domain.jobs import WorkerSign
from artifact_sync.fleet import tables
from artifact_sync.fleet.coordination import Coordination
from artifact_sync.fleet.worker_registry import PostgresWorkerRegistry
from artifact_sync.ledger.copying import copied_tables
from artifact_sync.simulator import (
    Cube,
    Repo,
    Scenario,
    ScenarioApi,
    ScenarioArtifact,
    ScenarioRun,
    running_in_thread,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from object_stores import ObjectServer
    from postgres_server import Postgres

    from artifact_sync.simulator import Running

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="calls fork"),
    pytest.mark.xdist_group("objects-moto"),
]

ROCKET = "acme/rocket"
LOSING = (
    "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
    " WHERE application_name LIKE 'artifact-sync% (process %)'"
)
"""Returns when the locks are free."""


class Mover(User):
    """Somebody with a configuration for each place of the mirror. The first one is ``old``."""

    def __init__(self, folder: Path, service: Running) -> None:
        super().__init__(folder, service)
        self.root = folder / "old"
        self.old = self.config("old")

    def config(self, name: str, ledger: str = "", root: str = "", more: str = "") -> Path:
        file = self.folder / f"{name}.toml"
        text = f'{more}\n[mirror]\nroot = "{root or name}"\n'
        file.write_text(text + (f'[ledger]\nurl = "{ledger}"\n' if ledger else ""))
        return file

    def move(self, source: Path, target: Path, *more: str):
        return self.run("move", "--config", source, "--to", target, *more)

    def at(self, config: Path, command: str, *more: object):
        return self.run(command, *more, "--config", config)


@pytest.fixture
def user(tmp_path: Path, service: Running) -> Mover:
    return Mover(tmp_path, service)


def rows(config: Path, ledger: str = "") -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, the same on both databases."""
    file = config.with_suffix("") / ".artifact-sync" / "ledger.sqlite"
    raw = psycopg.connect(ledger) if ledger else sqlite3.connect(file)
    found = {}
    for table in copied_tables():
        cursor = raw.cursor()
        cursor.execute(f"TABLE {table.name}" if ledger else f"SELECT * FROM {table.name}")  # noqa: S608 - ours
        columns = [column[0] for column in cursor.description or ()]
        found[table.name] = sorted(
            (tuple((name, plain(it)) for name, it in sorted(zip(columns, row, strict=True))))
            for row in cursor.fetchall()
        )
    raw.close()
    return found


def plain(value: object) -> str:
    return repr(int(value) if isinstance(value, bool) else value)


def tree(root: Path) -> dict[str, bytes | str]:
    """Every file and link but the program's own; also what was displaced."""
    found: dict[str, bytes | str] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root)
        if name.parts[0] == ".artifact-sync" and name.parts[1:2] != ("displaced",):
            continue
        if path.is_symlink():
            found[str(name)] = str(path.readlink())
        elif path.is_file():
            found[str(name)] = path.read_bytes()
    return found


@contextmanager
def working(url: str) -> Iterator[None]:
    """A worker is seen in this database within the block."""
    with asyncio.Runner() as runner:
        database = Coordination(url)
        runner.run(tables.bring_up(database))
        registry = PostgresWorkerRegistry(database, 60.0)
        runner.run(registry.beat(WorkerSign("w1", "h1", 7, (), planner=False)))
        yield
        runner.run(registry.leave())
        runner.run(database.aclose())


def make_it_rich(user: Mover) -> None:
    """A pin, rules, something displaced, verdicts, times."""
    assert user.at(user.old, "sync", ROCKET, "acme/website").code == 0
    assert user.at(user.old, "pin", ROCKET, "3").code == 0
    assert user.at(user.old, "forget", ROCKET, "2", "*.tar.gz", "--delete", "--yes").code == 0
    next((user.root / ROCKET / "1/ci").rglob("*.tar.gz")).write_text("altered")
    assert user.at(user.old, "verify", "--repair").code == 0


@pytest.mark.servers
def test_to_a_store_and_postgresql_and_back_with_all_that_is_known_and_nothing_fetched(
    user: Mover,
    service: Running,
    postgres: Postgres,
    object_server: Callable[[str], ObjectServer],
) -> None:
    server, prefix, url = object_server("moto"), f"moved/{uuid4().hex}", postgres.schema()
    user.environ |= server.environ()
    new = user.config("new", url, server.url(prefix))
    back = user.config("back")
    make_it_rich(user)
    known, files = rows(user.old), tree(user.root)
    assert any(name.startswith(".artifact-sync/displaced") for name in files)
    assert all(known[name] for name in ("artifacts", "pins", "forget_rules", "run_records"))
    assert any(("state", "'forgotten'") in row for row in known["artifacts"])  # a tombstone
    fetched = service.simulator.requests["file"]
    done = user.move(user.old, new)
    assert done.code == 0, done.err + done.out
    assert done.out.splitlines()[-1].startswith(f"next: have the service use {new}")
    assert rows(new, url) == known
    stored = server.objects(prefix)
    assert {it for it in files if "latest" not in it} == {
        it for it in stored if "latest" not in it and not it.endswith(("/id", "/probe"))
    }
    with working(url):
        refused = user.move(new, back)
    told = f"the mirror {server.url(prefix)} is in use by artifact-sync worker w1 on h1"
    assert (refused.code, told in refused.err) == (7, True), refused.err
    assert "stop it first" in refused.err
    done = user.move(new, back, "--json")
    assert (done.code, done.answer["complete"]) == (0, True), done.err
    assert done.answer["rows"] == sum(map(len, known.values()))
    assert rows(back) == known
    assert tree(user.folder / "back") == files
    for config in (new, back):
        assert user.at(config, "verify").code == 0
        again = user.at(config, "sync", ROCKET, "--json")
        assert (again.code, again.answer["downloaded"]) == (0, 0), again.err
    assert service.simulator.requests["file"] == fetched
    assert "moved there already" in user.move(user.old, new).err
    same = user.config("same", f"{url}&connect_timeout=20", server.url(f"same/{prefix}"))
    done = user.move(new, same)
    assert (done.code, "is the one that it has" in done.err) == (2, True), done.err
    below = user.config("below", "sqlite:///below.sqlite", server.url(f"{prefix}/below"))
    done = user.move(new, below)  # who removes the old mirror would remove both
    assert (done.code, "or within" in done.err) == (2, True), done.err


@pytest.mark.servers
def test_a_repository_begun_meanwhile_comes_along_and_a_lost_lock_ends_the_move_in_words(
    user: Mover,
    postgres: Postgres,
    object_server: Callable[[str], ObjectServer],
) -> None:
    server, prefix, url = object_server("moto"), f"moved/{uuid4().hex}", postgres.schema()
    user.environ |= server.environ()
    there = postgres.schema()
    old, new = user.config("shared", url, server.url(prefix)), user.config("new", there)
    assert user.at(old, "sync", "acme/website").code == 0
    proxy = ObjectProxy(server.endpoint or "")

    def while_moving(*deeds: Callable[[], object]) -> Done:
        """Move, and do this while the move waits for its first file."""
        due = [*deeds]

        def harm(asked: Asked) -> None:
            while due and asked.method == "GET" and asked.path.endswith("/site/index.html"):
                due.pop(0)()

        proxy.harm = harm
        return user.run("move", "--config", old, "--to", new, AWS_ENDPOINT_URL=proxy.endpoint)

    lost = while_moving(lambda: postgres.ask(LOSING))
    assert (lost.code, "was lost, perhaps to somebody else" in lost.out) == (4, True), lost.out
    pages = [it for it in proxy.asked if it.path.endswith("/site/index.html")]
    assert len({it.path for it in pages}) == 1  # of several runs: it goes no further
    begun = []
    with psycopg.connect(there) as holder, ThreadPoolExecutor(1) as beside:

        def lose_before_the_commit() -> None:
            try:
                wait_until(lambda: bool(postgres.ask("SELECT 1 FROM pg_locks WHERE NOT granted")))
                postgres.ask(LOSING)
            finally:
                holder.rollback()

        lost = while_moving(
            lambda: begun.append(user.at(old, "sync", ROCKET)),
            lambda: holder.execute("SELECT FROM meta WHERE key = 'mirror' FOR UPDATE"),
            lambda: beside.submit(lose_before_the_commit),
        )
    proxy.stop()
    assert [it.code for it in begun] == [0]
    assert (lost.code, "was lost, perhaps to somebody else" in lost.out) == (4, True), lost.out
    refused = user.at(new, "ls", ROCKET)
    assert (refused.code, "is not finished" in refused.err) == (2, True), refused.err
    done = user.move(old, new)
    assert done.code == 0, done.err + done.out
    assert rows(new, there) == rows(old, url)
    assert len([*(user.folder / "new" / ROCKET).glob("*/SHA256SUMS")]) > 1
    assert user.at(new, "verify").code == 0


def many() -> Scenario:
    cubes = (Cube(artifacts=(ScenarioArtifact("{n}.bin", size=70_000, count=40),)),)
    runs = tuple(ScenarioRun(str(n), cubes=cubes) for n in range(1, 11))
    return Scenario(api=ScenarioApi(tokens=(TOKEN,)), repos=(Repo(ROCKET, runs=runs),))


def test_killed_in_the_middle_it_goes_on_and_until_then_nobody_takes_it_for_a_mirror(
    tmp_path: Path,
) -> None:
    with running_in_thread(many()) as service:
        user = Mover(tmp_path, service)
        new = user.config("new")
        assert user.at(user.old, "sync", ROCKET).code == 0
        there = tmp_path / "new" / ROCKET
        for number, sent in ((2, signal.SIGINT), (4, signal.SIGTERM), (6, signal.SIGKILL)):
            with user.started("move", "--config", user.old, "--to", new) as process:
                wait_until(lambda number=number: len([*there.glob("*/SHA256SUMS")]) >= number)
                code = user.finish(process, sent).code
                assert code == (-sent if sent == signal.SIGKILL else 130)
            refused = user.at(new, "sync", ROCKET)
            assert (refused.code, "is not finished" in refused.err) == (2, True), refused.err
        done = user.move(user.old, new, "--json")
        assert done.code == 0, done.err
        assert done.answer["bytes"] < done.answer["files"] * 70_000  # some were there
        assert tree(tmp_path / "new") == tree(user.root)
        assert rows(new) == rows(user.old)
        assert user.at(new, "verify").code == 0
        assert not list((tmp_path / "new/.artifact-sync/staging").glob("move*"))


def test_what_is_damaged_is_told_and_not_taken_for_good(
    user: Mover, object_server: Callable[[str], ObjectServer]
) -> None:
    new, server = user.config("new"), object_server("moto")
    user.environ |= server.environ()
    store = user.config("s", f"sqlite:///{user.folder}/s", server.url(f"moved/{uuid4().hex}"))
    assert user.at(user.old, "sync", ROCKET).code == 0
    changed, missing, *_ = sorted((user.root / ROCKET / "1/ci").rglob("*.*"))
    changed.write_bytes(b"x" * changed.stat().st_size)
    missing.unlink()
    done = user.move(user.old, new, "--json")
    assert (done.code, done.answer["complete"]) == (1, False)  # of both kinds
    paths = sorted(str(it.relative_to(user.root)) for it in (changed, missing))
    assert sorted(done.answer["damaged"]) == paths
    assert not any((user.folder / "new" / it).exists() for it in paths)
    assert user.at(new, "verify").code == 2
    assert user.move(user.old, store).code == 1
    for command in ("ls", "verify", "sync"):
        refused = user.at(store, command, ROCKET)
        assert (refused.code, "is not finished" in refused.err) == (2, True), refused.err
    assert user.at(user.old, "verify", "--repair").code == 0
    done = user.move(user.old, new)
    assert done.code == 0, done.err + done.out
    assert tree(user.folder / "new") == tree(user.root)
    assert user.at(new, "verify").code == 0


def test_what_was_unpacked_comes_along_but_not_into_a_store(tmp_path: Path) -> None:
    whole = tar_of(FILES, [entry("site/latest.html", tarfile.SYMTYPE, "index.html")])
    cubes = (Cube(artifacts=(ScenarioArtifact("./dist.tar", data=whole),)),)
    repos = (Repo(ROCKET, runs=(ScenarioRun("1", cubes=cubes),)),)
    with running_in_thread(Scenario(api=ScenarioApi(tokens=(TOKEN,)), repos=repos)) as service:
        user = Mover(tmp_path, service)
        old = user.config("old", more=f'[[repo]]\nname = "{ROCKET}"\nextract = ["dist*"]\n')
        new, store = user.config("new"), user.config("s", f"sqlite:///{tmp_path}/s", "s3://b/p")
        assert user.at(old, "sync").code == 0
        assert (user.root / ROCKET / "1/ci/build/build/dist.tar.d/site/latest.html").is_symlink()
        assert user.move(old, new).code == 0
        assert tree(tmp_path / "new") == tree(user.root)
        assert rows(new) == rows(old)
        assert user.at(new, "verify").code == 0
        done = user.move(old, store)
        assert (done.code, "archives are unpacked in this mirror" in done.err) == (2, True)


def test_it_goes_nowhere_where_anything_is(user: Mover) -> None:
    assert user.at(user.old, "sync", ROCKET).code == 0
    full = user.config("full")
    (user.folder / "full").mkdir()
    (user.folder / "full" / "mine").write_text("")
    layout = user.config("layout")
    turned = "{org}/{repo}/{run}/{cube}/{workflow}/{task}/{local_path}"
    layout.write_text(f'{layout.read_text()}layout = "{turned}"\n')
    ledger = user.config("ledger", f"sqlite:///{user.root}/.artifact-sync/ledger.sqlite")
    inside = user.config("inside", root="old/below")
    (user.folder / "link").symlink_to(user.root)
    linked = user.config("linked", f"sqlite:///{user.folder}/link/.artifact-sync/ledger.sqlite")
    for config, words in (
        (full, "is not empty"),
        (layout, "set it to the same"),
        (ledger, "is the one that it has"),
        (linked, "is the one that it has"),
        (inside, "or within"),
        (user.old, "is the mirror itself"),
    ):
        done = user.move(user.old, config)
        assert (done.code, words in done.err) == (2, True), done.err


def test_beside_a_daemon_it_says_whom_to_stop(tmp_path: Path, service: Running) -> None:
    user = DaemonUser(tmp_path, service)
    user.configure(ROCKET)
    target = tmp_path / "new.toml"
    target.write_text('[mirror]\nroot = "new"\n')
    with user.daemon():
        done = user.run("move", "--config", user.config, "--to", target)
    assert (done.code, "stop it first" in done.err) == (7, True), done.err
    assert not (tmp_path / "new" / ".artifact-sync" / "id").exists()
