"""An outage that one worker has found, and the planner: nobody else has to find it."""

from __future__ import annotations

import asyncio

import pytest
from daemon_kit import FakeClock
from memory_fleet import MemoryBoard, MemoryQueue

from artifact_sync.daemon.planner import FleetSchedule, PlannerPorts
from artifact_sync.domain.jobs import ANSWERED, TurnEnd, Wake
from artifact_sync.domain.settings import Config, RepoSettings

REPOS = [f"acme/{number}" for number in range(100)]


@pytest.mark.parametrize("its_pass_ends", [True, False])
def test_what_waits_is_taken_back_one_probe_goes_and_all_follow_when_it_is_answered(
    *, its_pass_ends: bool
) -> None:
    async def story() -> None:
        clock, queue = FakeClock(), MemoryQueue()
        board = MemoryBoard(queue, lambda: clock.now().timestamp())
        config = Config(repo=tuple(RepoSettings(name=name) for name in REPOS))
        plan = FleetSchedule(PlannerPorts(lambda: None, queue, board, clock), lambda: config)  # type: ignore[arg-type,return-value]

        async def look() -> None:
            await clock.advance(1)
            await plan.follow()
            await plan.begin_due()

        async def end(verdict: str, error: str = "") -> str:
            job = queue.fetch()
            assert job is not None
            await board.started(job.repo)
            await board.ended(job.repo, TurnEnd(verdict, error))
            queue.running.remove(job)
            return job.repo

        await plan.take_up()
        await look()
        assert len(queue.waiting) == len(REPOS)
        for _ in range(2):
            await end("unreachable", "no answer")
        await look()
        assert queue.waiting == []  # 98 that need not find out
        for _ in range(7):
            await look()
        assert len(queue.waiting) == 1  # the probe
        assert queue.waiting[0].probe
        if its_pass_ends:
            probed = await end("well")
        else:
            probe = queue.fetch()
            assert probe is not None
            probed = probe.repo
            await board.started(probed)
            await board.wake([Wake(probed, ANSWERED)])
        await look()
        await look()
        assert {it.repo for it in queue.waiting} >= set(REPOS) - {probed}

    asyncio.run(story())
