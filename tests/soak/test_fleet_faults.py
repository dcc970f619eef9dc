"""Three workers under faults: nothing is forgotten, and only what was in hand is fetched again.

``make soak`` tells long stories of it, ``make test`` a short one.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg
import pytest
from daemon_user import DaemonUser
from fleet_trial import Size, Story, come_to_an_end, fleet, fleet_role
from psycopg.errors import DiskFull
from tcp_proxy import portal, tcp_proxy
from user import contents, organisation, wait_until

from artifact_sync.simulator import Simulator, running_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from postgres_server import Postgres

SEED = os.environ.get("SOAK_SEED") or ""
SECONDS = float(os.environ.get("SOAK_SECONDS") or 180)
SHORT = ("killed", "frozen and cut", "server restarted", "read only", "no connection left")


@pytest.mark.servers
@pytest.mark.timeout(600)
def test_three_workers_with_clocks_of_their_own_that_die_freeze_and_lose_their_server(
    tmp_path: Path, postgres: Postgres
) -> None:
    tell(tmp_path, postgres, SEED or "7", Size(repos=3, runs=2, files=8), SHORT)


@pytest.fixture
def small_disk(postgres: Postgres) -> Iterator[None]:
    """What the fleet makes in the database is on a small disk of its own."""
    folder = postgres.home / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        shutil.chown(folder, folder.owner() if os.geteuid() else "postgres")
        postgres.ask(f"CREATE TABLESPACE small LOCATION '{folder}'")
        postgres.ask(f"GRANT CREATE ON TABLESPACE small TO {fleet_role(postgres)}")
        postgres.ask(f"ALTER ROLE {fleet_role(postgres)} SET default_tablespace = small")
        yield
        postgres.ask(f"DROP OWNED BY {fleet_role(postgres)}")
        postgres.ask(f"ALTER ROLE {fleet_role(postgres)} RESET default_tablespace")
        postgres.ask("DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.soak
@pytest.mark.root
@pytest.mark.servers
@pytest.mark.usefixtures("small_disk")
@pytest.mark.timeout(300)
def test_a_worker_goes_on_when_its_server_has_room_again(
    tmp_path: Path, postgres: Postgres
) -> None:
    size = Size(repos=2, runs=1, files=60, bytes=100)
    with fleet(tmp_path, postgres, size, names=["one"]) as it:
        (worker,) = it.workers
        wait_until(lambda: it.witness.fetched().total() == 120)
        wait_until(lambda: len(it.recorded()) == 120)
        with it.losing():
            postgres.ask("CREATE TABLE filler (it TEXT) TABLESPACE small")
            for rows in (500, 1):
                fill(postgres, rows)
            size.add_runs(it.simulator)
            assert worker.log is not None
            log = worker.log
            wait_until(lambda: "no space left for the ledger" in log.read_text("utf-8"))
            postgres.ask("DROP TABLE filler")
        come_to_an_end(it, size)


def fill(postgres: Postgres, rows: int) -> None:
    """Fill the small disk with so many rows of a thousand bytes at a time, until none fit."""
    some = f"INSERT INTO filler SELECT repeat('x', 1000) FROM generate_series(1, {rows})"  # noqa: S608
    with psycopg.connect(postgres.url(), autocommit=True) as connection, suppress(DiskFull):
        while True:
            connection.execute(some)


@pytest.mark.soak
@pytest.mark.servers
@pytest.mark.timeout(SECONDS + 600)
def test_three_workers_for_long(tmp_path: Path, postgres: Postgres) -> None:
    began, seed = time.monotonic(), int(SEED or random.SystemRandom().randrange(10**6))
    while time.monotonic() - began < SECONDS:
        folder = tmp_path / str(seed)
        folder.mkdir()
        rng = random.Random(str(seed))  # noqa: S311 - a story, no secret
        tell(folder, postgres, str(seed), Size(), rng.choices(list(Story.FAULTS), k=8))
        seed += 1


@pytest.mark.soak
@pytest.mark.servers
@pytest.mark.timeout(300)
def test_a_worker_ends_in_time_though_its_server_says_nothing(
    tmp_path: Path, postgres: Postgres
) -> None:
    """Before systemd's TimeoutStopSec=60, after which it is killed."""
    simulator, direct = Simulator(organisation()), postgres.schema()
    with running_in_thread(simulator) as running, portal() as loop:
        user = DaemonUser(tmp_path, running)
        with tcp_proxy(loop, postgres.port) as proxy:
            url = direct.replace(f":{postgres.port}/", f":{proxy.port}/")
            user.configure("acme/*", ledger__url=url, web__listen=None, daemon__interval="1h")
            with user.daemon("--name", "one", "--sign", 1, command="worker") as worker:
                worker.wait_for(lambda: user.files() == contents(simulator))
                proxy.stall()
                assert worker.end(bound=60) == 0


def tell(folder: Path, postgres: Postgres, seed: str, size: Size, faults: tuple[str, ...]) -> None:
    """A story of some faults. When it ends badly, what led to it is told."""
    with fleet(folder, postgres, size) as it:
        story = Story(it, random.Random(seed))  # noqa: S311 - likewise
        try:
            wait_until(lambda: it.witness.fetched().total() > 5)
            for number, fault in enumerate(faults):
                if number % 3 == 2:
                    size.add_runs(it.simulator)
                story.step(fault)
            come_to_an_end(it, size)
        except BaseException as error:
            error.add_note("\n".join([f"the story with the seed {seed}", *it.told]))
            raise
        sys.stdout.write("\n".join([f"the story with the seed {seed}", *it.told, ""]))
