"""Runs background tasks, and restarts failed ones with backoff."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.tasks import is_being_cancelled
from artifact_sync.sync.failures import explained

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from artifact_sync.domain.ports import Clock

_log = get_logger(__name__)

_FIRST, _LONGEST = 1.0, 300.0
"""Seconds until a failed task is restarted, at first and at most."""


async def restarting(
    name: str, work: Callable[[], Awaitable[None]], clock: Clock, most: float = _LONGEST
) -> None:
    """Run endless work; restart it after failures, with a growing delay.

    ``most``: the longest delay, in seconds. Repeated failures are logged less and less often in any
    case. Returns when the work ends without an error, and ends with it when it is cancelled.
    """
    delay, quiet_until = _FIRST, -math.inf
    while True:
        began = clock.monotonic()
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - whatever it is, the passes go on
            if is_being_cancelled():
                raise asyncio.CancelledError from None
            now = clock.monotonic()
            delay = _FIRST if now - began > _LONGEST else delay
            if now >= quiet_until:
                in_s, again = min(delay, most), f"{name} has failed and is begun again"
                _log.error(again, in_s=in_s, **explained(error))
                quiet_until = now + delay / 2
        else:
            return
        await clock.sleep(min(delay, most))
        delay = min(2 * delay, _LONGEST)
