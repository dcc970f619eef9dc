"""``show``: who started a run and why, how long it took, what failed, what is here."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from user import TOKEN, User

from artifact_sync.simulator import (
    Cube,
    Repo,
    Running,
    Scenario,
    ScenarioApi,
    ScenarioArtifact,
    ScenarioRun,
    running_in_thread,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROCKET = "acme/rocket"
SHOWN = """\
run 2 of acme/rocket: failed
  user      alice
  event     pr_update
  pull      12
  created   2026-01-01T23:00:00Z
  took      1m 30s
  error     the tests failed:
  error     2 of 3 ]0;see <link>
  failed    ci/test/unit
  mirror    complete: 1 file here (3 B), 2 artifacts not
ci  failed  1m 30s  Build and test
  build  success  1m 30s
    build  success  1m 30s
      mirrored           3 B  dist/app
      unwanted             -  notes  (the rules leave it out)
  test  failed  1m 30s  needs build  Run the tests
    unit  failed  1m 30s  needs setup
      unavailable          -  junit.xml  (the service lists it without a file: missing)
"""

pytestmark = pytest.mark.xdist_group("shown")


def a_service() -> Scenario:
    build = (ScenarioArtifact("dist/app", text="app"), ScenarioArtifact("notes", text="n"))
    unit = (ScenarioArtifact("junit.xml", status="missing"),)
    cubes = (
        Cube("build", "ci", "build", status="success", artifacts=build),
        Cube("unit", "ci", "test", needs=("setup",), artifacts=unit),
    )
    run = ScenarioRun(
        "2",
        "failed",
        event="pr_update",
        age=3600.0,
        duration=90.0,
        user="alice",
        pull="12",
        errors=("the tests failed:\n  2 of 3 \x1b]0;see https://x.test/?a=b",),
        descriptions={"ci": "Build and\ntest", "ci/test": "Run the tests"},
        needs={"ci/test": ("build",)},
        cubes=cubes,
    )
    start = datetime(2026, 1, 2, tzinfo=UTC)
    repos = (Repo(ROCKET, runs=(ScenarioRun("1", cubes=cubes[:1], age=9000.0), run)),)
    return Scenario(api=ScenarioApi(tokens=(TOKEN,)), repos=repos, start=start)


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running_in_thread(a_service()) as running:
        yield running


@pytest.fixture(scope="module")
def owner(service: Running, tmp_path_factory: pytest.TempPathFactory) -> User:
    """Somebody with a mirror of it."""
    user = User(tmp_path_factory.mktemp("owner"), service)
    assert user.sync(ROCKET, "--exclude", "notes").code == 0
    return user


def document(user: User, run: str = "2") -> dict:
    return json.loads((user.root / ROCKET / run / "run.json").read_bytes())


def test_a_run_is_shown_from_the_ledger_alone(owner: User, service: Running) -> None:
    before = service.simulator.requests.api
    done = owner.run("show", ROCKET, "2", "--root", owner.root)
    assert (done.code, done.out, done.err) == (0, SHOWN, "")
    assert service.simulator.requests.api == before


def test_the_object_is_that_of_run_json(owner: User) -> None:
    done = owner.run("show", ROCKET, "latest", "--root", owner.root, "--json")
    assert done.answer == {
        "complete": True,
        "exit_code": 0,
        "failures": [],
        "gone_since": None,
        "pruned_at": None,
        "run": {**document(owner), "mirror_complete": True},
    }
    done = owner.run("show", ROCKET, "latest-success", "--root", owner.root, "--json")
    assert done.answer["run"]["run"] == "1"


@pytest.mark.parametrize(
    ("named", "section"),
    [
        ((ROCKET, "3"), "ledger#no-such-run"),
        (("acme/nothing", "1"), "ledger#none-yet"),
        ((ROCKET, ""), "ledger#no-such-run"),
        ((ROCKET,), "ledger#no-such-run"),
        ((f"https://sourcecraft.dev/{ROCKET}/cicd/runs/1", "2"), "ledger#no-such-run"),
    ],
)
def test_a_run_that_is_not_known_is_a_mistake(
    owner: User, named: tuple[str, ...], section: str
) -> None:
    done = owner.run("show", *named, "--root", owner.root)
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(f"see docs: troubleshooting/{section}\n")


def test_the_record_follows_the_service_and_stays_when_it_forgets(tmp_path: Path) -> None:
    with running_in_thread(a_service()) as running:
        user, simulator = User(tmp_path, running), running.simulator
        assert user.sync(ROCKET).code == 0
        files = user.files()
        simulator.set_status(ROCKET, "2", "success")
        simulator.requests.clear()
        done = user.sync(ROCKET, "--json")
        assert (done.code, done.counts) == (0, (4, 0, 4, 0))
        assert (simulator.requests["runs"], simulator.requests["run"]) == (1, 1)
        told = document(user)
        assert (told["status"], told["workflows"][0]["status"]) == ("success", "success")
        simulator.remove_run(ROCKET, "2")
        assert user.sync(ROCKET, "--run", "2").code == 0
        assert document(user) == told
        page = f"https://sourcecraft.dev/{ROCKET}/cicd/runs/2"
        shown = user.run("show", page, "--root", user.root, "--json").answer
        assert shown["run"] == {**told, "mirror_complete": True}
        assert shown["gone_since"]
        assert user.files() == files
        assert user.run("verify", "--root", user.root).code == 0
        next((user.root / ROCKET / "2").rglob("app")).unlink()
        found = user.run("verify", "--root", user.root)
        assert found.out.splitlines()[-1] == (
            "1 file is gone upstream, too: to be put back from a backup, or let go with"
            " artifact-sync forget"
        )
        assert (found.code, found.err) == (1, "see docs: troubleshooting/artifacts#lost\n")


def test_a_lost_file_is_not_among_the_bytes_that_are_here(owner: User) -> None:
    (app,) = (owner.root / ROCKET / "1").rglob("app")
    app.unlink()
    assert owner.run("verify", "--root", owner.root).code == 1
    assert "0 files here (0 B), 1 lost" in owner.run("show", ROCKET, "1", "--root", owner.root).out
    listed = owner.run("ls", "--run", "1", "--root", owner.root).out
    assert f"/app  (lost since {datetime.now(UTC):%Y-%m-%d}" in listed
    app.write_text("app")
    assert owner.run("verify", "--root", owner.root).code == 0
    assert "1 file here (3 B)" in owner.run("show", ROCKET, "1", "--root", owner.root).out
