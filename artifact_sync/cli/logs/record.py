"""Converts log records to masked entries."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from artifact_sync.cli.pointers import pointer_of_log
from artifact_sync.runtime.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from artifact_sync.cli.logs.mask import Mask

Value = str | int | float | bool | None

_APART = frozenset({"event", "exception", "stack", "stack_info"})
_STRUCTLOG = "_logger"  # what structlog's wrap_for_formatter leaves on a record of its own


class LogEntry(Struct, frozen=True):
    """A log entry. Texts are masked; control characters are not escaped."""

    message: str
    level: str = "info"
    """In small letters."""
    created: float = 0.0
    """Seconds since 1970, UTC."""
    fields: Mapping[str, Value] = field(default_factory=dict)
    trace: str = ""
    """The traceback, of several lines."""
    logger: str = ""
    place: tuple[str, int, str] = ("", 0, "")
    """File, line and function that logged it."""

    def words(self) -> str:
        """Format ``message key=value …`` on one line."""
        pairs = [f"{key}={value}" for key, value in self.fields.items()]
        return printable(" ".join([self.message, *pairs]))

    def traced(self) -> list[str]:
        """Lines of the traceback."""
        return [printable(line) for line in self.trace.splitlines()]


def entry_of(record: logging.LogRecord, mask: Mask) -> LogEntry:
    """Convert a record of structlog or of the standard library.

    A warning or an error that the documentation explains gets the field ``see``.
    """
    event: dict[str, Any] = record.msg if hasattr(record, _STRUCTLOG) else _foreign(record)  # type: ignore[assignment]
    see = pointer_of_log(event) if record.levelno >= logging.WARNING else None
    pairs = {**event, "see": see} if see else event
    return LogEntry(
        message=mask(str(event.get("event", ""))),
        level=record.levelname.lower(),
        created=record.created,
        fields={str(key): _value(it, mask) for key, it in pairs.items() if key not in _APART},
        trace=mask(str(event.get("exception", ""))),
        logger=record.name,
        place=(record.pathname, record.lineno, record.funcName or ""),
    )


def _foreign(record: logging.LogRecord) -> dict[str, Any]:
    trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
    return {"event": _message(record), "exception": trace}


def _message(record: logging.LogRecord) -> str:
    """Format the message, unformatted if a library's arguments do not fit."""
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"{record.msg} {record.args}"


def _value(value: object, mask: Mask) -> Value:
    """Mask a value; numbers that JSON has stay numbers."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return mask(str(value))
