"""What every ``JobQueue`` and ``TurnBoard`` keeps. A new adapter is one more of ``opened``."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from resource import RUSAGE_SELF, getrusage

import psycopg
import psycopg.types.json
import pytest
from memory_fleet import MemoryBoard, MemoryQueue
from structlog.testing import capture_logs

from artifact_sync.domain.errors import LedgerTooNew
from artifact_sync.domain.jobs import (
    URGENT,
    Job,
    JobKind,
    PastTurn,
    TurnEnd,
    Wake,
    WorkerSign,
)
from artifact_sync.fleet import job_queue, tables
from artifact_sync.fleet.coordination import Coordination
from artifact_sync.fleet.turn_board import PostgresTurnBoard
from artifact_sync.fleet.worker_registry import PostgresWorkerRegistry

TIMERS = job_queue.QueueTimers(heartbeat=0.1, stalled=0.3, poll=0.2)


def passes(*repos, **more):
    return [Job(JobKind.PASS, f"acme/{repo}", "interval", **more) for repo in repos]


@asynccontextmanager
async def in_memory(_):
    queue = MemoryQueue()
    yield queue, MemoryBoard(queue, time.time)


@asynccontextmanager
async def by_procrastinate(url, timers=TIMERS):
    database = Coordination(url)
    await tables.bring_up(database)
    await job_queue.make_tables(database)
    async with job_queue.open_queue(url, "mirror", timers) as queue:
        yield queue, PostgresTurnBoard(database, "mirror")
    await database.aclose()


@pytest.fixture(params=["memory", "procrastinate"])
def fleet(request):
    """Runs a story with a queue and a board of nobody else."""
    url = request.getfixturevalue("postgres").schema() if request.param != "memory" else ""
    opened = by_procrastinate if url else in_memory

    def run(story):
        async def main():
            async with opened(url) as (queue, board):
                await story(queue, board)

        asyncio.run(main())

    return run


async def lengths(queue):
    """How many jobs wait and run; a busy machine may take a worker for dead."""
    found = await queue.lengths()
    return found.waiting, found.running


async def until(holds, seconds=60):
    end = time.monotonic() + seconds
    while not await holds():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


class Work:
    """A worker whose jobs go on until they are let go."""

    def __init__(self, queue, slots=4):
        self.begun, self.leave, self.answer = [], asyncio.Event(), True
        self.together = self.most = 0
        self.task = asyncio.create_task(queue.work(self.carry_out, slots))

    async def carry_out(self, job):
        self.begun.append(job)
        self.together += 1
        self.most = max(self.most, self.together)
        await self.leave.wait()
        self.together -= 1
        return self.answer

    async def has(self, *jobs):
        async def holds():
            return [it.repo for it in self.begun] == [it.repo for it in jobs]

        await until(holds)

    async def end(self):
        self.task.cancel()
        await asyncio.wait([self.task])


def test_a_job_of_a_repository_waits_once_and_one_more_while_it_runs(fleet):
    async def story(queue, _):
        assert await queue.defer(passes("a", "b", "a")) in {2, 0}
        await queue.defer(passes("a"))
        await queue.defer(passes("b"))
        assert await lengths(queue) == (2, 0)
        work = Work(queue)
        await work.has(*passes("a", "b"))
        assert await queue.defer(passes("a")) == 1
        assert await queue.defer(passes("a")) == 0
        await queue.defer(passes("c"))
        await work.has(*passes("a", "b", "c"))  # past the one that waits since before
        assert await lengths(queue) == (1, 3)
        work.leave.set()
        await work.has(*passes("a", "b", "c", "a"))
        await until(lambda: _is_empty(queue))
        await work.end()

    fleet(story)


async def _is_empty(queue):
    return await lengths(queue) == (0, 0)


def test_what_somebody_waits_for_comes_first_also_when_it_waits_already(fleet):
    async def story(queue, _):
        await queue.defer(passes("a", "b", "c"))
        await queue.defer(passes("c", priority=URGENT))
        await queue.defer(passes("d", priority=URGENT))
        work = Work(queue, slots=1)
        work.leave.set()
        await work.has(*passes("c", "d", "a", "b"))
        assert work.most == 1
        await work.end()

    fleet(story)


def test_passes_that_wait_are_taken_back_and_what_runs_runs_on(fleet):
    async def story(queue, _):
        await queue.defer(passes("a"))
        work = Work(queue, slots=1)
        await work.has(*passes("a"))
        chore = Job(JobKind.PRUNE, "", "cron")
        await queue.defer([*passes("b", "c"), chore])
        assert sorted(await queue.withdraw()) == ["acme/b", "acme/c"]
        assert await queue.withdraw() == []
        work.leave.set()
        await work.has(*passes("a"), chore)
        await work.end()

    fleet(story)


def test_what_has_to_be_done_later_goes_behind_the_others_as_it_was(fleet):
    async def story(queue, _):
        job = Job(JobKind.PASS, "acme/a", "webhook", eager=True, announced=("7", "8"))
        await queue.defer([job, *passes("b")])
        work = Work(queue, slots=1)
        work.answer = False
        await work.has(job)
        work.leave.set()
        await until(lambda: _has_begun(work, 3))
        await work.end()
        assert [it.repo for it in work.begun[:3]] == ["acme/a", "acme/b", "acme/a"]
        assert work.begun[2] == job

    fleet(story)


async def _has_begun(work, count):
    return len(work.begun) >= count


def test_a_stop_begins_nothing_and_waits_for_what_has_begun(fleet):
    async def story(queue, _):
        work = Work(queue, slots=1)
        await queue.defer(passes("a", "b"))
        await work.has(*passes("a"))
        work.task.cancel()
        assert await lengths(queue) == (1, 1)
        assert not work.task.done()
        work.leave.set()
        await asyncio.wait([work.task], timeout=20)
        assert work.task.cancelled()
        assert await lengths(queue) == (1, 0)
        assert len(work.begun) == 1

    fleet(story)


def test_the_board_tells_a_planner_how_turns_have_ended_and_what_was_lost(fleet):
    async def story(queue, board):
        a, b = PastTurn("acme/a", "cron", 0.0, ("7",)), PastTurn("acme/b", "cron", 0.0)
        await board.plan([a, b], [])
        await queue.defer(passes("a"))
        assert await board.lost() == ["acme/b"]
        assert await board.started("acme/a") == ("7",)
        assert (await board.news(0)).ended == ()
        end = TurnEnd("failed", "no\nwords", ("7",), 30.0, caught_up=False, complete=False)
        await board.ended("acme/a", end)
        (told,) = (await board.news(0)).ended
        assert (told.repo, told.failures, told.end.error) == ("acme/a", 1, "no\nwords")
        assert 20 < told.end.again_in <= 30
        assert (told.end.caught_up, told.end.complete, told.complete_ago) == (False, False, None)
        assert 0 < told.behind_for < 60
        assert (await board.news(0)).ended == ()
        turns = {it.repo: it for it in await board.turns()}
        assert turns["acme/b"].end is None
        assert (turns["acme/a"].why, turns["acme/a"].announced) == ("cron", ("7",))
        await board.ended("acme/b", TurnEnd("well"))
        (told,) = (await board.news(0)).ended
        assert (told.end.caught_up, told.end.complete, told.behind_for) == (True, True, None)
        assert 0 <= told.complete_ago < 60
        await board.forget(["acme/b"])
        assert [it.repo for it in await board.turns()] == ["acme/a"]

    fleet(story)


def test_wakes_are_kept_until_a_turn_serves_them(fleet):
    async def story(_, board):
        await board.wake([Wake("acme/a", "webhook", "7"), Wake("", "again", eager=True)])
        first, second = (await board.news(0)).wakes
        assert (first.run, second.repo, second.eager) == ("7", "", True)
        assert (await board.news(first.number)).wakes == (second,)
        assert await board.begun_since([first.number]) == []
        assert await board.started("acme/a") == ("7",)
        (begun,) = await board.begun_since([first.number])
        assert begun.end is None
        await board.plan([], [first.number])
        assert (await board.news(0)).wakes == (second,)

    fleet(story)


def test_what_a_dead_worker_had_in_hand_goes_to_another_and_its_end_ends_nothing(postgres):
    async def story():
        url = postgres.schema()
        silent = job_queue.QueueTimers(heartbeat=3600.0, stalled=0.3, poll=0.2)
        async with by_procrastinate(url, silent) as (queue, _):
            frozen = Work(queue, slots=1)  # or it takes the job again itself
            await queue.defer(passes("a"))
            await frozen.has(*passes("a"))
            await until(lambda: _is_stalled(queue))
            await until(lambda: _requeues(queue))
            async with by_procrastinate(url) as (other, _):
                work = Work(other)
                await work.has(*passes("a"))
                frozen.leave.set()
                await until(lambda: _ended(frozen))
                assert await lengths(other) == (0, 1)
                work.leave.set()
                await until(lambda: _is_empty(other))
                await work.end()
            await frozen.end()

    asyncio.run(story())


NEWER = {"kind": "polish", "repo": "acme/a", "shine": 7}


def test_jobs_of_another_version_go_on_as_they_were_and_are_left_out_with_a_word(postgres):
    """Guards against: a planner that stops at one of them, and jobs that vanish unheard of."""

    async def story():
        url = postgres.schema()
        silent = job_queue.QueueTimers(heartbeat=3600.0, stalled=0.3, poll=0.2)
        async with by_procrastinate(url, silent) as (queue, _):
            frozen = Work(queue, slots=1)
            await queue.defer(passes("a"))
            await frozen.has(*passes("a"))
            with psycopg.connect(url, autocommit=True) as connection:
                args = "UPDATE procrastinate_jobs SET args = %s"
                connection.execute(args, [psycopg.types.json.Jsonb(NEWER)])
                await until(lambda: _requeues(queue))
                kept = "SELECT args FROM procrastinate_jobs WHERE status = 'todo'"
                assert connection.execute(kept).fetchall() == [(NEWER,)]
            with capture_logs() as logs:
                frozen.leave.set()
                await until(lambda: _is_empty(queue))
            assert [it.repo for it in frozen.begun] == ["acme/a"]
            (said,) = [it for it in logs if it["event"] == "a job of another version is left out"]
            assert said["kind"] == "polish"
            await frozen.end()

    asyncio.run(story())


def test_who_begins_a_turn_learns_that_a_newer_program_has_changed_the_tables(postgres):
    async def story():
        database = Coordination(postgres.schema())
        await tables.bring_up(database)
        await database.ask("UPDATE fleet_version SET version = 99")
        with pytest.raises(LedgerTooNew):
            await PostgresTurnBoard(database, "mirror").started("acme/a")
        await database.aclose()

    asyncio.run(story())


GETS_IN_THE_WAY = """
CREATE SEQUENCE tries;
CREATE FUNCTION get_in_the_way() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF nextval('tries') < 3 THEN RAISE 'another transaction' USING ERRCODE = '40001'; END IF;
  RETURN OLD;
