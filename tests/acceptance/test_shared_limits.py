"""``source.rate_limit`` over several processes, as the service sees it."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from user import TOKEN, User

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
from artifact_sync.simulator.world import Traffic

if TYPE_CHECKING:
    from pathlib import Path

    from postgres_server import Postgres

    from artifact_sync.simulator.world import Seen

RATE, RUNS, NAMES = 12, 14, ("one", "two", "three")


class TimedTraffic(Traffic):
    """Notes when each request came."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def note(self, seen: Seen) -> None:
        self.times.append(time.monotonic())
        super().note(seen)


def scenario() -> Scenario:
    cubes = (Cube(artifacts=(ScenarioArtifact("a.bin", size=10),)),)
    runs = tuple(ScenarioRun(str(number), cubes=cubes) for number in range(RUNS))
    repos = tuple(Repo(f"acme/{name}", runs=runs) for name in (*NAMES, "first"))
    return Scenario(api=ScenarioApi(tokens=(TOKEN,)), repos=repos)


@pytest.mark.servers
def test_three_processes_together_never_ask_more_often_than_one_may(
    tmp_path: Path, postgres: Postgres
) -> None:
    simulator = Simulator(scenario())
    simulator.requests = traffic = TimedTraffic()
    with running_in_thread(simulator) as service, ExitStack() as stack:
        user = User(tmp_path, service)
        user.environ |= {"ARTIFACT_SYNC_LEDGER__URL": postgres.schema()}
        assert user.sync("acme/first").code == 0
        traffic.times.clear()
        limit = {"ARTIFACT_SYNC_SOURCE__RATE_LIMIT": str(RATE)}
        said = [
            stack.enter_context(
                user.started("sync", f"acme/{name}", "--root", user.root, "--dry-run", **limit)
            )
            for name in NAMES
        ]
        done = [user.finish(it) for it in said]
        assert [it.code for it in done] == [1, 1, 1]  # as much would be downloaded
    times = sorted(traffic.times)
    assert len(times) == len(NAMES) * (RUNS + 1)
    window = 0.95  # seconds: the way to the service takes a while, and not always the same
    most = max(sum(at <= it < at + window for it in times) for at in times)
    assert most <= RATE + 1
    assert times[-1] - times[0] < 3 * len(times) / RATE  # and it is made use of
