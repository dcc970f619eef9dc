"""``ports.JobQueue`` by Procrastinate, in the ledger's database.

Nothing is ever deferred into the future: such a job blocks ready ones of its lock. What has to be
done later is a new job behind the others, so that each try has a number of its own, and a worker
that wakes up late ends its own try only.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec
import procrastinate
import psycopg
from msgspec import Struct
from procrastinate import exceptions, manager
from procrastinate.jobs import Status
from procrastinate.schema import SchemaManager
from procrastinate.types import JobToDefer
from psycopg.conninfo import conninfo_to_dict

from artifact_sync.domain.errors import LedgerUnreachable
from artifact_sync.domain.jobs import Job, JobKind, QueueLengths
from artifact_sync.fleet.coordination import kind_of_error
from artifact_sync.fleet.queue_lengths import QUEUE_LENGTHS
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.postgres_terms import CONNECTION_TERMS
from artifact_sync.runtime.tasks import is_being_cancelled

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from procrastinate.jobs import Job as RawJob

    from artifact_sync.fleet.coordination import Coordination

_log = get_logger(__name__)

_TASK = "artifact-sync"
_AT_ONCE = 1000
"""Jobs that one statement defers."""
_TRIES = 5
"""Of a statement that another process gets into the way of."""
_FIRST, _LONGEST = 0.5, 10.0
"""Seconds until a lost queue is tried again, at first and at most."""
_NOTING = 60.0
"""Seconds in which the end of a job is noted: a worker gives no signs of life then, either."""
_CONNECTIONS = 4
_ANSWER = 10.0
"""Seconds in which the server answers what it is asked here, unless it is lost."""
_GIVEN_UP = 20_000
"""Milliseconds of a server's silence, unless the URL says otherwise."""
_LAST_TABLE = "procrastinate_workers"
_BY_LOCK = (
    "CREATE INDEX fleet_jobs_lock ON procrastinate_jobs (lock) WHERE status IN ('todo', 'doing')"
)
"""Each fetch looks for other jobs of a lock, for which Procrastinate's own index is not made."""
_MANY = 500
"""Jobs put at a time after which the table's statistics are made anew: without them a fetch looks
at all jobs, and takes seconds where they are thousands."""
_RAISE = (
    "UPDATE procrastinate_jobs SET priority = it.priority"
    " FROM unnest(%(jobs)s::procrastinate_job_to_defer_v1[]) AS it WHERE status = 'todo'"
    " AND procrastinate_jobs.queueing_lock = it.queueing_lock"
    " AND procrastinate_jobs.priority < it.priority"
)
_DEFER = (
    "SELECT unnest(procrastinate_defer_jobs_v1((SELECT array_agg(it)"
    " FROM unnest(%(jobs)s::procrastinate_job_to_defer_v1[]) AS it WHERE NOT EXISTS (SELECT"
    " FROM procrastinate_jobs job WHERE job.status = 'todo'"
    " AND job.queueing_lock = it.queueing_lock)))) AS id"
)
_WITHDRAW = (
    "DELETE FROM procrastinate_jobs WHERE queue_name = %(queue)s AND status = 'todo'"
    " AND args ->> 'kind' = %(kind)s RETURNING args ->> 'repo' AS repo"
)


class QueueTimers(Struct, frozen=True):
    """Seconds."""

    heartbeat: float = 10.0
    """Between two signs of life."""
    stalled: float = 15.0
    """Without a sign of life, after which others take a worker's jobs over."""
    poll: float = 5.0
    """Between two looks at the queue, where no notification comes."""


async def make_tables(database: Coordination) -> None:
    """Make the queue's tables where there are none."""
    if await database.has_table(_LAST_TABLE):
        return
    async with database.making_tables():
        if not await database.has_table(_LAST_TABLE):
            await database.ask(SchemaManager.get_schema().replace("%", "%%"))
            await database.ask(_BY_LOCK)


