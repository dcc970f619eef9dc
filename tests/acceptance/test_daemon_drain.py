"""What is in flight when the daemon is told to stop, over several runs of a repository."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from daemon_user import DaemonUser
from user import TOKEN

from artifact_sync.simulator import (
    Cube,
    Repo,
    Running,
    Scenario,
    ScenarioApi,
    ScenarioArtifact,
    ScenarioRun,
)
from artifact_sync.simulator import running_in_thread as running
from artifact_sync.simulator.faults import Slow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")

ROCKET = "acme/rocket"
MIB = 1 << 20
RUNS = 6
RATE = 4 * MIB


def run_with(slug: str, name: str, size: int) -> ScenarioRun:
    return ScenarioRun(slug, cubes=(Cube(artifacts=(ScenarioArtifact(name, size=size),)),))


@pytest.fixture
def several(tmp_path: Path) -> Iterator[tuple[DaemonUser, Running]]:
    """Six runs of a file each; that of the oldest comes much sooner than the others."""
    slow = [run_with(str(n), "slow.bin", 12 * MIB) for n in range(2, RUNS + 1)]
    runs = (run_with("1", "soon.bin", 4 * MIB), *slow)
    with running(
        Scenario(api=ScenarioApi(tokens=(TOKEN,)), repos=(Repo(ROCKET, runs=runs),))
    ) as service:
        service.simulator.add_fault(Slow(rate=RATE))
        user = DaemonUser(tmp_path, service)
        user.configure(ROCKET)
        yield user, service


def parts(user: DaemonUser) -> int:
    return len(list((user.root / ".artifact-sync" / "staging").glob("*.part")))


def test_a_file_in_flight_finishes_though_one_of_another_run_has_finished_before_it(
    several: tuple[DaemonUser, Running],
) -> None:
    user, service = several
    with user.daemon(ready=False) as daemon:
        daemon.wait_for(lambda: parts(user) > 1)
        asked = service.simulator.requests.api
        assert daemon.end() == 0
        assert service.simulator.requests.api == asked
        (line,) = daemon.said("stopping; files in flight may finish")
        assert 1 < line["files"] < RUNS
        oldest = range(1, 1 + line["files"])  # they vanish first
        assert user.runs() == {f"{ROCKET}/{n}" for n in oldest}
        assert parts(user) == 0
        assert daemon.alarms == []
