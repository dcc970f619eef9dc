"""Opens the limits that processes on one mirror keep together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.app.locations import ledger_url
from artifact_sync.ledger import location

if TYPE_CHECKING:
    from contextlib import AsyncExitStack
    from datetime import tzinfo

    from artifact_sync.domain.ports import BandwidthLimit, Clock, RequestTurns, SharedLimits
    from artifact_sync.domain.settings import Config, Timetable


class LocalLimits:
    """``ports.SharedLimits`` of a process that has the mirror for itself."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def requests(self, rate: float) -> RequestTurns:
        """Turns that nobody else takes; see ``SharedLimits``."""
        from artifact_sync.source.api.rate_limit import LocalTurns  # noqa: PLC0415 - others open mirrors, too

        return LocalTurns(rate)

    def bandwidth(self, timetable: Timetable, zone: tzinfo) -> BandwidthLimit:
        """A limit that nobody else uses; see ``SharedLimits``."""
        from artifact_sync.transfer.bandwidth import BandwidthLimiter  # noqa: PLC0415 - a pass with nothing new needs none

        return BandwidthLimiter(timetable, self._clock, zone)


async def open_limits(
    config: Config, clock: Clock, stack: AsyncExitStack, *, rehearse: bool
) -> SharedLimits:
    """Open the limits of a mirror: local ones, or in a ledger's server.

    ``rehearse``: nothing is made for them. ``LedgerTooNew``, ``LedgerUnreachable``.
    """
    server = location(ledger_url(config)).server
    if not server:
        return LocalLimits(clock)
    from artifact_sync.fleet import tables  # noqa: PLC0415 - an extra
    from artifact_sync.fleet.coordination import Coordination  # noqa: PLC0415 - likewise
    from artifact_sync.fleet.shared_limits import PostgresLimits  # noqa: PLC0415 - likewise

    database = Coordination(server)
    if rehearse and not await tables.exist(database):
        await database.aclose()
        return LocalLimits(clock)
    if not rehearse:
        await tables.bring_up(database)
    limits = PostgresLimits(database, clock)
    stack.push_async_callback(limits.aclose)
    return limits
