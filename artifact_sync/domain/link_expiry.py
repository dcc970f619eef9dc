"""Reads the expiry time from a presigned link.

Known: S3's presigned links and their kin (``X-Amz-Date`` with ``X-Amz-Expires``; Google's and
Alibaba's say the same with their own prefix), links with an absolute ``Expires`` in epoch seconds
(S3's old signature, CloudFront, nginx's ``secure_link``), and Azure's ``se``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
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
    lives = [expiry - now.timestamp() for expiry in _expiries(parameters)]
    lifetimes = (_seconds(parameters.get(f"{signer}-expires", "")) for signer in _SIGNERS)
    limit = min([_LONGEST, *filter(None, lifetimes)])  # signed just now, whatever the clocks say
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


def _expiries(parameters: Mapping[str, str]) -> Iterator[float]:
    """When the link expires, in seconds of the epoch, as its parameters say."""
    for signer in _SIGNERS:
        begun = _stamp(parameters.get(f"{signer}-date", ""))
        lifetime = _seconds(parameters.get(f"{signer}-expires", ""))
        if begun is not None and lifetime is not None:
            yield begun + lifetime
    for moment in (_seconds(parameters.get("expires", "")), _iso(parameters.get("se", ""))):
        if moment is not None:
            yield moment


def _seconds(text: str) -> int | None:
    return int(text) if re.fullmatch(_SECONDS, text) else None


def _stamp(text: str) -> float | None:
    """``20261123T201500Z``, the basic form of ISO 8601 that signatures use."""
    return _iso(text) if re.fullmatch(_STAMP, text) else None


def _iso(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
