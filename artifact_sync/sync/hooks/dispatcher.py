"""Delivers what waits in the outbox, each hook by itself."""

from __future__ import annotations

import asyncio
import math
import sys
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from artifact_sync.domain.errors import DiskError
from artifact_sync.runtime.backoff import RetryPolicy, delay
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.tasks import first_of
from artifact_sync.sync.hooks.removed import drop_removed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
    from datetime import datetime
    from random import Random

    from artifact_sync.domain.hooks import Delivery, DeliveryResult
    from artifact_sync.domain.ports import Clock, OutboxLedger

    Send = Callable[[Delivery, float], Awaitable[DeliveryResult]]

T = TypeVar("T")

_log = get_logger(__name__)

_LONGEST = 3600.0
"""Seconds between two tries at most, also where the hook asks for more."""

_BACKOFF = RetryPolicy(attempts=sys.maxsize, base=1.0, cap=_LONGEST, patience=_LONGEST)
"""After a second, then after up to twice as long each time."""

_GIVEN_UP = timedelta(days=7)
"""For how long a delivery is tried; ..."""
_FEWEST_TRIES = 5
"""... and how often at least, should nobody have tried for a week."""

_LEDGER = RetryPolicy(attempts=sys.maxsize, base=1.0, cap=30.0)
"""For a ledger that cannot be used for a while, as one that is locked."""

_CUT_SHORT = "a command waits no longer for hooks at its end, a daemon does"

_POLL = 2.0
"""Seconds after which a daemon looks for new deliveries."""


class Hook(Struct, frozen=True):
    """A hook as the dispatcher calls it."""

    name: str
    label: str
    """Names it in messages, without a secret."""
    timeout: float
    send: Send
    """Makes one delivery within so many seconds. Raises nothing but ``CancelledError``."""


class Dispatcher:
    """Makes the deliveries of these hooks. A hook that hangs holds up no other."""

    def __init__(
        self, ledger: OutboxLedger, hooks: Sequence[Hook], clock: Clock, rng: Random
    ) -> None:
        self._ledger = ledger
        self._hooks = hooks
        self._clock = clock
        self._rng = rng
        self._left = asyncio.Event()

    async def deliver(self, within: float) -> None:
        """Try everything that is due, for so many seconds. ``DiskError`` of the ledger."""
        deadline = self._clock.monotonic() + within
        await self._patiently(partial(drop_removed, self._ledger), deadline)
        await _together(self._serve(hook, deadline) for hook in self._hooks)

    async def tell(self, deliveries: Sequence[Delivery]) -> None:
        """Try these, due or not, for as long as their hooks may take. ``DiskError``."""
        await _together(self._each(hook, deliveries) for hook in self._hooks)

    async def _each(self, hook: Hook, deliveries: Sequence[Delivery]) -> None:
        for delivery in (it for it in deliveries if it.hook == hook.name):
            await self._try(hook, delivery, hook.timeout, self._clock.monotonic())

    async def run(self) -> None:
        """Deliver until ``leave``, also with no hooks. A ledger that fails is waited for."""
        await self._patiently(partial(drop_removed, self._ledger), math.inf)
        serving = [self._serve_until_left(hook) for hook in self._hooks]
        await _together([*serving, self._left.wait()])

    def leave(self) -> None:
        """Begin no further delivery: ``run`` ends once those under way have."""
        self._left.set()

    async def _serve_until_left(self, hook: Hook) -> None:
        while not self._left.is_set():
            await self._serve(hook, math.inf)
            following = await self._patiently(partial(self._ledger.next_try, hook.name), math.inf)
            wait = _POLL
            if following is not None:
                wait = min((following - self._clock.now()).total_seconds(), _POLL)
            await first_of(self._clock.sleep(max(wait, 0.05)), self._left.wait())

    async def _serve(self, hook: Hook, deadline: float) -> None:
        """Try what is due of one hook, each once."""
        due = partial(self._ledger.due_delivery, hook.name, self._clock.now())
        while (left := deadline - self._clock.monotonic()) > 0 and not self._left.is_set():
            delivery = await self._patiently(due, deadline)
            if delivery is None:
                return
            await self._try(hook, delivery, min(hook.timeout, left), deadline)

    async def _try(self, hook: Hook, delivery: Delivery, within: float, deadline: float) -> None:
        at, began = self._clock.now(), self._clock.monotonic()
        result = await hook.send(delivery, within)
        problem = result.why
        if not problem:
            made = partial(self._ledger.drop_deliveries, [delivery.id])
            await self._patiently(made, deadline)
            _log.debug("a hook was told", **_facts(hook, delivery))
            return
        if within < hook.timeout and self._clock.monotonic() - began >= within:
            problem = f"{problem} ({_CUT_SHORT})"
        again = _next_try(delivery, at, self._clock.now(), result.retry_after, self._rng)
        put_off = partial(self._ledger.put_off, delivery.id, at, again, problem)
        await self._patiently(put_off, deadline)
        if again is not None and result.retry_after:
            put_off_all = partial(self._ledger.put_off_hook, hook.name, again)
            await self._patiently(put_off_all, deadline)
        _log_failure(hook, delivery, again, problem)

    async def _patiently(self, verb: Callable[[], Awaitable[T]], deadline: float) -> T:
        """Ask the ledger, again and again while it cannot be used, until a deadline.

        So what was told is not told again for a ledger that was locked. ``DiskError``.
        """
        tries = 0
        while True:
            try:
                return await verb()
            except DiskError as error:
                tries += 1
                wait = delay(_LEDGER, tries, None, self._rng) or 0.0
                if self._clock.monotonic() + wait >= deadline:
                    raise
                if tries == 1:  # the passes, which fail for it, say so as loudly as they should
                    _log.info("hooks wait for the ledger", why=str(error))
            await self._clock.sleep(wait)


async def _together(works: Iterable[Coroutine[Any, Any, object]]) -> None:
    """Do all at the same time; raise the first error, which cancels the others."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


def _log_failure(hook: Hook, delivery: Delivery, again: datetime | None, why: str) -> None:
    facts = {**_facts(hook, delivery), "why": why}
    if again is None:
        _log.error("a hook could not be told, and is not tried again", **facts)
    elif delivery.tries == 0:
        _log.warning("a hook could not be told, and is tried again", **facts)
    else:
        _log.debug("a hook could not be told again", tries=delivery.tries + 1, **facts)


def _facts(hook: Hook, delivery: Delivery) -> dict[str, str]:
    return {"hook": hook.label, "of": delivery.event.value, "delivery": delivery.id}


def _next_try(
    delivery: Delivery, at: datetime, now: datetime, retry_after: float | None, rng: Random
) -> datetime | None:
    """When to try again after a failure; None: it was tried for long enough."""
    first, tries = delivery.first_try or at, delivery.tries + 1
    if now - first > _GIVEN_UP and tries >= _FEWEST_TRIES:
        return None
    asked = None if retry_after is None else min(retry_after, _LONGEST)
    return now + timedelta(seconds=delay(_BACKOFF, tries, asked, rng) or 0.0)
