"""``JobQueue`` and ``TurnBoard`` in memory, for tests of the planner."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec.structs import replace

from artifact_sync.domain.jobs import BoardNews, Job, JobKind, PastTurn, QueueLengths, TurnEnd, Wake

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence


def _lock(job: Job) -> tuple[str, str]:
    return job.kind, job.repo


@dataclass
class MemoryQueue:
    waiting: list[Job] = field(default_factory=list)
    running: list[Job] = field(default_factory=list)
    dead: list[Job] = field(default_factory=list)
    """Jobs in hand of workers that have died."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def defer(self, jobs: Sequence[Job]) -> int:
        put = 0
        for job in jobs:
            known = next((it for it in self.waiting if _lock(it) == _lock(job)), None)
            if known is None:
                self.waiting.append(job)
                put += 1
            elif job.priority > known.priority:
                place = self.waiting.index(known)
                self.waiting[place] = replace(known, priority=job.priority)
        self.changed.set()
        return put

    def fetch(self) -> Job | None:
        """The next job that a worker would get."""
        held = {_lock(it) for it in (*self.running, *self.dead)}
        free = [it for it in self.waiting if _lock(it) not in held]
        job = max(free, key=lambda it: it.priority, default=None)
        if job is not None:
            self.waiting.remove(job)
            self.running.append(job)
        return job

    async def work(self, carry_out: Callable[[Job], Awaitable[bool]], slots: int) -> None:
        tasks: set[asyncio.Task[None]] = set()

        async def carry(job: Job) -> None:
            try:
                later = not await carry_out(job)
            finally:
                self.running.remove(job)
            if later:
                self.waiting.append(job)
            self.changed.set()

        try:
            while True:
                self.changed.clear()
                while len(self.running) < slots and (job := self.fetch()) is not None:
                    task = asyncio.create_task(carry(job))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                await self.changed.wait()
        except asyncio.CancelledError:
            if tasks:
                await asyncio.wait(tasks)
            raise

    async def requeue_stalled(self) -> int:
        dead, self.dead = self.dead, []
        await self.defer(dead)
        return len(dead)

    async def withdraw(self) -> Sequence[str]:
        gone = [it for it in self.waiting if it.kind is JobKind.PASS]
        self.waiting = [it for it in self.waiting if it not in gone]
        return [it.repo for it in gone]

    async def lengths(self) -> QueueLengths:
        return QueueLengths(len(self.waiting), len(self.running) + len(self.dead), len(self.dead))


@dataclass
class _Row:
    turn: PastTurn
    began: float
    ended: float = 0.0
    started: float = -1.0
    heard: bool = True
    caught_up: float = 0.0
    complete: float | None = None

    def __post_init__(self) -> None:
        self.caught_up = self.caught_up or self.began


@dataclass
class MemoryBoard:
    queue: MemoryQueue
    now: Callable[[], float]
    rows: dict[str, _Row] = field(default_factory=dict)
    wakes: list[tuple[float, Wake]] = field(default_factory=list)
    count: int = 0

    def _past(self, row: _Row) -> PastTurn:
        now = self.now()
        ended_ago = now - row.ended if row.turn.end else 0.0
        behind = row.turn.end is not None and not row.turn.end.caught_up
        return replace(
            row.turn,
            began_ago=now - row.began,
            ended_ago=ended_ago,
            behind_for=now - row.caught_up if behind else None,
            complete_ago=None if row.complete is None else now - row.complete,
        )

    async def turns(self) -> Sequence[PastTurn]:
        for row in self.rows.values():
            row.heard = True
        return [self._past(it) for it in self.rows.values()]

    async def news(self, wakes_after: int) -> BoardNews:
        unheard = [it for it in self.rows.values() if not it.heard]
        for row in unheard:
            row.heard = True
        wakes = [it for _, it in self.wakes if it.number > wakes_after]
        return BoardNews(self.now(), tuple(map(self._past, unheard)), tuple(wakes))

    async def plan(self, turns: Sequence[PastTurn], wakes: Sequence[int]) -> None:
        for it in turns:
            old = self.rows.get(it.repo)
            known = (old.turn.failures, old.turn.found) if old else (0, None)
            turn = replace(it, failures=known[0], found=known[1])
            started = old.started if old else -1.0
            self.rows[it.repo] = _Row(turn, self.now(), started=started)
        self.wakes = [it for it in self.wakes if it[1].number not in wakes]

    async def announce(self, turns: Sequence[PastTurn]) -> None:
        for it in turns:
            if row := self.rows.get(it.repo):
                row.turn = replace(row.turn, announced=it.announced)

    async def begun_since(self, wakes: Sequence[int]) -> Sequence[PastTurn]:
        latest: dict[str, float] = {}
        for at, it in self.wakes:
            if it.number in wakes:
                latest[it.repo] = max(at, latest.get(it.repo, at))
        rows = [(self.rows[repo], at) for repo, at in latest.items() if repo in self.rows]
        return [self._past(row) for row, at in rows if row.started > at]

    async def lost(self) -> Sequence[str]:
        every = (*self.queue.waiting, *self.queue.running, *self.queue.dead)
        there = {it.repo for it in every if it.kind is JobKind.PASS}
        return [it for it, row in self.rows.items() if row.turn.end is None and it not in there]

    async def forget(self, repos: Sequence[str]) -> None:
        for repo in repos:
            self.rows.pop(repo, None)

    async def wake(self, wakes: Sequence[Wake]) -> None:
        for it in wakes:
            self.count += 1
            self.wakes.append((self.now(), replace(it, number=self.count)))

    async def started(self, repo: str) -> tuple[str, ...]:
        row = self.rows.setdefault(repo, _Row(PastTurn(repo, "", 0.0), self.now()))
        row.started, row.turn = self.now(), replace(row.turn, end=None)
        runs = [it.run for _, it in self.wakes if it.repo == repo and it.run is not None]
        return tuple(dict.fromkeys((*row.turn.announced, *runs)))

    async def ended(self, repo: str, end: TurnEnd) -> None:
        row = self.rows[repo]
        failed = row.turn.failures + (end.verdict in {"failed", "unasked"})
        failures = 0 if end.verdict == "well" else failed
        found = row.turn.found if end.found is None else end.found
        row.turn = replace(row.turn, end=end, failures=failures, found=found)
        row.ended, row.heard = self.now(), False
        row.caught_up = row.ended if end.caught_up else row.caught_up
        row.complete = row.ended if end.complete else row.complete
