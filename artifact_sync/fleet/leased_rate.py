"""Token bucket that fills by leases, renewed while it is used."""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING, Protocol

import msgspec
from msgspec import Struct

from artifact_sync.domain.errors import LedgerUnreachable
from artifact_sync.fleet.fair_shares import LimitTerms, RateLease, SharedRate
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.tasks import first_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from artifact_sync.domain.ports import Clock

_log = get_logger(__name__)

_RENEW = 0.7
"""Of a lease: when the next one is asked for."""
_AGAIN = 0.25
"""Seconds until somebody who got nothing, or no answer, asks again."""
_LAST_AGAIN = 2.0
_IDLE = 60.0
"""Seconds at most for which nobody asks while there is no limit."""
_LONGEST = 60.0
"""Seconds that a caller waits for a lease."""
_MORE = 1.25
"""What is asked for, of what was taken lately."""
_CRUMB = 1e-3


class Row(Struct, frozen=True):
    """What processes agree on, and when it was read."""

    version: int
    state: str
    now: float
    """The server's clock, in seconds."""


class SharedRows(Protocol):
    """Rows that processes change by comparing and swapping."""

    async def read(self, name: str) -> Row:
        """Read a row. ``LedgerUnreachable``."""

    async def swap(self, name: str, row: Row, state: str) -> bool:
        """Replace what was read; False: another was quicker. ``LedgerUnreachable``."""


class RateRule(Struct, frozen=True):
    """What a bucket is filled by."""

    row: str
    """The row of the limit."""
    limit: Callable[[float], float | None]
    """What all may take a second, at a moment of the server's clock; None: as much as they like."""
    burst: Callable[[float], float]
    """What the bucket holds, by the rate."""
    whole: bool = False
    """As in ``LimitTerms``."""
    look: float = _IDLE
    """Seconds after which the server is asked again where there is no limit."""


