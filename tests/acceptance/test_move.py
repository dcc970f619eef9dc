"""``move`` as somebody at a shell sees it: to PostgreSQL and back, killed, and with damage."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import psycopg
import pytest
from user import User, organisation

from artifact_sync.ledger.copying import copied_tables
from artifact_sync.simulator import Simulator, running_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from postgres_server import Postgres

    from artifact_sync.simulator import Running

ROCKET = "acme/rocket"


@pytest.fixture
def service() -> Iterator[Running]:
    with running_in_thread(Simulator(organisation())) as running:
        yield running


class Mover(User):
    """Somebody with a configuration for each place of the mirror."""

    def config(self, name: str, ledger: str = "") -> Path:
        file = self.folder / f"{name}.toml"
        text = f'[mirror]\nroot = "{name}"\n'
        file.write_text(text + (f'[ledger]\nurl = "{ledger}"\n' if ledger else ""))
        return file


@pytest.fixture
def user(tmp_path: Path, service: Running) -> Mover:
    return Mover(tmp_path, service)


def rows(config: Path, ledger: str = "") -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, by its primary key, the same on both databases."""
    file = config.with_suffix("") / ".artifact-sync" / "ledger.sqlite"
    raw = psycopg.connect(ledger) if ledger else sqlite3.connect(file)
    found = {}
    for table in copied_tables():
        cursor = raw.cursor()
        cursor.execute(" ".join(["SELECT * FROM", table.name, "ORDER BY", ", ".join(table.key)]))
        names = sorted(column[0] for column in cursor.description or ())
        places = [[column[0] for column in cursor.description or ()].index(it) for it in names]
        found[table.name] = [
            tuple(int(it) if isinstance(it := row[place], bool) else it for place in places)
            for row in cursor.fetchall()
        ]
    raw.close()
    found["meta"] = sorted(found["meta"])
    return found


def tree(root: Path) -> dict[str, bytes | str]:
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root)
        if name.parts[0] == ".artifact-sync" and name.parts[1:2] != ("displaced",):
            continue
        if path.is_symlink():
            found[str(name)] = str(path.readlink())
        elif path.is_file():
            found[str(name)] = path.read_bytes()
    return found


def a_rich_mirror(user: Mover, config: Path) -> None:
    """With pins, tombstones, rules, something displaced, and verdicts."""
    assert user.run("sync", ROCKET, "--config", config).code == 0
    user.run("verify", "--config", config)


@pytest.mark.servers
def test_a_mirror_goes_to_postgresql_and_back_and_nothing_is_fetched_again(
    user: Mover, service: Running, postgres: Postgres
) -> None:
    url = postgres.schema()
    old, new, back = user.config("old"), user.config("new", url), user.config("back")
    a_rich_mirror(user, old)
    before = rows(old)
    files = service.simulator.requests["file"]
    for source, target in ((old, new), (new, back)):
        done = user.run("move", "--config", source, "--to", target)
        assert done.code == 0, done.err + done.out
        assert rows(target, url if target is new else "") == before
        assert f"next: have the service use {target}" in done.out.splitlines()[-1]
    assert tree(user.folder / "back") == tree(user.folder / "old")
    assert user.run("verify", "--config", new).code == 0
    again = user.run("sync", ROCKET, "--config", new, "--json")
    assert (again.code, again.answer["downloaded"]) == (0, 0), again.err
    assert service.simulator.requests["file"] == files
