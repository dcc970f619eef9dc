"""Reads who works on a mirror and what waits, also while nobody does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from artifact_sync.domain.jobs import FleetState, LockSeen, QueueLengths
from artifact_sync.fleet import tables
from artifact_sync.fleet.advisory_locks import lock_key
from artifact_sync.fleet.queue_lengths import QUEUE_LENGTHS
from artifact_sync.fleet.worker_registry import PostgresWorkerRegistry
from artifact_sync.runtime.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from artifact_sync.domain.model import RepoName
    from artifact_sync.fleet.coordination import Coordination

_REPOS = "SELECT repo FROM fleet_turns UNION SELECT org || '/' || repo FROM repositories"
_MIRROR = "SELECT value FROM meta WHERE key = 'mirror'"
_LOCKS = (
    "SELECT (classid::bigint << 32) | objid::bigint, held.pid, coalesce(host(client_addr), ''),"
    " coalesce(application_name, '')"
    " FROM pg_locks held LEFT JOIN pg_stat_activity it ON it.pid = held.pid"
    " WHERE locktype = 'advisory' AND granted AND objsubid = 1"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_NAME = re.compile(r"artifact-sync.* on .* \(process \d+\)")
"""Of a session for locks, unless the ledger's URL has another one."""


async def overview(database: Coordination, seconds: float) -> FleetState:
    """What is known of all workers. ``LedgerUnreachable``.

    ``seconds``: for which a worker without a sign of life counts as there.
    """
    if not await tables.exist(database):
        return FleetState()
    workers = await PostgresWorkerRegistry(database, seconds).workers()
    mirror = await _mirror(database)
    queue, locks = await _queue(database, mirror, seconds), await _locks(database, mirror)
    planner = next((it.name for it in workers if it.planner), None)
    return FleetState(tuple(workers), queue, planner, tuple(locks))


async def holder(database: Coordination, repo: RepoName, seconds: float) -> str | None:
    """Who works on a repository, in words; None: nobody who says so. ``LedgerUnreachable``."""
    if await tables.exist(database):
        workers = await PostgresWorkerRegistry(database, seconds).workers()
        if named := next((it.in_words for it in workers if str(repo) in it.repos), None):
            return named
    key = lock_key("repository", await _mirror(database), *repo)
    names = (name for it, _, _, name in await database.ask(_LOCKS) if it == key)
    return next((printable(name) for name in names if _NAME.fullmatch(name)), None)


async def _mirror(database: Coordination) -> str:
    """Its id; empty: it has none yet."""
    return next((value for (value,) in await database.ask(_MIRROR)), "")


async def _queue(database: Coordination, mirror: str, seconds: float) -> QueueLengths:
    if not await database.has_table("procrastinate_jobs"):
        return QueueLengths()
    asked = {"queue": mirror, "silent": seconds}
    return QueueLengths(*(await database.ask(QUEUE_LENGTHS, asked))[0])


async def _locks(database: Coordination, mirror: str) -> Sequence[LockSeen]:
    held = await database.ask(_LOCKS)
    if not held:
        return ()
    names = {
        lock_key("repository", mirror, *repo.split("/", 1)): repo
        for (repo,) in await database.ask(_REPOS)
    }
    return [LockSeen(names[it], pid, host) for it, pid, host, _ in held if it in names]