class LeasedRate:
    """A bucket of one process. On one event loop."""

    def __init__(self, name: str, rows: SharedRows, clock: Clock, rule: RateRule) -> None:
        self._name, self._rows, self._clock, self.rule = name, rows, clock, rule
        self._lease = RateLease()
        """By this machine's monotonic clock."""
        self._credit = 0.0
        self._counted = clock.monotonic()
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._granted = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._asked = self._short = False
        self._taken = 0.0
        """Since the lease was last asked for."""
        self._heard = -inf
        """When the server last answered."""
        self.ahead = 0.0
        """By how much the server's clock is ahead of the monotonic one."""

    async def take(self, count: float) -> None:
        """Take so much, as soon as it is there. ``LedgerUnreachable``."""
        self._asked = True
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())
        async with self._turn:
            since = self._clock.monotonic()
            while (seconds := self._wait_for(count)) > 0:
                self._short = True
                await self._pause(since, seconds)
            if self._credit < inf:
                self._credit -= count
            self._taken += count

    async def aclose(self) -> None:
        """Give the lease back, as far as that can be done."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait([keeper])
            await self._give_back()

    def change(self) -> None:
        """Have the limit looked at again, as it may be another."""
        self._changed.set()

    async def _pause(self, since: float, seconds: float) -> None:
        """Wait for some credit, or a lease to have it by."""
        if self._keeper is not None and self._keeper.done():
            self._keeper.result()  # a fault of ours
        now = self._clock.monotonic()
        if self._lease.at(now):
            await self._clock.sleep(min(seconds, _AGAIN))
            return
        if now - max(since, self._heard) > _LONGEST:
            raise LedgerUnreachable(
                "the limits that all processes keep together cannot be had from the ledger's"
                " database: see that it answers, and that its user may write to fleet_limits"
            )
        self._granted.clear()
        await first_of(self._granted.wait(), self._clock.sleep(_AGAIN))

    def _wait_for(self, count: float) -> float:
        """Seconds until so much may be taken, as far as the lease says."""
        now = self._clock.monotonic()
        self._fill(now)
        rate = self._lease.at(now)
        if not rate:
            return _AGAIN
        missing = min(count, self.rule.burst(rate)) - self._credit
        return missing / rate if missing > _CRUMB else 0.0

    def _fill(self, now: float) -> None:
        """Fill the bucket up to this moment, at the rate of each part of the lease."""
        it, since = self._lease, self._counted
        at_rate = max(min(now, it.until) - since, 0.0)
        at_share = max(min(now, it.reserved) - max(since, it.until), 0.0)
        earned = (it.rate * at_rate if at_rate else 0.0) + it.share * at_share
        self._credit = min(self._credit + earned, self.rule.burst(it.at(now) or it.share or 1.0))
        self._counted = now

    @property
    def _is_used(self) -> bool:
        """Whether somebody waits, or has taken something since the lease was asked for."""
        return self._asked or self._turn.locked()

    async def _keep(self) -> None:
        """Renew as long as somebody takes, then give back."""
        again = _AGAIN
        while True:
            while self._is_used:
                self._asked = False
                wait, again = await self._attempt(again)
                self._changed.clear()
                await first_of(self._changed.wait(), self._clock.sleep(wait))
            await self._give_back()
            if not self._is_used:
                self._keeper = None
                return

    async def _attempt(self, again: float) -> tuple[float, float]:
        """Renew; seconds until the next time, and until the one after a failure."""
        try:
            return await self._renew(), _AGAIN
        except LedgerUnreachable as error:
            if again == _AGAIN:
                _log.warning(
                    "a limit that all processes keep together could not be renewed: this one takes"
                    " its share, and after a while nothing",
                    limit=self.rule.row,
                    why=str(error),
                )
            return again, min(2 * again, _LAST_AGAIN)

    async def _renew(self) -> float:
        sent = self._clock.monotonic()
        row = await self._rows.read(self.rule.row)
        self.ahead, self._heard = row.now - sent, self._clock.monotonic()
        limit = self.rule.limit(row.now)
        if limit is None:
            return self._unlimited(row, sent)
        terms = LimitTerms(limit, self.rule.whole)
        known = _decoded(row.state)
        renewed = known.renewed(self._name, self._want(limit, sent), terms, row.now)
        lease = renewed.leases[self._name].moved(-self.ahead)
        before = self._lease
        was = before.at(sent)
        self._fill(self._clock.monotonic())
        self._lease = before.lesser(lease)  # until it is known which of them holds
        if not await self._rows.swap(self.rule.row, row, _encoded(renewed)):
            self._lease = before
            return _AGAIN / 10
        self._begin(lease)
        if not was:
            self._start(lease.rate, known.unused(self._name, row.now))
        return (lease.until - sent) * _RENEW if lease.rate else _AGAIN

    def _begin(self, lease: RateLease) -> None:
        """Go by a new lease."""
        self._fill(self._clock.monotonic())
        self._lease = lease
        self._taken, self._short = 0.0, False
        self._granted.set()

    def _start(self, rate: float, unused: float) -> None:
        """Begin with what nobody has taken for so many seconds."""
        full = self.rule.burst(rate)
        self._credit = min(min(self._credit, 0.0) + min(unused * rate, full), full)

    def _unlimited(self, row: Row, sent: float) -> float:
        """Take what comes, until the limit may be another."""
        seconds = min(self.rule.look, 60 - row.now % 60)
        self._begin(RateLease(rate=inf, until=sent + seconds, reserved=sent + seconds))
        self._credit = max(self._credit, 0.0)
        return seconds * _RENEW

    def _want(self, limit: float, now: float) -> float:
        """What could be used a second, by what was taken since the last lease."""
        began = self._lease.until - LimitTerms(limit, self.rule.whole).seconds
        if self._short or began >= now or not self._lease.rate:
            return limit
        return min(self._taken / (now - began) * _MORE + self.rule.burst(limit) / 4, limit)

    async def _give_back(self) -> None:
        """Leave the limit to others. Where that cannot be done, the lease ends by itself."""
        held, self._lease = self._lease, RateLease()
        self._credit = min(self._credit, 0.0)
        if not 0 < held.rate < inf:
            return
        try:
            done = False
            while not done:
                row = await self._rows.read(self.rule.row)
                state = _encoded(_decoded(row.state).released(self._name, row.now))
                done = await self._rows.swap(self.rule.row, row, state)
        except LedgerUnreachable as error:
            _log.debug("a limit could not be given back", limit=self.rule.row, why=str(error))


def _decoded(state: str) -> SharedRate:
    try:
        return msgspec.json.decode(state, type=SharedRate) if state else SharedRate()
    except msgspec.MsgspecError:  # of another version
        return SharedRate()


def _encoded(state: SharedRate) -> str:
    return msgspec.json.encode(state).decode()
