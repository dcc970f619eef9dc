"""Reads the expiry time from a presigned link.

Known: S3's presigned links and their kin (``X-Amz-Date`` with ``X-Amz-Expires``; Google's and
Alibaba's say the same with their own prefix), links with an absolute ``Expires`` in epoch seconds
(S3's old signature, CloudFront, nginx's ``secure_link``), and Azure's ``se``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote

from artifact_sync.domain.model import Link

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

UNKNOWN_LIFETIME = 45.0
"""Seconds that a link is taken to live when it does not say: less than the minute that the service
promises for the sibling links of releases."""

_LONGEST = 366 * 86400.0
"""A life longer than this is a misreading, such as milliseconds taken for seconds."""
_SIGNERS = ("x-amz", "x-goog", "x-oss")
_TELLING = frozenset(
    {"expires", "se", *(f"{it}-{what}" for it in _SIGNERS for what in ("date", "expires"))}
)
_STAMP = r"[0-9]{8}T[0-9]{6}Z"
_SECONDS = r"[0-9]{1,12}"


def link_of(
    url: str, acquired_monotonic: float, now: datetime, server_date: datetime | None = None
) -> Link:
    """Make a link that knows when it expires, on the clock of ``acquired_monotonic``.

    ``now`` and ``server_date`` (the answer's ``Date``) are the moment of acquiring on our clock and
    on the service's. The service's is asked first: it signed the link, and ours may be wrong.
    """
    parameters = _parameters(url)
    for moment in (server_date, now):
        if moment is not None and (life := _remaining(parameters, moment)) is not None:
            return Link(url, acquired_monotonic + life)
    return Link(url, acquired_monotonic + UNKNOWN_LIFETIME)


def is_cleartext(url: str) -> bool:
    """Whether the link uses plain HTTP."""
    return url[:5].lower() == "http:"


def _remaining(parameters: Mapping[str, str], now: datetime) -> float | None:
    """Seconds from ``now`` to the earliest plausible expiry; None: there is none."""
    lives = [(expiry - now).total_seconds() for expiry in _expiries(parameters)]
    limit = min([_LONGEST, *_lifetimes(parameters)])
    return min((min(life, limit) for life in lives if 0 < life <= _LONGEST), default=None)


def _parameters(url: str) -> dict[str, str]:
    """The query's parameters of time, by lower-case names; the first of each."""
    query = url.partition("#")[0].partition("?")[2]
    found: dict[str, str] = {}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        name = unquote(name).lower()
        if name in _TELLING:
            found.setdefault(name, unquote(value).strip())
    return found


def _expiries(parameters: Mapping[str, str]) -> Iterator[datetime]:
    for signer in _SIGNERS:
        begun = _stamp(parameters.get(f"{signer}-date", ""))
        lifetime = _seconds(parameters.get(f"{signer}-expires", ""))
        if begun is not None and lifetime is not None:
            yield from _later(begun, lifetime)
    if (epoch := _seconds(parameters.get("expires", ""))) is not None:
        yield from _later(datetime(1970, 1, 1, tzinfo=UTC), epoch)
    if (moment := _iso(parameters.get("se", ""))) is not None:
        yield moment


def _lifetimes(parameters: Mapping[str, str]) -> Iterator[int]:
    """Lifetimes of links that were signed just now: an upper limit, whatever the clocks."""
    for signer in _SIGNERS:
        if lifetime := _seconds(parameters.get(f"{signer}-expires", "")):
            yield lifetime


def _later(begun: datetime, seconds: int) -> Iterator[datetime]:
    try:
        yield begun + timedelta(seconds=seconds)
    except OverflowError:
        return


def _seconds(text: str) -> int | None:
    return int(text) if re.fullmatch(_SECONDS, text) else None


@lru_cache(maxsize=16)
def _stamp(text: str) -> datetime | None:
    """``20261123T201500Z``, the basic form of ISO 8601 that signatures use."""
    if not re.fullmatch(_STAMP, text):
        return None
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _iso(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