class ProcrastinateQueue:
    """The queue of one mirror. Made by ``open_queue``."""

    def __init__(self, app: procrastinate.App, mirror: str, timers: QueueTimers) -> None:
        self._app = app
        self._mirror = mirror
        self._timers = timers

    async def defer(self, jobs: Sequence[Job]) -> int:
        """Put jobs into the queue; see ``ports.JobQueue``."""
        put = 0
        for start in range(0, len(jobs), _AT_ONCE):
            put += await self._defer([self._deferred(it) for it in jobs[start : start + _AT_ONCE]])
        if put >= _MANY:
            async with _told():
                await self._app.connector.execute_query_async("ANALYZE procrastinate_jobs")
        return put

    async def work(self, carry_out: Callable[[Job], Awaitable[bool]], slots: int) -> None:
        """Carry out jobs; see ``ports.JobQueue``."""

        async def carry(**facts: Any) -> None:
            job = _job(facts)
            if job is not None and not await carry_out(job):
                await self.defer([job])

        self._app.task(name=_TASK, queue=self._mirror)(carry)
        delay = _FIRST
        while True:
            began = monotonic()
            why = await self._work(slots)
            delay = _FIRST if monotonic() - began > _LONGEST else min(2 * delay, _LONGEST)
            _log.warning("the queue of jobs was lost and is tried again", in_s=delay, why=why)
            await asyncio.sleep(delay)

    async def _work(self, slots: int) -> str:
        """Work until the server is lost; why it was."""
        try:
            await self._app.run_worker_async(
                queues=[self._mirror],
                concurrency=slots,
                install_signal_handlers=False,
                delete_jobs="always",
                update_heartbeat_interval=self._timers.heartbeat,
                stalled_worker_timeout=self._timers.stalled,
                fetch_job_polling_interval=self._timers.poll,
            )
        except (exceptions.ProcrastinateException, psycopg.Error, OSError) as error:
            if is_being_cancelled():  # a stop, of which this is the answer
                raise asyncio.CancelledError from None
            return _words(error)
        return "its connection"

    async def requeue_stalled(self) -> int:
        """Put jobs back; see ``ports.JobQueue``."""
        jobs = self._app.job_manager
        async with _told():
            stalled = await jobs.get_stalled_jobs(
                queue=self._mirror, seconds_since_heartbeat=self._timers.stalled
            )
            for it in (found := list(stalled)):
                await self._defer([self._again(it)])
                await jobs.finish_job(it, Status.ABORTED, delete_job=True)
        return len(found)

    async def withdraw(self) -> Sequence[str]:
        """Take passes back; see ``ports.JobQueue``."""
        ask = self._app.connector.execute_query_all_async
        async with _told():
            rows = await ask(_WITHDRAW, queue=self._mirror, kind=str(JobKind.PASS))
        return [row["repo"] for row in rows]

    async def lengths(self) -> QueueLengths:
        """Count the jobs; see ``ports.JobQueue``."""
        async with _told():
            (row,) = await self._app.connector.execute_query_all_async(
                QUEUE_LENGTHS, queue=self._mirror, silent=self._timers.stalled
            )
        return QueueLengths(**row)

    async def _defer(self, jobs: list[JobToDefer]) -> int:
        ask = self._app.connector.execute_query_all_async
        async with _told():
            if any(it.priority for it in jobs):
                await self._app.connector.execute_query_async(_RAISE, jobs=jobs)
            for _ in range(_TRIES):
                try:
                    return len(await ask(_DEFER, jobs=jobs))
                except exceptions.UniqueViolation:  # somebody has just put one of them
                    continue
        return 0

    def _deferred(self, job: Job) -> JobToDefer:
        lock = f"{self._mirror}/{job.repo or ':' + job.kind}"
        facts: dict[str, Any] = msgspec.to_builtins(job)
        return JobToDefer(self._mirror, _TASK, job.priority, lock, lock, facts, None)

    def _again(self, job: RawJob) -> JobToDefer:
        """As it was: it may be of a version that knows more than this one."""
        locks = (job.lock, job.queueing_lock or job.lock)
        return JobToDefer(self._mirror, _TASK, job.priority, *locks, job.task_kwargs, None)


class _Manager(manager.JobManager):
    """Notes the ends of jobs also where the server is away for a while.

    Else nobody would do such a job again as long as its worker gives signs of life. It does not
    mind what others have taken over.
    """

    async def finish_job(self, *args: Any, **more: Any) -> None:
        until, pause = monotonic() + _NOTING, _FIRST
        while True:
            try:
                return await super().finish_job(*args, **more)
            except (exceptions.ConnectorException, psycopg.Error) as error:
                if not _is_lost(error) or monotonic() + pause > until:
                    _log.debug("the end of a job could not be noted", why=_words(error))
                    return None
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST)


def _job(facts: dict[str, Any]) -> Job | None:
    """A job of the queue; None: another version has put it there, and will do so again."""
    try:
        return msgspec.convert(facts, Job)
    except msgspec.ValidationError:
        _log.warning("a job of another version is left out", kind=str(facts.get("kind")))
        return None


@asynccontextmanager
async def open_queue(
    url: str, mirror: str, timers: QueueTimers
) -> AsyncGenerator[ProcrastinateQueue]:
    """Open the queue of a mirror. ``LedgerUnreachable``."""
    logging.getLogger("procrastinate").setLevel(logging.CRITICAL)  # we say ourselves what counts
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    connector = procrastinate.PsycopgConnector(
        kwargs={
            **CONNECTION_TERMS,
            "tcp_user_timeout": _GIVEN_UP,
            **conninfo_to_dict(url),
        },
        min_size=1,
        max_size=_CONNECTIONS,
        timeout=5.0,
        configure=_committing,
    )
    app = procrastinate.App(connector=connector)
    app.job_manager = _Manager(connector)
    async with _told():
        await app.open_async()
    try:
        yield ProcrastinateQueue(app, mirror, timers)
    finally:
        await app.close_async()


async def _committing(raw: psycopg.AsyncConnection[Any]) -> None:
    """Have each statement commit by itself: whatever is asked here is one."""
    await raw.set_autocommit(True)


@asynccontextmanager
async def _told() -> AsyncGenerator[None]:
    """Errors, and silence, in our words."""
    try:
        async with asyncio.timeout(_ANSWER):
            yield
    except (exceptions.ProcrastinateException, psycopg.Error, OSError) as error:
        raise LedgerUnreachable(
            f"the queue of jobs in the ledger's database cannot be reached ({_words(error)})"
        ) from None


def _is_lost(error: Exception) -> bool:
    """Whether the connection is, and not the statement wrong."""
    return isinstance(error.__cause__ or error, psycopg.OperationalError | psycopg.InterfaceError)


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer, or no connection left, within {_ANSWER:.0f} s"
    return kind_of_error(error.__cause__ or error)
