"""What vanishes first is fetched first, over all repositories, or alone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from forked_program import call_program
from keeping import APP, ORG, Keeping, Named, small_organisation, small_run
from user import TOKEN

from artifact_sync.simulator import (
    Cube,
    Repo,
    Scenario,
    ScenarioApi,
    ScenarioArtifact,
    ScenarioRun,
    running_in_thread,
)
from artifact_sync.simulator.faults import StatusFault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="calls fork")

AT_ONCE = 4
"""Runs that are looked at at a time."""
DAY = 86_400.0
AGES = {"1": 20.0, "2": 13.5, "3": 12.0, "4": 10.0, "5": 1.0}
"""Days since each run of the one repository was created: the first should have vanished."""


@pytest.fixture
def keeping(tmp_path: Path) -> Iterator[Keeping]:
    runs = tuple(small_run(slug, age=age * DAY) for slug, age in AGES.items())
    scenario = small_organisation()
    repos = (Repo(f"{ORG}/rocket", runs=runs),)
    with running_in_thread(Scenario(api=scenario.api, repos=repos)) as service:
        yield Keeping(tmp_path, service)


def runs_here(keeping: Keeping) -> set[str]:
    return {name.run for name, state in keeping.states().items() if state == "mirrored"}


def test_only_what_vanishes_within_the_time_is_fetched_and_the_rest_by_the_next_sync(
    keeping: Keeping,
) -> None:
    code, report, _ = keeping.run("sync", f"{ORG}/rocket", "--expiring", "3d")
    assert (code, report["runs"], report["downloaded"]) == (0, 3, 6)
    assert runs_here(keeping) == {"1", "2", "3"}
    (status,) = keeping.run("status")[1]["repositories"]
    assert status["last_complete"] is None
    code, report, _ = keeping.run("sync", f"{ORG}/rocket", "--expiring", "3d")
    assert (code, report["runs"], report["kept"], report["downloaded"]) == (0, 3, 6, 0)
    code, report, _ = keeping.run("sync", f"{ORG}/rocket")
    assert (code, report["downloaded"]) == (0, 4)
    assert runs_here(keeping) == set(AGES)


def test_what_vanishes_later_is_no_failure_of_what_vanishes_soon(keeping: Keeping) -> None:
    service = keeping.service.simulator
    keeping.run("sync", f"{ORG}/rocket")
    lost = Named(f"{ORG}/rocket", "5", "app.bin")
    keeping.unlink([lost])
    service.remove_run(lost.repo, lost.run)
    code, report, _ = keeping.run("sync", f"{ORG}/rocket", "--expiring", "3d")
    assert (code, report["failures"]) == (0, [])
    code, report, _ = keeping.run("sync", f"{ORG}/rocket", "--expiring", "14d")
    assert (code, report["lost"]) == (1, 1)


def test_ls_marks_what_vanishes_within_two_days_and_has_not_come(keeping: Keeping) -> None:
    keeping.service.simulator.add_fault(StatusFault(run="[34]", path=APP, status=500))
    assert keeping.run("sync", f"{ORG}/rocket", "--run", "3", "--run", "4")[0] != 0
    _, out, _ = call_program(["ls"], keeping.folder, keeping.environ)
    marked = {"/3/" in it: "  (vanishes in 1d; " in it for it in out.splitlines() if APP in it}
    assert marked == {True: True, False: False}


def test_a_named_run_and_a_time_exclude_each_other(keeping: Keeping) -> None:
    code, _, words = keeping.run("sync", f"{ORG}/rocket", "--run", "5", "--expiring", "3d")
    assert code == 2
    assert "--expiring and a run exclude each other" in words


def test_wherever_a_backlog_is_interrupted_the_most_endangered_have_come(tmp_path: Path) -> None:
    ages = [day / 4 for day in range(1, 51)]
    repos = {f"{ORG}/{name}": ages[first::3] for first, name in enumerate(("a", "b", "c"))}
    scenario = Scenario(
        api=ScenarioApi(tokens=(TOKEN,)),
        repos=tuple(
            Repo(name, runs=tuple(run_of_age(age) for age in reversed(those)))
            for name, those in repos.items()
        ),
    )
    with running_in_thread(scenario) as service:
        keeping = Keeping(tmp_path, service)
        assert keeping.run("sync", f"{ORG}/*", "--jobs", "1")[0] == 0
        asked = [seen.local_path for seen in service.simulator.requests if seen.kind == "file"]
    came = [float(path.removesuffix(".bin")) for path in asked]
    assert sorted(came) == ages
    for done, age in enumerate(came):
        older = sum(1 for other in came[done:] if other > age)
        assert older < AT_ONCE, (age, came)


def run_of_age(days: float) -> ScenarioRun:
    cube = Cube(artifacts=(ScenarioArtifact(f"{days}.bin", size=100),))
    return ScenarioRun(age=days * DAY, cubes=(cube,))
