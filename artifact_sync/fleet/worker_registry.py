"""``ports.WorkerRegistry`` in PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from artifact_sync.domain.jobs import WorkerSeen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from artifact_sync.domain.jobs import WorkerSign
    from artifact_sync.fleet.coordination import Coordination

_BEAT = (
    "INSERT INTO fleet_workers (id, name, host, pid, repos, planner, daemon)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s)"
    " ON CONFLICT (id) DO UPDATE SET repos = excluded.repos, planner = excluded.planner,"
    " seen_at = clock_timestamp()"
)
_LEAVE = (
    "DELETE FROM fleet_workers WHERE id = %s OR seen_at < clock_timestamp() - interval '1 hour'"
)
_SEEN = (
    "SELECT name, host, pid, seen_at, repos, planner, daemon,"
    " extract(epoch FROM clock_timestamp() - seen_at)::float8 FROM fleet_workers WHERE seen_at >"
    " clock_timestamp() - make_interval(secs => %s) ORDER BY name, host, pid"
)


class PostgresWorkerRegistry:
    """The workers, in a table beside the queue's."""

    def __init__(self, database: Coordination, seconds: float) -> None:
        self._database = database
        self._seconds = seconds
        """For which a worker without a sign of life counts as there."""
        self._id = uuid4().hex

    async def beat(self, sign: WorkerSign) -> None:
        """Give a sign of life; see ``ports.WorkerRegistry``."""
        facts = (sign.name, sign.host, sign.pid, list(sign.repos), sign.planner, sign.daemon)
        await self._database.ask(_BEAT, [self._id, *facts])

    async def leave(self) -> None:
        """Take it back; see ``ports.WorkerRegistry``."""
        await self._database.ask(_LEAVE, [self._id])

    async def workers(self) -> Sequence[WorkerSeen]:
        """Those seen lately; see ``ports.WorkerRegistry``."""
        found = []
        for name, host, pid, seen_at, repos, *roles in await self._database.ask(
            _SEEN, [self._seconds]
        ):
            at, first = seen_at.isoformat(timespec="seconds"), repos[0] if repos else None
            found.append(WorkerSeen(name, host, pid, at, first, tuple(repos), *roles))
        return found
