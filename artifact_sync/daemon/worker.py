"""Carries out the jobs of one worker, and tells the others of itself."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from artifact_sync.daemon.schedule.turns import PassVerdict, Turn, Why, told
from artifact_sync.domain.errors import LedgerTooNew, RepositoryBusy
from artifact_sync.domain.jobs import URGENT, Job, JobKind, TurnEnd, WorkerSign
from artifact_sync.domain.model import RepoName
from artifact_sync.domain.slugs import is_slug
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.text import printable
from artifact_sync.sync.failures import explained

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping

    from artifact_sync.daemon.context import DaemonContext
    from artifact_sync.daemon.job_agenda import JobAgenda
    from artifact_sync.daemon.schedule.turns import Ended
    from artifact_sync.daemon.scheduler import Scheduler
    from artifact_sync.domain.ports import (
        JobQueue,
        Lease,
        RepositoryLock,
        TurnBoard,
        WorkerRegistry,
    )

_log = get_logger(__name__)

SLOTS = 12
"""Jobs of one worker at the same time."""

PATIENCE = 5.0
"""Seconds for which a job waits for its repository or the mirror, before it goes back."""

_BEAT = 2.0
"""Seconds between two signs of life for those who ask for the status."""


class PatientLock:
    """A ``RepositoryLock`` that is waited for some seconds, and no longer."""

    def __init__(self, lock: RepositoryLock, seconds: float = PATIENCE) -> None:
        self._lock = lock
        self._seconds = seconds

    @asynccontextmanager
    async def hold(self, repo: RepoName, *, wait: bool = True) -> AsyncGenerator[Lease]:
        """Hold a repository; ``RepositoryBusy`` also when it has been waited for."""
        held = self._lock.hold(repo, wait=wait)
        try:
            async with asyncio.timeout(self._seconds):
                lease = await held.__aenter__()
        except TimeoutError:
            raise RepositoryBusy(repo) from None
        try:
            yield lease
        except BaseException as error:
            if not await held.__aexit__(type(error), error, error.__traceback__):
                raise
        else:
            await held.__aexit__(None, None, None)


class JobRunner(Struct, frozen=True):
    """Carries out jobs by the worker's agenda."""

    agenda: JobAgenda
    board: TurnBoard
    context: DaemonContext
    scheduler: Scheduler
    chores: Mapping[JobKind, Callable[[], Coroutine[Any, Any, None]]]
    """What is done beside passes."""
    count: Callable[[JobKind, str], None] = lambda _kind, _outcome: None
    """Counts each job by how it ended: ``done``, ``failed`` or ``put_back``."""

    async def carry_out(self, job: Job) -> bool:
        """Carry out a job; False: it has to be done later."""
        if job.kind is JobKind.PASS:
            return await self._turn(job)
        await self.scheduler.check_ledger()
        if self.scheduler.stopping.is_set():
            return False
        chore = self.scheduler.spawn(self.chores[job.kind]())
        await asyncio.wait([chore])
        error = None if chore.cancelled() else chore.exception()
        if error is not None:
            _log.error("a look has failed", job=str(job.kind), **explained(error))
        self.count(job.kind, "done" if error is None else "failed")
        return True

    async def _turn(self, job: Job) -> bool:
        repo = RepoName.parse(job.repo)
        announced = await self._started(job.repo)
        runs = tuple(dict.fromkeys((*job.announced, *announced)))
        turn = Turn(repo, told(job.why, Why.AGAIN), job.eager, runs)
        ended = await self.agenda.carry_out(turn, PATIENCE, probe=job.probe)
        if ended is None or ended.verdict is PassVerdict.BUSY or self.scheduler.stopping.is_set():
            self.count(job.kind, "put_back")
            return False
        await self.board.ended(job.repo, self._told(repo, ended))
        self.count(job.kind, "done" if ended.verdict is PassVerdict.WELL else "failed")
        return True

    async def _started(self, repo: str) -> tuple[str, ...]:
        """Tell the planner; stop where that is of a newer version, and the job goes back."""
        try:
            return await self.board.started(repo)
        except LedgerTooNew as error:
            self.scheduler.stop_outdated(error)
            return ()

    def _told(self, repo: RepoName, ended: Ended) -> TurnEnd:
        again = ended.again_at
        seconds = None if again is None else max(self.context.moment.until(again), 0.0)
        listed = self.context.repositories.listed(repo.org) if repo.is_star else None
        # one of another version's ledger may have a slug that no other worker can read
        found = None if listed is None else tuple(str(it) for it in listed if is_slug(it.repo))
        # no database takes all that a path of a message can hold
        told = (str(ended.verdict), printable(ended.error), ended.finished, seconds, found)
        return TurnEnd(*told, *self.context.lags.last(repo))


class WakeTeller(Struct, frozen=True):
    """Tells queue and planner of webhooks and other wakes. ``run`` until cancelled."""

    agenda: JobAgenda
    board: TurnBoard
    queue: JobQueue
    wake_up: Callable[[], None]
    """Has the worker look at its agenda."""

    async def run(self) -> None:
        """Tell of all wakes as they come."""
        while True:
            await self.agenda.changed.wait()
            self.agenda.changed.clear()
            self.wake_up()
            await self._tell()

    async def _tell(self) -> None:
        wakes = list(self.agenda.wakes)
        if not wakes:
            return
        try:
            await self.board.wake(wakes)
            # told before it is planned: a webhook does not wait for a planner
            now = [it for it in wakes if it.repo and it.why == Why.WEBHOOK]
            await self.queue.defer([_urgent(it.repo, it.run) for it in now])
        except BaseException:
            self.agenda.changed.set()
            raise
        for _ in wakes:
            self.agenda.wakes.popleft()


def _urgent(repo: str, run: str | None) -> Job:
    runs = () if run is None else (run,)
    return Job(JobKind.PASS, repo, str(Why.WEBHOOK), announced=runs, priority=URGENT)


class WorkerBeat(Struct, frozen=True):
    """Gives signs of life until cancelled."""

    registry: WorkerRegistry
    context: DaemonContext
    name: str
    host: str
    pid: int
    plans: Callable[[], bool]
    is_daemon: bool = False

    async def run(self) -> None:
        """Tell what this process does, again and again."""
        try:
            while True:
                await self.registry.beat(self._sign())
                await self.context.engine.clock.sleep(_BEAT)
        finally:
            await self.registry.leave()

    def _sign(self) -> WorkerSign:
        repos = tuple(it.repo for it in self.context.progress.passes())
        names = printable(self.name), printable(self.host)
        return WorkerSign(*names, self.pid, repos, self.plans(), self.is_daemon)
