"""What a worker begins, and when it looks after more than passes."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from daemon_kit import FakeClock, Kit, settle
from memory_fleet import MemoryBoard, MemoryQueue

from artifact_sync.daemon.chores import ChoreTimes
from artifact_sync.daemon.job_agenda import JobAgenda
from artifact_sync.daemon.planner import FleetSchedule, PlannerPorts
from artifact_sync.daemon.schedule.outage import Outage
from artifact_sync.daemon.schedule.turns import Ended, Interval, Moment, PassVerdict, Turn, Why
from artifact_sync.daemon.worker import JobRunner, PatientLock, WorkerBeat
from artifact_sync.domain.errors import DiskError, LedgerTooNew, RepositoryBusy
from artifact_sync.domain.hooks import HookEvent
from artifact_sync.domain.jobs import ANSWERED, Job, JobKind, TurnEnd, Wake, WorkerSeen, WorkerSign
from artifact_sync.domain.model import RepoName
from artifact_sync.domain.settings import (
    Config,
    HookSettings,
    KeepSettings,
    RepoSettings,
    VerifySettings,
)
from artifact_sync.mirror.local.lock import LocalRepositoryLock
from artifact_sync.runtime.tasks import running_beside

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

NOW = Moment(0.0, datetime(2026, 1, 1, tzinfo=UTC))
A, B = RepoName("acme", "a"), RepoName("acme", "b")
WELL = Ended(PassVerdict.WELL)


def an_agenda() -> JobAgenda:
    return JobAgenda(Outage(random.Random()))  # noqa: S311 - no secret


@asynccontextmanager
async def handed(agenda: JobAgenda, *repos: RepoName) -> AsyncGenerator[list[asyncio.Task]]:
    tasks = [
        asyncio.create_task(agenda.carry_out(Turn(it, Why.INTERVAL), 60.0, probe=it == A))
        for it in repos
    ]
    await asyncio.sleep(0)
    yield tasks
    await asyncio.wait(tasks)


def test_jobs_are_turns_of_which_a_repository_has_one_at_a_time() -> None:
    async def story() -> None:
        agenda = an_agenda()
        async with handed(agenda, A, A, B) as (first, second, other):
            assert agenda.changed.is_set()
            assert (agenda.queue(NOW), agenda.next_in(NOW)) == (3, 0.0)
            assert [it.repo for it in agenda.take(NOW, 9, busy=[B])] == [A]
            assert [it.repo for it in agenda.take(NOW, 9)] == [B]
            assert [(it.repo, it.running) for it in agenda.states(NOW)] == [
                (A, True),
                (B, True),
                (A, False),
            ]
            for _ in range(2):
                assert agenda.answered(A, NOW) == ()
            agenda.answered(B, NOW)
            assert list(agenda.wakes) == [Wake("acme/a", ANSWERED)]  # of the probe, and once
            agenda.ended(A, WELL, NOW)
            assert await first is WELL
            assert [it.repo for it in agenda.take(NOW, 9)] == [A]
            agenda.close()
            assert (await second, await other) == (None, None)
        assert await agenda.carry_out(Turn(A, Why.INTERVAL), 60.0) is None
        assert agenda.next_in(NOW) is None

    asyncio.run(story())


async def carried_out(kit: Kit, job: Job) -> MemoryBoard:
    """Have a worker do a job; where it has told of it."""
    board = MemoryBoard(MemoryQueue(), lambda: 0.0)
    runner = JobRunner(kit.context.agenda, board, kit.context, kit.scheduler, {})
    done = asyncio.create_task(runner.carry_out(job))
    await settle()
    kit.scheduler.look()
    assert await done
    return board


def test_a_job_of_a_repository_that_this_worker_does_not_know_has_failed() -> None:
    """Or, while the workers are reloaded, the first pass over a new one is left out."""

    async def tell(kit: Kit) -> None:
        board = await carried_out(kit, Job(JobKind.PASS, "acme/b", "first"))
        (turn,) = await board.turns()
        assert (turn.failures, turn.end.verdict) == (1, PassVerdict.UNASKED)
        assert turn.end.error.startswith("acme/b is not in the configuration of the worker")

    Kit(RepoSettings(name="acme/a"), agenda=an_agenda()).story(tell)


def test_a_job_has_a_pass_though_why_is_known_to_another_version_only() -> None:
    async def tell(kit: Kit) -> None:
        await carried_out(kit, Job(JobKind.PASS, "acme/a", "curiosity"))
        assert kit.looks == [(0, "acme/a")]

    Kit(RepoSettings(name="acme/a"), agenda=an_agenda()).story(tell)


def test_a_repository_with_a_slug_that_the_planner_cannot_read_is_not_told_of() -> None:
    """A ledger may know one from before such slugs were passed over."""

    async def tell(kit: Kit) -> None:
        kit.engine.listed += [RepoName("acme", "a b"), RepoName("acme", "c")]
        board = await carried_out(kit, Job(JobKind.PASS, "acme/*", "first"))
        (turn,) = await board.turns()
        assert turn.end.found == ("acme/c",)

    Kit(RepoSettings(name="acme/*"), agenda=an_agenda()).story(tell)


class HeardSigns:
    def __init__(self) -> None:
        self.signs: list[WorkerSign] = []

    async def beat(self, sign: WorkerSign) -> None:
        self.signs.append(sign)

    async def leave(self) -> None: ...

    async def workers(self) -> Sequence[WorkerSeen]:
        return ()


def test_what_no_database_takes_is_told_to_others_in_printable_letters() -> None:
    """A name from a shell, and a path in a message, can hold any bytes but NUL."""

    async def tell(kit: Kit) -> None:
        kit.engine.trouble = lambda _: DiskError("/mnt/\udcff: Input/output error")
        board = await carried_out(kit, Job(JobKind.PASS, "acme/a", "first"))
        (turn,) = await board.turns()
        assert turn.end.error == "/mnt/\\udcff: Input/output error"
        heard = HeardSigns()
        beat = WorkerBeat(heard, kit.context, "one\udcff", "\x1b[31mhost", 7, lambda: False)
        async with running_beside(beat.run()):
            await settle()
        assert (heard.signs[0].name, heard.signs[0].host) == ("one\\udcff", "\\x1b[31mhost")

    Kit(RepoSettings(name="acme/a"), agenda=an_agenda()).story(tell)


class NewerBoard(MemoryBoard):
    async def started(self, _repo: str) -> tuple[str, ...]:
        raise LedgerTooNew("9", "4")


def test_a_worker_stops_and_gives_the_job_back_when_the_board_is_of_a_newer_version() -> None:
    async def tell(kit: Kit) -> None:
        agenda, board = kit.context.agenda, NewerBoard(MemoryQueue(), lambda: 0.0)
        runner = JobRunner(agenda, board, kit.context, kit.scheduler, {})
        job = asyncio.create_task(runner.carry_out(Job(JobKind.PASS, "acme/a", "first")))
        await settle()
        assert kit.scheduler.stopping.is_set()
        assert kit.context.health.outdated.found == "9"
        agenda.close()
        assert await job is False
        assert kit.looks == []

    Kit(RepoSettings(name="acme/a"), agenda=an_agenda()).story(tell)


def test_a_planner_hears_wakes_and_ends_that_are_known_to_another_version_only() -> None:
    async def story() -> None:
        clock, queue = FakeClock(), MemoryQueue()
        board = MemoryBoard(queue, lambda: clock.now().timestamp())
        config = Config(repo=(RepoSettings(name="acme/a"),))
        plan = FleetSchedule(PlannerPorts(None, queue, board, clock), lambda: config)
        await plan.take_up()
        await clock.advance(5)
        await plan.begin_due()
        first = queue.fetch()
        await board.started("acme/a")
        await board.ended("acme/a", TurnEnd("splendid"))
        queue.running.clear()
        await plan.follow()
        assert [it.failing for it in plan.agenda.states(plan.moment)] == [1]
        await board.wake([Wake("acme/a", "curiosity"), Wake("", "curiosity")])
        await plan.follow()
        await clock.advance(1)
        await plan.begin_due()
        second = queue.fetch()
        assert (first.why, second.why) == ("first", "again")

    asyncio.run(story())


def test_a_job_that_does_not_begin_in_time_goes_back() -> None:
    async def story() -> None:
        agenda = an_agenda()
        assert await agenda.carry_out(Turn(A, Why.INTERVAL), 0.01) is None
        assert agenda.queue(NOW) == 0

    asyncio.run(story())


def test_the_planner_is_told_of_wakes_of_what_is_looked_after() -> None:
    async def story() -> None:
        agenda = an_agenda()
        agenda.assign({A: Interval(60), RepoName.star("other"): Interval(60)}, NOW)
        assert agenda.wake(A, Why.WEBHOOK, NOW, run="7")
        assert agenda.wake(RepoName("other", "new"), Why.WEBHOOK, NOW)
        assert not agenda.wake(B, Why.WEBHOOK, NOW)
        agenda.wake_all(Why.AGAIN, NOW, eager=True)
        told = [(it.repo, it.why, it.run, it.eager) for it in agenda.wakes]
        assert told == [
            ("acme/a", "webhook", "7", False),
            ("other/new", "webhook", None, False),
            ("", "again", None, True),
        ]

    asyncio.run(story())


def test_a_repository_is_waited_for_some_time_and_no_longer() -> None:
    async def story() -> None:
        shared = LocalRepositoryLock()
        lock = PatientLock(shared, seconds=0.01)
        async with shared.hold(A):
            with pytest.raises(RepositoryBusy):
                async with lock.hold(A):
                    pass
            async with lock.hold(B):
                pass
        with pytest.raises(KeyError):
            async with lock.hold(A):
                raise KeyError
        async with lock.hold(A, wait=False):
            pass

    asyncio.run(story())


def test_chores_are_due_as_often_as_the_configuration_asks_for() -> None:
    hook = HookSettings(on=(HookEvent.RUN_COMPLETE,), command=("tell",))
    everything = Config(
        keep=KeepSettings(schedule="0 3 * * *"), verify=VerifySettings(every=60.0), hook=(hook,)
    )
    times = ChoreTimes()
    every = [Job(JobKind.PRUNE), Job(JobKind.SCRUB), Job(JobKind.HOOKS)]
    assert times.due(everything, 100.0) == every
    assert times.due(everything, 101.9) == []
    assert times.due(everything, 102.0) == [Job(JobKind.HOOKS)]
    assert times.due(everything, 115.0) == every
    little = Config(verify=VerifySettings(every=0.0))
    assert ChoreTimes().due(little, 0.0) == [Job(JobKind.HOOKS)]  # what others have left
    own = RepoSettings(name="acme/a", keep=KeepSettings(schedule="0 3 * * *"))
    assert Job(JobKind.PRUNE) in ChoreTimes().due(Config(repo=(own,)), 0.0)
