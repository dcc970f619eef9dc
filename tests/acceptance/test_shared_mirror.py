"""Several processes on one mirror: a ledger in PostgreSQL, and one folder that all of them see."""

from __future__ import annotations

import platform
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest
from user import TOKEN, User, run_of_four, wait_until

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

URL = "ARTIFACT_SYNC_LEDGER__URL"
NAMES = ("one", "two", "three")
HOLDER = """
import asyncio, os, sys
from contextlib import AsyncExitStack
from artifact_sync.app.shared_mirror import opened_locks
from artifact_sync.config import load

async def main(*name):
    async with AsyncExitStack() as stack:
        locks = await opened_locks(load(None, os.environ).config, stack, "artifact-sync")
        await stack.enter_async_context(locks.hold("repository", *name))
        print("held", flush=True)
        await asyncio.sleep(600)

asyncio.run(main(*sys.argv[1:]))
"""


def organisation(artifacts: int) -> Simulator:
    cubes = (Cube(artifacts=(ScenarioArtifact("{n}.bin", size=1_000, count=artifacts),)),)
    repos = tuple(
        Repo(f"acme/{name}", runs=tuple(ScenarioRun(f"{n}", cubes=cubes) for n in range(1, 4)))
        for name in NAMES
    )
    return Simulator(Scenario(api=ScenarioApi(tokens=(TOKEN,)), repos=repos))


@contextmanager
def held(user: User, repo: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that works on a repository."""
    mirror = (user.root / ".artifact-sync" / "id").read_text().strip()
    command = [sys.executable, "-c", HOLDER, mirror, *repo.split("/")]
    told = {"stdout": subprocess.PIPE, "text": True, "env": user.environ}
    with subprocess.Popen(command, **told) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


@pytest.mark.servers
def test_processes_that_begin_one_mirror_at_once_fetch_each_file_once(
    tmp_path: Path, postgres: Postgres
) -> None:
    simulator = organisation(artifacts=20)
    with running_in_thread(simulator) as running, ExitStack() as stack:
        user = User(tmp_path, running)
        user.environ[URL] = postgres.schema()
        every = [
            stack.enter_context(
                user.started("sync", "acme/*", "--root", user.root, "--json", "--no-progress")
            )
            for _ in range(3)
        ]
        done = [user.finish(process) for process in every]
        assert [(it.code, it.answer["failures"]) for it in done] == [(0, [])] * 3
        assert sum(it.answer["downloaded"] for it in done) == 180
        assert simulator.requests["file"] == 180
        whole = user.run("verify", "--root", user.root, "--json")
        assert whole.code == 0
        staging = user.root / ".artifact-sync" / "staging"
        slots = sorted(staging.iterdir())
        assert [it for folder in slots for it in folder.iterdir()] == []
        for folder in slots:
            (folder / "begun.part").write_bytes(b"12345")
        taken = user.run("du", "--root", user.root, "--json").answer["staging_bytes"]
        assert taken == 5 * len(slots) > 5


@pytest.mark.servers
def test_a_busy_repository_is_waited_for_in_words_or_refused(
    tmp_path: Path, postgres: Postgres
) -> None:
    simulator = organisation(artifacts=1)
    with running_in_thread(simulator) as running:
        user = User(tmp_path, running)
        user.environ[URL] = postgres.schema()
        assert user.sync("acme/*").code == 0
        changed = "acme/one/1/ci/build/build/1.bin"
        (user.root / changed).write_bytes(b"by hand")
        assert user.run("verify", "acme/one", "--repair", "--root", user.root).code == 0
        put_back = user.root / "acme/one/2/ci/build/build/1.bin"
        content = put_back.read_bytes()
        put_back.unlink()
        verify = ("verify", "acme/one", "--root", user.root)
        assert user.run(*verify).code == 1
        restore = ("displaced", "restore", changed, "--root", user.root)
        with held(user, "acme/one") as process:
            assert user.run(*restore, "--no-wait").code == 7
            assert user.run(*verify).code == 1  # it is noted already, and nothing waits
            put_back.write_bytes(content)
            verified = user.run(*verify, "--no-wait", "--json").answer
            found = [(it["repo"], it["reason"]) for it in verified["failures"]]
            assert (verified["exit_code"], verified["ok"], found) == (7, 9, [("acme/one", "busy")])
            refused = user.sync("acme/*", "--no-wait", "--json")
            found = [(it["repo"], it["reason"]) for it in refused.answer["failures"]]
            assert (refused.code, found) == (7, [("acme/one", "busy")])
            for command in ("pin", "unpin"):
                done = user.run(command, "acme/two", "1", "--root", user.root, "--no-wait")
                assert done.code == 0, done.err
            busy = user.run("pin", "acme/one", "1", "--root", user.root, "--no-wait")
            assert busy.code == 7
            assert "acme/one is being worked on" in busy.err
            simulator.add_run("acme/two", run_of_four("9"))
            with user.started("sync", "acme/*", "--root", user.root) as waiting:
                assert waiting.stderr is not None
                process.send_signal(signal.SIGSTOP)
                line = waiting.stderr.readline()
                who = f"artifact-sync on {platform.node()} (process {process.pid})"
                assert f"acme/one is being worked on by {who}: waiting" in str(line)
                wait_until((user.root / "acme/two/9/SHA256SUMS").exists, 45)
                process.kill()
                assert user.finish(waiting).code == 0


@pytest.mark.servers
def test_two_mirrors_in_one_database_have_a_schema_each_and_nothing_in_common(
    tmp_path: Path, postgres: Postgres
) -> None:
    simulator = organisation(artifacts=2)
    with running_in_thread(simulator) as running:
        folders = [tmp_path / name for name in ("first", "second")]
        users = [User(folder, running) for folder in folders]
        for folder, user in zip(folders, users, strict=True):
            folder.mkdir()
            user.environ[URL] = postgres.schema()
            assert user.sync("acme/one").code == 0
        assert simulator.requests["file"] == 2 * 6
        with held(users[0], "acme/one"):
            assert users[0].sync("acme/one", "--no-wait").code == 7
            assert users[1].sync("acme/one", "--no-wait").code == 0


@pytest.mark.servers
def test_an_older_process_does_nothing_in_a_ledger_that_a_newer_one_has_migrated(
    tmp_path: Path, postgres: Postgres
) -> None:
    name = postgres.database()
    with running_in_thread(organisation(artifacts=1)) as running:
        user = User(tmp_path, running)
        user.environ[URL] = postgres.url(name)
        with user.started("sync", "acme/one", "--root", user.root) as process:
            assert user.finish(process).code == 0
        with held(user, "acme/one") as other:
            with user.started("sync", "acme/one", "--root", user.root, "--json") as waiting:
                assert waiting.stderr is not None
                waiting.stderr.readline()
                postgres.ask("UPDATE artifact_sync_version SET version_num = '9999'", name)
                other.kill()
                done = user.finish(waiting)
            assert done.code == 2
            assert "written by a newer artifact-sync (schema 9999" in done.out