END $$;
CREATE TRIGGER get_in_the_way BEFORE DELETE ON procrastinate_jobs
  FOR EACH ROW EXECUTE FUNCTION get_in_the_way()
"""


def test_the_end_of_a_job_is_noted_also_where_that_is_refused_at_first(postgres):
    """Else it would be a live worker's for ever, and block its repository."""

    async def story():
        url = postgres.schema()
        async with by_procrastinate(url) as (queue, _):
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(GETS_IN_THE_WAY)
            work = Work(queue)
            work.leave.set()
            await queue.defer(passes("a"))
            await work.has(*passes("a"))
            await until(lambda: _is_empty(queue))
            assert len(work.begun) == 1
            await work.end()

    asyncio.run(story())


async def _is_stalled(queue):
    return (await queue.lengths()).stalled == 1


async def _requeues(queue):
    return await queue.requeue_stalled() == 1


async def _ended(work):
    return work.together == 0


def test_a_lost_server_is_waited_for(postgres):
    async def story():
        url = postgres.schema()
        async with by_procrastinate(url) as (queue, _):
            work = Work(queue)
            work.leave.set()
            await queue.defer(passes("a"))
            await work.has(*passes("a"))
            postgres.ask(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
            )
            await queue.defer(passes("b"))
            await work.has(*passes("a", "b"))
            await work.end()

    asyncio.run(story())


