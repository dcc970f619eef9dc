"""The logs of cubes, through the command: pages, ends, resume, loss, and what has none."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from user import TOKEN, User

from artifact_sync.simulator import running_in_thread
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
    scenario = Scenario(api=ScenarioApi(tokens=(TOKEN,)), repos=(Repo(REPO, runs=(run,)),))
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
