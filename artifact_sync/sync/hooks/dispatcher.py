"""Delivers what waits in the outbox, each hook by itself."""

from __future__ import annotations

import asyncio
import math
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.runtime.backoff import RetryPolicy, delay
from artifact_sync.runtime.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime
    from random import Random

    from artifact_sync.domain.hooks import Delivery
    from artifact_sync.domain.ports import Clock, OutboxLedger

_log = get_logger(__name__)

_BACKOFF = RetryPolicy(attempts=sys.maxsize, base=1.0, cap=3600.0)
"""After a second, then after up to twice as long each time, at most an hour."""

_GIVEN_UP = timedelta(days=7)
"""For how long a delivery is tried; ..."""
_FEWEST_TRIES = 5
"""... and how often at least, should nobody have tried for a week."""

_CUT_SHORT = "a command waits no longer for hooks at its end, a daemon does"

_POLL = 2.0
"""Seconds after which a daemon looks for new deliveries."""


class Hook(Struct, frozen=True):
    """A hook as the dispatcher calls it."""

    name: str
    label: str
    """Names it in messages, without a secret."""
    timeout: float
    send: Callable[[Delivery, float], Awaitable[str]]
    """Makes one delivery within so many seconds; why it has failed, or an empty text. Raises
    nothing but ``CancelledError``."""


class Dispatcher:
    """Makes the deliveries of these hooks. A hook that hangs holds up no other."""

    def __init__(
        self, ledger: OutboxLedger, hooks: Sequence[Hook], clock: Clock, rng: Random
    ) -> None:
        self._ledger = ledger
        self._hooks = hooks
        self._clock = clock
        self._rng = rng

    async def deliver(self, within: float = math.inf) -> None:
        """Try everything that is due, for so many seconds. ``DiskError`` of the ledger."""
        await self.drop_removed()
        deadline = self._clock.monotonic() + within
        async with asyncio.TaskGroup() as group:
            for hook in self._hooks:
                group.create_task(self._serve(hook, deadline))

    async def tell(self, deliveries: Sequence[Delivery]) -> None:
        """Try these, due or not, for as long as their hooks may take."""
        async with asyncio.TaskGroup() as group:
            for hook in self._hooks:
                some = [it for it in deliveries if it.hook == hook.name]
                group.create_task(self._each(hook, some))

    async def _each(self, hook: Hook, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            await self._try(hook, delivery, hook.timeout)

    async def run(self) -> None:
        """Deliver for ever, also with no hooks. ``DiskError`` of the ledger."""
        await self.drop_removed()
        async with asyncio.TaskGroup() as group:
            for hook in self._hooks:
                group.create_task(self._serve_for_ever(hook))
            group.create_task(asyncio.Event().wait())

    async def drop_removed(self) -> None:
        """Drop what waits for hooks that are not configured any more, and say so."""
        gone = await self._ledger.drop_other_hooks([hook.name for hook in self._hooks])
        for name, count in gone.items():
            message = "deliveries were dropped: their hook is not in the configuration any more"
            _log.warning(message, hook=name, deliveries=count)

    async def _serve_for_ever(self, hook: Hook) -> None:
        while True:
            await self._serve(hook, math.inf)
            following = await self._ledger.next_try(hook.name)
            wait = _POLL
            if following is not None:
                wait = min((following - self._clock.now()).total_seconds(), _POLL)
            await self._clock.sleep(max(wait, 0.05))

    async def _serve(self, hook: Hook, deadline: float) -> None:
        """Try what is due of one hook, each once."""
        began = self._clock.now()
        while (left := deadline - self._clock.monotonic()) > 0:
            delivery = await self._ledger.due_delivery(hook.name, began)
            if delivery is None:
                return
            await self._try(hook, delivery, min(hook.timeout, left))

    async def _try(self, hook: Hook, delivery: Delivery, within: float) -> None:
        at, began = self._clock.now(), self._clock.monotonic()
        problem = await hook.send(delivery, within)
        if not problem:
            await self._ledger.drop_deliveries([delivery.id])
            _log.debug("a hook was told", **_facts(hook, delivery))
            return
        if within < hook.timeout and self._clock.monotonic() - began >= within:
            problem = f"{problem} ({_CUT_SHORT})"
        again = _next_try(delivery, at, self._clock.now(), self._rng)
        await self._ledger.put_off(delivery.id, at, again, problem)
        facts = {**_facts(hook, delivery), "why": problem}
        if again is None:
            _log.error("a hook could not be told, and is not tried again", **facts)
        elif delivery.tries == 0:
            _log.warning("a hook could not be told, and is tried again", **facts)
        else:
            _log.debug("a hook could not be told again", tries=delivery.tries + 1, **facts)


def _facts(hook: Hook, delivery: Delivery) -> dict[str, str]:
    return {"hook": hook.label, "of": delivery.event.value, "delivery": delivery.id}


def _next_try(delivery: Delivery, at: datetime, now: datetime, rng: Random) -> datetime | None:
    """When to try again after a failure; None: it was tried for long enough."""
    first, tries = delivery.first_try or at, delivery.tries + 1
    if now - first > _GIVEN_UP and tries >= _FEWEST_TRIES:
        return None
    return now + timedelta(seconds=delay(_BACKOFF, tries, None, rng) or 0.0)
