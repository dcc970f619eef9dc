"""The logs of cubes, through the command: pages, ends, resume, loss, and what has none."""

from __future__ import annotations

import hashlib
import json
import signal
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace
from user import TOKEN, User, wait_until

from artifact_sync.simulator import running_in_thread
from artifact_sync.simulator.faults import Stall, StatusFault, Truncate
from artifact_sync.simulator.logs import log_text
from artifact_sync.simulator.scenario import (
    Cube,
    Repo,
    Scenario,
    ScenarioApi,
    ScenarioArtifact,
    ScenarioRun,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from artifact_sync.simulator import Running

REPO = "acme/rocket"
TASK = f"{REPO}/1/ci/build"
TEN_MB = 10_000_000
PAGE = (ScenarioArtifact("app.bin", size=2000),)


@contextmanager
def serving(folder: Path, *cubes: Cube, age: float = 86_400.0) -> Iterator[tuple[User, Running]]:
    run = ScenarioRun("1", age=age, cubes=cubes)
    scenario = Scenario(
        start=datetime.now(UTC), api=ScenarioApi(tokens=(TOKEN,)), repos=(Repo(REPO, runs=(run,)),)
    )
    with running_in_thread(scenario) as running:
        user = User(folder, running)
        user.environ["ARTIFACT_SYNC_DOWNLOAD__ATTEMPTS"] = "3"
        configure(user)
        yield user, running


def configure(user: User, logs: str = "true", more: str = "") -> Path:
    file = user.folder / "mirror.toml"
    text = f'[mirror]\nroot = "{user.root}"\n[[repo]]\nname = "{REPO}"\nlogs = {logs}\n{more}'
    file.write_text(text)
    return file


def sync(user: User, *arguments: object) -> tuple[int, dict[str, Any], str]:
    done = user.run("sync", "--config", user.folder / "mirror.toml", "--json", *arguments)
    return done.code, done.answer, done.err


def listed(user: User) -> dict[str, dict[str, Any]]:
    done = user.run("ls", "--config", user.folder / "mirror.toml", "--all", "--json")
    return {it["cube"] + "/" + it["local_path"]: it for it in done.answer["artifacts"]}


def whole(running: Running, cube: str = "build") -> bytes:
    """The log that the simulator has of a cube."""
    states = running.simulator.run(REPO, "1").cubes
    return next(log_text(it) for it in states if it.key.cube == cube).encode()


def test_a_log_of_ten_megabytes_is_mirrored_beside_its_cube(tmp_path: Path) -> None:
    with serving(tmp_path, Cube(log_size=TEN_MB, artifacts=PAGE)) as (user, running):
        assert sync(user)[0] == 0
        log = user.files()[f"{TASK}/build.log"]
        assert hashlib.sha256(log).digest() == hashlib.sha256(whole(running)).digest()
        assert user.runs() == {f"{REPO}/1"}
        row = listed(user)["build/"]
        assert (row["kind"], row["state"], row["strength"]) == ("log", "mirrored", "length")
        running.simulator.requests.clear()
        code, report, _ = sync(user)
        assert (code, report["kept"], running.simulator.requests.api) == (0, 2, 1)
        verify = user.run("verify", "--config", tmp_path / "mirror.toml")
        assert verify.code == 0, verify.out
        assert user.staged() == 0


def test_logs_are_left_out_unless_they_are_wanted(tmp_path: Path) -> None:
    with serving(tmp_path, Cube(log="hello\n", artifacts=PAGE)) as (user, running):
        configure(user, logs="false")
        assert sync(user)[0] == 0
        assert set(listed(user)) == {"build/app.bin"}
        assert running.simulator.requests["logs"] == 0
        configure(user)  # a changed rule asks for what was never noted
        assert sync(user)[0] == 0
        assert user.files()[f"{TASK}/build.log"] == b"hello\n"
        configure(user, logs="false")  # what is here stays
        code, report, _ = sync(user)
        assert (code, report["kept"]) == (0, 1)
        assert f"{TASK}/build.log" in user.files()
        assert user.runs() == {f"{REPO}/1"}
        row = listed(user)["build/"]
        assert (row["state"], row["here"], row["wanted"]) == ("mirrored", True, False)


@pytest.mark.parametrize("end", ["repeat", "empty", "open"])
def test_a_log_ends_where_it_goes_on_no_more(tmp_path: Path, end: Any) -> None:
    cube = Cube(log_size=2_000_000, log_end=end, artifacts=PAGE)
    with serving(tmp_path, cube) as (user, running):
        assert sync(user)[0] == 0
        assert user.files()[f"{TASK}/build.log"] == whole(running)
        assert listed(user)["build/"]["strength"] == "none"
        assert sync(user)[:1] == (0,)
        assert running.simulator.requests["logs"] <= 6


def test_a_log_that_may_still_grow_is_fetched_later(tmp_path: Path) -> None:
    cube = Cube(log="so far\n", log_end="open", artifacts=PAGE)
    with serving(tmp_path, cube, age=120) as (user, running):
        code, report, _ = sync(user)
        assert (code, report["found"], report["downloaded"]) == (0, 1, 1)
        assert listed(user)["build/"]["state"] == "pending"
        (state,) = running.simulator.run(REPO, "1").cubes
        state.spec = replace(cube, log="so far\nand now all\n", log_end="done")
        done = user.run("sync", "--config", tmp_path / "mirror.toml", REPO, "--run", "1")
        assert done.code == 0, done.err
        assert user.files()[f"{TASK}/build.log"] == b"so far\nand now all\n"
        assert user.runs() == {f"{REPO}/1"}


def test_a_cube_without_a_log_is_told_once_and_fails_nothing(tmp_path: Path) -> None:
    cubes = (
        Cube("a", log_end="none", artifacts=PAGE),
        Cube("b", log="b\n"),
        Cube("c", status="skipped", log_end="none"),
    )
    with serving(tmp_path, *cubes) as (user, running):
        code, report, words = sync(user)
        assert (code, report["expired"], report["found"]) == (0, 1, 2)
        assert "the service has no log of 1 cube, such as 'a.log'" in words
        assert running.simulator.requests["logs"] == 2  # none for what never ran
        assert {name: it["state"] for name, it in listed(user).items()} == {
            "a/app.bin": "mirrored",
            "a/": "expired",
            "b/": "mirrored",
        }
        code, report, words = sync(user)
        assert (code, report["expired"], running.simulator.requests["logs"]) == (0, 1, 2)
        assert "no log" not in words
        assert user.runs() == {f"{REPO}/1"}


def test_a_log_that_cannot_be_had_fails_nothing_else(tmp_path: Path) -> None:
    reasons = {
        "bad": "bad_answer",
        "busy": "throttled",
        "garbled": "bad_answer",
        "refused": "permission",
    }
    cubes = [Cube(it, log="x\n", artifacts=PAGE) for it in (*reasons, "good")]
    with serving(tmp_path, *cubes) as (user, running):
        user.environ["ARTIFACT_SYNC_DOWNLOAD__ATTEMPTS"] = "1"
        for cube, status in {"bad": 400, "busy": 500, "refused": 403}.items():
            fault = StatusFault(on="api", endpoint="logs", cube=cube, status=status)
            running.simulator.add_fault(fault)
        running.simulator.add_fault(Truncate(on="api", endpoint="logs", cube="garbled"))
        code, report, _ = sync(user)
        assert code == 1
        assert {it["cube"]: it["reason"] for it in report["failures"]} == reasons
        assert {it["local_path"] for it in report["failures"]} == {""}
        had = {f"{TASK}/{it}/app.bin" for it in (*reasons, "good")} | {f"{TASK}/good.log"}
        assert set(user.files()) == had
        assert told(user) == (had, reasons)
        config = tmp_path / "mirror.toml"
        assert user.run("verify", "--config", config).code == 0
        code, report, _ = sync(user)
        assert (code, report["failed"], told(user)) == (1, 4, (had, reasons))
        running.simulator.clear_faults()
        assert user.run("sync", "--config", config, REPO, "--run", "1").code == 0
        assert told(user) == (had | {f"{TASK}/{it}.log" for it in reasons}, {})
        assert sync(user)[0] == 0
        assert user.run("verify", "--config", config).code == 0


def told(user: User) -> tuple[set[str], dict[str, str]]:
    """What the manifests of the newest complete run name, and why they name no more."""
    folder = user.root / REPO / "latest"
    assert user.runs() == {f"{REPO}/1"}
    named = {line.split("  ")[1] for line in (folder / "SHA256SUMS").read_text().splitlines()}
    about = json.loads((folder / "run.json").read_text())
    assert {it["path"] for it in about["artifacts"]} == named
    absent = {it["cube"]: it["reason"] for it in about["not_mirrored"]}
    return {f"{REPO}/1/{it}" for it in named}, absent


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_of_logs_alone_is_no_refusal_of_the_token(tmp_path: Path, status: int) -> None:
    with serving(tmp_path, Cube(log="x\n", artifacts=PAGE)) as (user, running):
        configure(user, logs="false")
        assert sync(user)[0] == 0
        before = told(user)
        configure(user)
        running.simulator.add_fault(StatusFault(on="api", endpoint="logs", status=status))
        code, report, _ = sync(user)
        (failure,) = report["failures"]
        assert (code, failure["reason"], report["kept"]) == (1, "permission", 1)
        assert failure["message"].startswith("no permission to read the logs of cubes: page 1 of")
        assert told(user) == (before[0], {"build": "permission"})
        running.simulator.clear_faults()
        done = user.run("sync", "--config", tmp_path / "mirror.toml", REPO, "--run", "1")
        assert done.code == 0
        assert told(user) == ({*before[0], f"{TASK}/build.log"}, {})


def test_a_log_that_never_came_of_a_forgotten_run_takes_no_manifests_away(tmp_path: Path) -> None:
    with serving(tmp_path, Cube(log="x\n", artifacts=PAGE)) as (user, running):
        running.simulator.add_fault(StatusFault(on="api", endpoint="logs", status=403))
        assert sync(user)[0] == 1
        before = told(user)
        running.simulator.remove_run(REPO, "1")
        done = user.run("sync", "--config", tmp_path / "mirror.toml", REPO, "--run", "1", "--json")
        (failure,) = done.answer["failures"]
        assert (done.code, failure["reason"]) == (1, "gone")
        assert told(user) == (before[0], {"build": "gone"})


def test_a_busy_service_is_waited_for_in_the_midst_of_a_log(tmp_path: Path) -> None:
    with serving(tmp_path, Cube(log_size=2_000_000)) as (user, running):
        for page, status in (("2", 429), ("3", 503)):
            fault = StatusFault(
                on="api", endpoint="logs", path=page, status=status, first=1, retry_after=1
            )
            running.simulator.add_fault(fault)
        assert sync(user)[0] == 0
        assert user.files()[f"{TASK}/build.log"] == whole(running)
        assert running.simulator.requests["logs"] == 6


def test_a_log_is_resumed_by_page(tmp_path: Path) -> None:
    """By a service that is gone in its midst, then by a kill, then by a pass that is left alone."""
    with serving(tmp_path, Cube(log_size=TEN_MB, artifacts=PAGE)) as (user, running):
        simulator = running.simulator
        user.environ["ARTIFACT_SYNC_DOWNLOAD__ATTEMPTS"] = "1"
        simulator.add_fault(StatusFault(on="api", endpoint="logs", path="5", status=500))
        code, report, _ = sync(user)
        assert (code, [it["reason"] for it in report["failures"]]) == (1, ["throttled"])
        assert (user.staged(), simulator.requests["logs"]) == (4 * 600_000, 5)
        simulator.clear_faults()
        simulator.add_fault(Stall(on="api", endpoint="logs", path="9"))
        simulator.requests.clear()
        config = tmp_path / "mirror.toml"
        with user.started("sync", "--config", config, REPO, "--run", "1") as process:
            wait_until(lambda: simulator.requests["logs"] == 5)
            assert user.staged() == 8 * 600_000
            user.finish(process, signal.SIGKILL)
        simulator.clear_faults()
        simulator.requests.clear()
        done = user.run("sync", "--config", config, REPO, "--run", "1")
        assert done.code == 0, done.err
        assert simulator.requests["logs"] == 17 - 8
        assert user.files()[f"{TASK}/build.log"] == whole(running)
        assert user.staged() == 0
        assert user.run("verify", "--config", config).code == 0


def test_a_lost_log_comes_again_or_is_lost_until_it_is_put_back(tmp_path: Path) -> None:
    cube = Cube(log="precious\n", artifacts=PAGE)
    with serving(tmp_path, cube) as (user, running):
        assert sync(user)[0] == 0
        log = user.root / TASK / "build.log"
        log.unlink()
        config = tmp_path / "mirror.toml"
        assert user.run("verify", "--config", config, "--repair").code == 0
        assert log.read_text() == "precious\n"
        (state,) = running.simulator.run(REPO, "1").cubes
        state.spec = replace(cube, log_end="none")
        log.unlink()
        code, report, _ = sync(user)
        (failure,) = report["failures"]
        assert (code, failure["reason"], failure["local_path"]) == (1, "lost", "")
        assert user.run("verify", "--config", config).code == 1
        log.write_text("precious\n")
        assert sync(user)[0] == 0
        assert user.runs() == {f"{REPO}/1"}


def test_logs_and_cubes_that_share_a_name_both_stand(tmp_path: Path) -> None:
    cubes = (
        Cube("x", log="x\n", artifacts=PAGE),
        Cube("x.log", log="of x.log\n", artifacts=PAGE),
        Cube("#git-clone", log="cloned\n"),
    )
    with serving(tmp_path, *cubes) as (user, _):
        assert sync(user)[0] == 0
        assert {name.removeprefix(f"{TASK}/") for name in user.files()} == {
            "x/app.bin",
            "x.log/app.bin",
            "x.log%2F",
            "x.log.log",
            "#git-clone.log",
        }
        assert user.runs() == {f"{REPO}/1"}


def test_a_ledger_that_is_lost_knows_the_logs_again(tmp_path: Path) -> None:
    cubes = (Cube("x", log="x\n", artifacts=PAGE), Cube("x.log", artifacts=PAGE, log="y\n"))
    with serving(tmp_path, *cubes) as (user, running):
        assert sync(user)[0] == 0
        before = listed(user)
        for path in (user.root / ".artifact-sync").glob("ledger.sqlite*"):
            path.unlink()
        config = tmp_path / "mirror.toml"
        done = user.run("adopt", "--config", config)
        assert done.code == 0, done.out + done.err
        running.simulator.requests.clear()
        code, report, _ = sync(user)
        assert (code, report["kept"], running.simulator.requests["logs"]) == (0, 4, 0)
        assert {name: it["path"] for name, it in listed(user).items()} == {
            name: it["path"] for name, it in before.items()
        }
        done = user.run("forget", "--config", config, REPO, "1", "/x.log", "--delete", "--yes")
        assert done.code == 0, done.out + done.err
        assert listed(user)["x/"]["state"] == "forgotten"
        assert f"{TASK}/x.log%2F" not in user.files()
        assert sync(user)[0] == 0
        assert user.runs() == {f"{REPO}/1"}
