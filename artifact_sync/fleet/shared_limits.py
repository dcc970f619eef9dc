"""``ports.SharedLimits`` in PostgreSQL, for all processes with one ledger."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import msgspec

from artifact_sync.domain.errors import LedgerUnreachable
from artifact_sync.domain.timetable import rate_at
from artifact_sync.fleet.leased_rate import LeasedRate, RateRule, Row
from artifact_sync.runtime.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import tzinfo

    from artifact_sync.domain.ports import Clock
    from artifact_sync.domain.settings import Timetable
    from artifact_sync.fleet.coordination import Coordination

_log = get_logger(__name__)

_QUIET = "quiet"
_BURST = 0.25
"""Seconds of a rate whose bytes may come at once."""
_LOOK = 1.0
"""Seconds until others' holds are read again where requests have no limit."""
_READ = (
    "SELECT it.version, it.state, extract(epoch FROM clock_timestamp())::float8, quiet.state"
    " FROM fleet_limits it, fleet_limits quiet WHERE it.name = %s AND quiet.name = %s"
)
_SWAP = "UPDATE fleet_limits SET version = version + 1, state = %s WHERE name = %s AND version = %s"


class PostgresRows:
    """``leased_rate.SharedRows`` in the ledger's database."""

    def __init__(self, database: Coordination, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._ahead: float | None = None
        self._holds: dict[str, float] = {}
        """Until when the service asked not to be asked, by the server's clock."""

    @property
    def now(self) -> float:
        """The server's clock, in seconds; this machine's until it is known. Thread-safe."""
        ahead = self._ahead
        if ahead is None:
            return self._clock.now().timestamp()
        return self._clock.monotonic() + ahead

    def held(self, *subjects: str) -> float:
        """Seconds for which some of these must not be asked about."""
        return max(self._holds.get(it, 0.0) for it in subjects) - self.now

    async def read(self, name: str) -> Row:
        """Read a row, and what the service asked for; see ``SharedRows``."""
        found = await self._database.ask(_READ, [name, _QUIET])
        if not found:
            raise LedgerUnreachable("the ledger's database has lost the table fleet_limits")
        ((version, state, now, quiet),) = found
        with suppress(msgspec.MsgspecError):
            self._holds = msgspec.json.decode(quiet or "{}", type=dict[str, float])
        self._ahead = now - self._clock.monotonic()
        return Row(version, state, now)

    async def swap(self, name: str, row: Row, state: str) -> bool:
        """Replace what was read; see ``SharedRows``."""
        return bool((await self._database.ask(_SWAP, [state, name, row.version]))[0][0])

    async def hold(self, subject: str, seconds: float) -> None:
        """Note what the service asked for. ``LedgerUnreachable``."""
        done = False
        while not done:
            row = await self.read(_QUIET)
            holds = {key: until for key, until in self._holds.items() if until > row.now}
            holds[subject] = max(holds.get(subject, 0.0), row.now + seconds)
            done = await self.swap(_QUIET, row, msgspec.json.encode(holds).decode())


class LeasedTurns:
    """``ports.RequestTurns`` of one process among others."""

    def __init__(
        self,
        leased: LeasedRate,
        rows: PostgresRows,
        tell: Callable[[Coroutine[None, None, None]], None],
    ) -> None:
        self.leased, self._rows, self._tell = leased, rows, tell

    async def take(self) -> None:
        """Wait for the next turn; see ``RequestTurns``."""
        await self.leased.take(1)

    def hold(self, subject: str, seconds: float) -> None:
        """Tell others soon; see ``RequestTurns``."""
        self._tell(self._rows.hold(subject, seconds))

    def held(self, subject: str) -> float:
        """Seconds as of the last lease; see ``RequestTurns``."""
        return max(self._rows.held(subject, ""), 0.0)


class LeasedBandwidth:
    """``ports.BandwidthLimit`` of one process among others."""

    def __init__(self, name: str, rows: PostgresRows, clock: Clock) -> None:
        self._rows = rows
        self._timetable: Timetable = ()
        self._zone: tzinfo = UTC
        rule = RateRule("download", self._rate_at, lambda rate: rate * _BURST)
        self.leased = LeasedRate(name, rows, clock, rule)

    async def take(self, count: int) -> None:
        """Wait until so many bytes may pass; see ``BandwidthLimit``."""
        if self._timetable:
            await self.leased.take(count)

    def rate(self) -> int | None:
        """The limit of all together; see ``BandwidthLimit``."""
        return self._rate_at(self._rows.now)

    def change(self, timetable: Timetable, zone: tzinfo) -> None:
        """Use another timetable; see ``BandwidthLimit``."""
        self._timetable, self._zone = timetable, zone
        self.leased.change()

    def _rate_at(self, moment: float) -> int | None:
        """By the server's clock, so that all change the rate together."""
        if not self._timetable:
            return None
        local = datetime.fromtimestamp(moment, UTC).astimezone(self._zone)
        return rate_at(self._timetable, local.hour * 60 + local.minute)


class PostgresLimits:
    """Leases this process's part of each limit."""

    def __init__(self, database: Coordination, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._rows = PostgresRows(database, clock)
        self._name = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self._requests: LeasedTurns | None = None
        self._bandwidth: LeasedBandwidth | None = None
        self._telling: set[asyncio.Task[None]] = set()

    def requests(self, rate: float) -> LeasedTurns:
        """The turns of this process; see ``ports.SharedLimits``."""
        rule = RateRule("requests", lambda _: rate or None, lambda _: 1.0, whole=True, look=_LOOK)
        if self._requests is None:
            leased = LeasedRate(self._name, self._rows, self._clock, rule)
            self._requests = LeasedTurns(leased, self._rows, self._tell)
        self._requests.leased.rule = rule
        return self._requests

    def bandwidth(self, timetable: Timetable, zone: tzinfo) -> LeasedBandwidth:
        """The limit of this process's downloads; see ``ports.SharedLimits``."""
        if self._bandwidth is None:
            self._bandwidth = LeasedBandwidth(self._name, self._rows, self._clock)
        self._bandwidth.change(timetable, zone)
        return self._bandwidth

    async def aclose(self) -> None:
        """Give all back, and close the connection."""
        parts = (self._requests, self._bandwidth)
        for leased in (it.leased for it in parts if it is not None):
            await leased.aclose()
        if self._telling:
            await asyncio.wait(self._telling)
        await self._database.aclose()

    def _tell(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(_told(work))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)


async def _told(work: Coroutine[None, None, None]) -> None:
    try:
        await work
    except LedgerUnreachable as error:
        _log.warning("others could not be told that the service asked to wait", why=str(error))
