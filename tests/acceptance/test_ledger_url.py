"""``ledger.url`` as users write it: an option of SQLite's, and PostgreSQL with its troubles."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest
from daemon_user import DaemonUser
from user import TOKEN, User, organisation, wait_until

from artifact_sync.simulator import (
    Cube,
    Repo,
    Scenario,
    ScenarioApi,
    ScenarioArtifact,
    ScenarioRun,
    Simulator,
    running_in_thread,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from postgres_server import Postgres

    from artifact_sync.simulator import Running

ROCKET = "acme/rocket"
URL = "ARTIFACT_SYNC_LEDGER__URL"
JOBS = 2
IN_HAND = JOBS + 4 * 3 * JOBS
"""Small files of a process: those that are coming, and of each of 4 runs three a job that wait for
their names, or for the ledger."""


@pytest.fixture
def service() -> Iterator[Running]:
    with running_in_thread(Simulator(organisation())) as running:
        yield running


@pytest.fixture
def user(tmp_path: Path, service: Running) -> User:
    return User(tmp_path, service)


def test_an_option_behind_the_file_changes_nothing_of_what_is_known(
    user: User, tmp_path: Path
) -> None:
    user.environ[URL] = f"sqlite:///{tmp_path / 'elsewhere.sqlite'}?timeout=5"
    assert user.sync(ROCKET).code == 0
    assert (tmp_path / "elsewhere.sqlite").is_file()
    status = user.run("status", "--root", user.root, "--json")
    assert [(it["repo"], it["states"]["mirrored"]) for it in status.answer["repositories"]] == [
        (ROCKET, 12)
    ]
    planned = user.sync(ROCKET, "--dry-run", "--json")
    assert (planned.code, planned.answer["downloaded"], planned.answer["kept"]) == (0, 0, 12)
    assert user.run("verify", "--root", user.root).code == 0


@pytest.mark.servers
def test_every_command_works_with_a_ledger_in_postgresql(user: User, postgres: Postgres) -> None:
    user.environ[URL] = postgres.url(postgres.database()).replace("://", "+psycopg://")
    assert user.sync(ROCKET).code == 0
    assert user.sync(ROCKET, "--json").answer["kept"] == 12
    planned = user.sync(ROCKET, "--dry-run", "--json")
    assert (planned.code, planned.answer["kept"]) == (0, 12)
    status = user.run("status", "--root", user.root, "--json")
    assert status.answer["repositories"][0]["states"]["mirrored"] == 12
    assert user.run("ls", "--root", user.root, "--json").code == 0
    assert user.run("verify", "--root", user.root).code == 0


@pytest.mark.servers
@pytest.mark.parametrize("command", ["sync", "status", "ls", "verify"])
def test_a_server_that_is_not_there_is_said_and_ends_with_exit_code_4(
    user: User, postgres: Postgres, command: str
) -> None:
    arguments = [command, *([ROCKET] if command == "sync" else []), "--root", user.root]
    name = postgres.database()
    user.environ[URL] = postgres.url(name)
    assert user.sync(ROCKET).code == 0
    user.environ[URL] = postgres.url(name, port=9)
    done = user.run(*arguments)
    assert done.code == 4
    assert "is not there: start PostgreSQL, or correct host and port in ledger.url" in done.err


@pytest.mark.servers
def test_a_wrong_password_is_a_matter_of_the_configuration(user: User, postgres: Postgres) -> None:
    user.environ[URL] = postgres.url(user="somebody:geheim")
    done = user.sync(ROCKET)
    assert done.code == 2
    assert "does not take this user and password" in done.err
    assert "geheim" not in done.out + done.err
    tried = user.run("config", "check", "--online")
    assert (tried.code, "does not take this user and password" in tried.err) == (2, True)
    user.environ[URL] = postgres.url()
    assert user.run("config", "check", "--online").code == 0


@pytest.mark.servers
def test_a_restart_in_the_middle_of_a_pass_ends_it_and_nothing_is_fetched_twice(
    tmp_path: Path, postgres: Postgres
) -> None:
    cubes = (Cube(artifacts=(ScenarioArtifact("{n}.bin", size=10_000, count=100),)),)
    repos = tuple(
        Repo(f"acme/{name}", runs=tuple(ScenarioRun(f"{n}", cubes=cubes) for n in range(1, 4)))
        for name in ("one", "two")
    )
    simulator = Simulator(Scenario(api=ScenarioApi(tokens=(TOKEN,)), repos=repos))
    with running_in_thread(simulator) as running:
        user = User(tmp_path, running)
        user.environ[URL] = postgres.url(postgres.database())
        with user.started(
            "sync", "acme/*", "--root", user.root, "--json", "--jobs", JOBS
        ) as process:
            wait_until(lambda: {path.split("/")[1] for path in user.files()} >= {"one", "two"})
            postgres.stop()
            postgres.start()
            done = user.finish(process)
        failures = {(it["repo"], it["reason"]) for it in done.answer["failures"]}
        assert (done.code, failures) == (4, {(repo.name, "unreachable") for repo in repos})
        assert "the lock of acme/one was lost" in done.out
        again = user.sync("acme/*", "--json")
        assert (again.code, again.answer["found"], again.answer["failures"]) == (0, 600, [])
        assert simulator.requests["file"] <= 600 + IN_HAND


@pytest.mark.servers
@pytest.mark.parametrize("how", ["gone", "frozen"])
def test_a_server_that_is_lost_for_good_ends_the_pass_in_words(
    tmp_path: Path, postgres: Postgres, how: str
) -> None:
    cubes = (Cube(artifacts=(ScenarioArtifact("{n}.bin", size=10_000, count=100),)),)
    runs = tuple(ScenarioRun(f"{n}", cubes=cubes) for n in range(1, 5))
    repos = (Repo(ROCKET, runs=runs),)
    simulator = Simulator(Scenario(api=ScenarioApi(tokens=(TOKEN,)), repos=repos))
    with running_in_thread(simulator) as running:
        user = User(tmp_path, running)
        user.environ[URL] = f"{postgres.url(postgres.database())}?tcp_user_timeout=3000"
        with user.started("sync", ROCKET, "--root", user.root, "--json") as process:
            wait_until(lambda: len(user.files()) > 50)
            if how == "gone":
                postgres.stop()
            else:
                postgres.signal_all(signal.SIGSTOP)
            began = time.monotonic()
            try:
                done = user.finish(process)
            finally:
                if how == "gone":
                    postgres.start()
                else:
                    postgres.signal_all(signal.SIGCONT)
        assert time.monotonic() - began < 30
        assert done.code == 4
        assert {it["reason"] for it in done.answer["failures"]} == {"unreachable"}
        assert user.sync(ROCKET).code == 0


@pytest.mark.servers
def test_the_daemon_is_not_ready_while_its_ledger_does_not_answer(
    tmp_path: Path, service: Running, postgres: Postgres
) -> None:
    user = DaemonUser(tmp_path, service)
    url = f"{postgres.url(postgres.database())}?tcp_user_timeout=2000"
    user.configure(ROCKET, ledger__url=url)
    with user.daemon() as daemon:
        daemon.wait_for(lambda: daemon.get("/readyz") == (200, b"ready\n"))
        postgres.signal_all(signal.SIGSTOP)
        try:
            daemon.wait_for(lambda: daemon.get("/readyz")[0] == 503)
            assert daemon.get("/healthz")[0] == 200
        finally:
            postgres.signal_all(signal.SIGCONT)
        daemon.wait_for(lambda: daemon.get("/readyz")[0] == 200)
        postgres.stop()
        daemon.wait_for(lambda: daemon.get("/readyz")[0] == 503)
        postgres.start()
        daemon.wait_for(lambda: daemon.get("/readyz")[0] == 200)
        assert daemon.end() == 0
