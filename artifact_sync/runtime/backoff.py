"""Retry delays: exponential backoff with jitter, and ``Retry-After``."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from random import Random

_SECONDS = r"[+-]?[0-9]+(?:\.[0-9]+)?"
_MOST_DOUBLINGS = 63
"""Beyond any cap, and still a float."""


class RetryPolicy(Struct, frozen=True):
    """How often something is tried, and how long between tries. Seconds."""

    attempts: int = 5
    """Tries in all, the first one included."""
    base: float = 0.5
    """The longest delay after the first failure; doubled by each further one."""
    cap: float = 30.0
    """The longest delay of our own choosing."""
    patience: float = 120.0
    """The longest ``Retry-After`` that is waited for; a longer one is a failure."""


def delay(
    policy: RetryPolicy, failures: int, retry_after: float | None, rng: Random
) -> float | None:
    """Seconds until the next try after so many failures; None: give up.

    Full jitter, from zero to a bound that doubles: clients that failed together do not come back
    together. ``retry_after`` is a minimum, with a little jitter on top.
    """
    if failures >= policy.attempts:
        return None
    doublings = min(max(failures - 1, 0), _MOST_DOUBLINGS)
    backoff = rng.uniform(0.0, min(policy.cap, policy.base * 2.0**doublings))
    if retry_after is None or math.isnan(retry_after):
        return backoff
    if retry_after > policy.patience:
        return None
    return max(backoff, retry_after + rng.uniform(0.0, policy.base))


def parse_retry_after(value: str, now: datetime) -> float | None:
    """Read ``Retry-After`` (RFC 9110, 10.2.3) as seconds from ``now``; None: unreadable.

    Both forms, seconds and an HTTP date in any of its three shapes. A fraction of a second is no
    part of the grammar, but servers send it. What lies in the past is 0.
    """
    text = value.strip()
    if re.fullmatch(_SECONDS, text):
        return max(0.0, float(text))
    moment = http_date(text)
    return None if moment is None else max(0.0, (moment - now).total_seconds())


def http_date(text: str) -> datetime | None:
    """Read an HTTP date (RFC 9110, 5.6.7) as UTC; None: unreadable."""
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
