"""Durations and sizes as people write them: ``7d``, ``1h30m``, ``100MiB``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNIT = "ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?"
DURATION = (
    rf"(?:[0-9]{{1,12}}(?:\.[0-9]{{1,6}})?\s*(?:{_UNIT})(?![a-z])[\s,]*)+"
    r"|[0-9]{1,12}(?:\.[0-9]{1,6})?"
)
"""Pattern of a whole text that ``parse_duration`` reads."""

SIZE = r"[0-9]{1,19}(?:\.[0-9]{1,6})?\s*(?:[kKmMgGtTpP][iI]?)?[bB]|[0-9]{1,19}"
"""Pattern of a whole text that ``parse_size`` reads."""

LONGEST = 36_525 * 86_400
"""Seconds in a hundred years: more would leave the calendar's range when taken from a date."""

LARGEST = 2**63 - 1
"""Bytes: what a file system and a database can count."""

_NO_MOMENT = "expected a duration such as 7d, or a date such as 2026-11-20"

_DURATION_PART = r"([0-9.]+)\s*(ms|milli|[smhdw])"
_SIZE_PARTS = r"([0-9.]+)\s*([a-z]*)"

_SECONDS: Mapping[str, Decimal] = MappingProxyType(
    {
        "ms": Decimal("0.001"),
        "milli": Decimal("0.001"),
        "s": Decimal(1),
        "m": Decimal(60),
        "h": Decimal(3_600),
        "d": Decimal(86_400),
        "w": Decimal(604_800),
    }
)

_BYTES: Mapping[str, int] = MappingProxyType(
    {"": 1, "B": 1}
    | {f"{prefix}B": 1000**power for power, prefix in enumerate("kMGTP", 1)}
    | {f"{prefix}iB": 1024**power for power, prefix in enumerate("KMGTP", 1)}
)


def parse_duration(text: str) -> float:
    """Parse ``30s``, ``5m``, ``7 days``, ``1w``, ``250ms``, ``1h30m``, or a number of seconds.

    ``ValueError`` says what was expected. A hundred years are the most.
    """
    cleaned = re.sub(r"[A-Za-z]{2,}", lambda word: word[0].lower(), text.strip())
    if not re.fullmatch(DURATION, cleaned):
        raise ValueError("expected a duration such as 30s, 5m, 2h, 7d or 1w")
    parts = re.findall(_DURATION_PART, cleaned) or [(cleaned, "s")]
    seconds = sum((Decimal(number) * _SECONDS[unit] for number, unit in parts), Decimal(0))
    if seconds > LONGEST:
        raise ValueError("a duration of more than a hundred years")
    return float(seconds)


def parse_moment(text: str, now: datetime) -> datetime:
    """Parse ``7d`` (before ``now``), ``2026-11-20`` or ``2026-11-20T09:30+03:00``; else UTC.

    ``ValueError`` says what was expected.
    """
    cleaned = text.strip().removesuffix(" ago")
    if re.match(r"\d{4}-", cleaned):
        try:
            told = datetime.fromisoformat(cleaned)
            return told if told.tzinfo is not None else told.replace(tzinfo=UTC)
        except ValueError:
            raise ValueError(_NO_MOMENT) from None
    try:
        return now - timedelta(seconds=parse_duration(cleaned))
    except ValueError:
        raise ValueError(_NO_MOMENT) from None


def parse_size(text: str) -> int:
    """Parse ``512``, ``100MiB`` (1024²), ``1GB`` (1000³) to bytes, in any case, rounded down.

    ``ValueError`` says what was expected.
    """
    cleaned = text.strip()
    parts = re.fullmatch(SIZE, cleaned) and re.fullmatch(_SIZE_PARTS, cleaned.lower())
    if parts is None:
        raise ValueError("expected a size such as 512, 100MiB or 1GB")
    unit = next(size for name, size in _BYTES.items() if name.lower() == parts[2])
    size = int(Decimal(parts[1]) * unit)
    if size > LARGEST:
        raise ValueError("a size of more than 8 EiB")
    return size


def format_duration(seconds: float) -> str:
    """Format seconds in the largest unit that loses nothing: ``90s``, ``7d``."""
    exact = Decimal(repr(seconds))
    for unit in ("d", "h", "m", "s"):
        if exact and exact % _SECONDS[unit] == 0:
            return f"{int(exact / _SECONDS[unit])}{unit}"
    return f"{exact.normalize():f}s"


def format_size(size: int) -> str:
    """Format bytes in the largest unit that loses nothing: ``100MiB``, ``1GB``."""
    for unit, many in sorted(_BYTES.items(), key=lambda item: -item[1]):
        if many > 1 and size and size % many == 0:
            return f"{size // many}{unit}"
    return str(size)


def size_in_words(count: float) -> str:
    """Format bytes for people: ``1.5 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":  # noqa: PLR2004 - the step between units
            break
        count /= 1024
    return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"


def counted(count: int, noun: str, plural: str = "") -> str:
    """Format a number of things: ``1 run``, ``2,000 runs``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
