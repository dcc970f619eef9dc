"""The daemon reads the mirror again, finds damage, and has it mended."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from archives import zip_of
from daemon_user import DaemonUser
from user import organisation

from artifact_sync.simulator import Cube, Repo, ScenarioArtifact, ScenarioRun, running_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROCKET = "acme/rocket"
LONG_AGO = "2020-01-01T00:00:00.000000Z"


@pytest.fixture
def user(tmp_path: Path) -> Iterator[DaemonUser]:
    with running_in_thread(organisation()) as service:
        user = DaemonUser(tmp_path, service)
        user.configure(ROCKET)
        assert user.run("sync", "--config", user.config).code == 0
        yield user


def aged(user: DaemonUser) -> None:
    """Have everything been verified long ago, and not since."""
    ledger = user.root / ".artifact-sync" / "ledger.sqlite"
    with closing(sqlite3.connect(ledger)) as open_ledger, open_ledger:
        open_ledger.execute("UPDATE artifacts SET verified_at = ?", [LONG_AGO])
        open_ledger.execute("UPDATE runs SET oldest_verified = ? WHERE mirrored > 0", [LONG_AGO])


def test_what_nobody_has_verified_for_long_is_read_again_and_mended(user: DaemonUser) -> None:
    """Bytes rot in their place: neither a watch nor a pass sees that."""
    aged(user)
    before = user.files()
    for path in sorted(before)[:2]:
        (user.root / path).write_bytes(before[path][::-1])
    (status,) = user.status()["repositories"]
    assert status["oldest_verified"].startswith("2020-01-01")
    columns, row = user.run("status", "--config", user.config).out.splitlines()
    assert columns.split()[4:6] == ["OUTSTANDING", "VERIFIED"]
    assert int(row.split()[6].removesuffix("d")) > 2000
    with user.daemon() as daemon:
        scrub = daemon.ask()["scrub"]
        assert (scrub["every"], scrub["rate"]) == (30 * 86_400, 20 << 20)
        daemon.wait_for(lambda: user.files() == before)
        daemon.wait_for(lambda: daemon.ask()["scrub"]["files"] >= len(before))
        assert daemon.ask()["scrub"]["damaged"] == 2
        said = [it["files"] for it in daemon.said("files were taken or changed in the mirror")]
        assert sum(said) == 2
        daemon.wait_for(lambda: states(user)["mirrored"] == 12)
        daemon.wait_for(lambda: not oldest(user).startswith("2020"))
        metrics = daemon.get("/metrics")[1].decode()
        assert "artifact_sync_scrub_damaged_files_total 2.0" in metrics
        assert 'artifact_sync_oldest_verification_age_seconds{repo="acme/rocket"}' in metrics
        known = last_verified(user)
        found = user.run("verify", "--config", user.config, "--oldest", "25%", "--json").answer
        assert (found["exit_code"], found["files"]) == (0, 3)
        now = last_verified(user)
        assert sum(now[path] > known[path] for path in known) == 3  # the daemon has noted it
    displaced = user.root / ".artifact-sync" / "displaced"
    assert len([it for it in displaced.rglob("*") if it.is_file()]) == 2
    found = user.run("verify", "--config", user.config, "--json").answer
    assert (found["exit_code"], found["ok"] >= len(before)) == (0, True)


def test_what_was_unpacked_is_read_again_and_mended_with_its_archive(tmp_path: Path) -> None:
    packed = ScenarioArtifact("./dist", data=zip_of({"a.txt": b"one", "b/c.txt": b"two"}))
    run = ScenarioRun("1", "success", cubes=(Cube(artifacts=(packed,)),))
    repos = (Repo(ROCKET, runs=(run,)),)
    with running_in_thread(organisation(repos=repos)) as service:
        user = DaemonUser(tmp_path, service)
        user.configure(text=f'[[repo]]\nname = "{ROCKET}"\nextract = ["dist"]')
        assert user.run("sync", "--config", user.config).code == 0
        (rotten,) = user.root.glob(f"{ROCKET}/1/**/dist.d/b/c.txt")
        rotten.write_bytes(b"TWO")  # of the same size
        aged(user)
        found = user.run("verify", "--config", user.config, "--oldest", "100%", "--json").answer
        assert (found["exit_code"], len(found["changed"])) == (5, 1)
        aged(user)
        with user.daemon() as daemon:
            daemon.wait_for(lambda: rotten.exists() and rotten.read_bytes() == b"two")
            daemon.wait_for(lambda: daemon.ask()["scrub"]["damaged"] == 1)
            daemon.wait_for(lambda: not oldest(user).startswith("2020"))
        assert user.run("verify", "--config", user.config).code == 0


def last_verified(user: DaemonUser) -> dict[str, str]:
    rows = user.run("ls", "--config", user.config, "--json").answer["artifacts"]
    return {row["path"]: row["verified_at"] for row in rows}


def states(user: DaemonUser) -> dict[str, int]:
    (status,) = user.status()["repositories"]
    found: dict[str, int] = status["states"]
    return found


def oldest(user: DaemonUser) -> str:
    (status,) = user.status()["repositories"]
    moment: str = status["oldest_verified"]
    return moment
