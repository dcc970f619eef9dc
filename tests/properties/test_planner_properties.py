"""The planner on any day: planners and workers die, webhooks come, passes fail."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from memory_fleet import MemoryBoard, MemoryQueue

from artifact_sync.daemon.planner import FleetSchedule, PlannerPorts
from artifact_sync.domain.jobs import URGENT, Job, JobKind, TurnEnd, Wake
from artifact_sync.domain.settings import Config, DaemonSettings, RepoSettings

INTERVAL = 60.0
REPOS = ("acme/a", "acme/b", "acme/c")
CONFIG = Config(
    daemon=DaemonSettings(interval=INTERVAL), repo=tuple(RepoSettings(name=it) for it in REPOS)
)


class Clock:
    """Of one machine, which may be an hour off."""

    def __init__(self, day: AnyDay, hours: int) -> None:
        self._day, self._hours = day, hours

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._day.now, UTC) + timedelta(hours=self._hours)

    def monotonic(self) -> float:
        return self._day.now + 7.0 * self._hours

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


class AnyDay(RuleBasedStateMachine):
    """A planner is stepped by hand; jobs are what workers have in hand."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_800_000_000.0
        self.queue = MemoryQueue()
        self.board = MemoryBoard(self.queue, lambda: self.now)
        self.begun: dict[str, list[float]] = {it: [] for it in REPOS}
        self.extra = dict.fromkeys(REPOS, 0)
        """What may make one more pass each."""
        self.webhooks: dict[tuple[str, str], float] = {}
        self.seen: dict[tuple[str, str], float] = {}
        self.announced: dict[str, tuple[str, ...]] = {}
        """Runs that the last pass over each has looked for."""
        self.take_over(0)

    def do(self, work) -> object:
        """Run what never waits, without the cost of an event loop."""
        try:
            work.send(None)
        except StopIteration as done:
            return done.value
        raise AssertionError("it waits")

    def step(self) -> None:
        async def look():
            await self.planner.follow()
            await self.planner.begin_due()

        self.do(look())

    @rule(hours=st.integers(-1, 1))
    def take_over(self, hours: int) -> None:
        """Another process plans, by a clock of its own."""
        ports = PlannerPorts(None, self.queue, self.board, Clock(self, hours))
        self.planner = FleetSchedule(ports, lambda: CONFIG)
        self.do(self.planner.take_up())

    @rule(seconds=st.sampled_from([0.5, 5.0, 30.0, 70.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.step()

    @rule()
    def a_worker_begins(self) -> None:
        job = self.queue.fetch()
        if job is not None and job.kind is JobKind.PASS:
            self.begun[job.repo].append(self.now)
            self.announced[job.repo] = self.do(self.board.started(job.repo))
            for run in self.announced[job.repo]:
                self.seen[job.repo, run] = self.now

    @rule(verdict=st.sampled_from(["well", "well", "well", "failed"]))
    def a_worker_ends(self, verdict: str) -> None:
        if self.queue.running:
            job = self.queue.running[0]
            if verdict == "failed":
                self.extra[job.repo] += 1
            self.do(self.board.ended(job.repo, TurnEnd(verdict, finished=self.announced[job.repo])))
            self.queue.running.pop(0)

    @rule()
    def a_worker_dies(self) -> None:
        if self.queue.running:
            job = self.queue.running.pop(0)
            self.extra[job.repo] += 1
            self.queue.dead.append(job)

    @rule()
    def a_job_is_lost(self) -> None:
        if self.queue.waiting:
            self.extra[self.queue.waiting.pop(0).repo] += 1

    @rule()
    def sweep(self) -> None:
        self.do(self.planner.sweep())

    @rule(repo=st.sampled_from(REPOS), run=st.sampled_from(["7", "8"]))
    def a_webhook_comes(self, repo: str, run: str) -> None:
        self.webhooks[repo, run] = self.now
        self.extra[repo] += 1
        self.do(self.board.wake([Wake(repo, "webhook", run)]))
        job = Job(JobKind.PASS, repo, "webhook", announced=(run,), priority=URGENT)
        self.do(self.queue.defer([job]))
        self.now += 0.01

    @invariant()
    def one_waits_and_one_runs(self) -> None:
        for jobs in (self.queue.waiting, [*self.queue.running, *self.queue.dead]):
            repos = [it.repo for it in jobs]
            assert len(repos) == len(set(repos))

    @invariant()
    def nothing_is_planned_twice(self) -> None:
        for repo, begun in self.begun.items():
            if begun:
                most = (self.now - begun[0]) / (0.9 * INTERVAL) + 1
                assert len(begun) <= most + self.extra[repo], (repo, begun)

    def teardown(self) -> None:
        """In the end workers are well: all repositories have their passes, all webhooks theirs."""
        end = self.now
        for _ in range(30):
            self.time_passes(5.0)
            self.sweep()
            while any(it.kind is JobKind.PASS for it in self.queue.waiting) or self.queue.running:
                before = len(self.queue.waiting), len(self.queue.running)
                self.a_worker_begins()
                self.a_worker_ends("well")
                if before == (len(self.queue.waiting), len(self.queue.running)):
                    break
        for repo in REPOS:
            late = [at for at in self.begun[repo] if at > end]
            assert len(late) >= 2, (repo, self.begun[repo], end)
        assert all(self.seen.get(it, 0.0) >= at for it, at in self.webhooks.items())


TestAnyDay = AnyDay.TestCase
TestAnyDay.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
