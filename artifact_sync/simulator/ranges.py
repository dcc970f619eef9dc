"""``Range``, ``If-Range`` and ``If-Match`` as RFC 9110 defines them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_RANGE = re.compile(r"bytes\s*=\s*(\d*)-(\d*)\s*", re.IGNORECASE)


class ServedSpan(NamedTuple):
    """Bytes from ``start`` to before ``stop``; empty: the range cannot be satisfied."""

    start: int
    stop: int


def wanted(
    headers: Mapping[str, str], size: int, validators: Mapping[str, str]
) -> ServedSpan | None:
    """The part that a request asks for; None: the whole.

    ``validators`` has ``etag`` and ``last-modified``. A range in another unit, of several parts or
    of no sense is ignored (RFC 9110, 14.2), and so is one whose ``If-Range`` does not hold (13.1.5:
    strong comparison, or exactly the same date).
    """
    match = _RANGE.fullmatch(headers.get("range", ""))
    if match is None or not any(match.groups()) or not _if_range(headers, validators):
        return None
    first, last = match.groups()
    if not first:
        return ServedSpan(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    stop = min(size, int(last) + 1) if last else size
    return (
        ServedSpan(int(first), max(stop, int(first)))
        if int(first) < size
        else ServedSpan(size, size)
    )


def precondition_failed(headers: Mapping[str, str], etag: str) -> bool:
    """Whether ``If-Match`` names other versions only (RFC 9110, 13.1.1)."""
    named = headers.get("if-match", "")
    return bool(named) and named != "*" and etag not in [tag.strip() for tag in named.split(",")]


def _if_range(headers: Mapping[str, str], validators: Mapping[str, str]) -> bool:
    condition = headers.get("if-range", "")
    return not condition or condition in (validators.get("etag"), validators.get("last-modified"))