def test_ten_thousand_are_deferred_and_fetched_in_little_time_and_memory(postgres):
    async def story():
        async with by_procrastinate(postgres.schema()) as (queue, board):
            names = [f"acme/repository-{number}" for number in range(10_000)]
            before, began = getrusage(RUSAGE_SELF).ru_maxrss, time.monotonic()
            await board.plan([PastTurn(it, "interval", 0.0) for it in names], [])
            assert await queue.defer([Job(JobKind.PASS, it) for it in names]) == 10_000
            assert time.monotonic() - began < 60
            assert getrusage(RUSAGE_SELF).ru_maxrss - before < 100 << 10
            assert await board.lost() == []
            work = Work(queue)
            work.leave.set()
            await until(lambda: _has_begun(work, 20))
            await work.end()

    asyncio.run(story())


def test_workers_are_seen_from_everywhere_until_they_leave(postgres):
    async def story():
        database = Coordination(postgres.schema())
        await tables.bring_up(database)
        one, two = (PostgresWorkerRegistry(database, 60.0) for _ in range(2))
        await one.beat(WorkerSign("one", "here", 7))
        await two.beat(WorkerSign("two", "there", 8, ("acme/a", "acme/b"), planner=True))
        await two.beat(WorkerSign("two", "there", 8, ("acme/b",), planner=True))
        seen = await one.workers()
        assert [(it.name, it.host, it.pid, it.repo, it.planner) for it in seen] == [
            ("one", "here", 7, None, False),
            ("two", "there", 8, "acme/b", True),
        ]
        await two.leave()
        assert [it.name for it in await one.workers()] == ["one"]
        await database.aclose()

    asyncio.run(story())
