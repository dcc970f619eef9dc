"""One record of the log as masked values, and as words. What a format makes of it is elsewhere."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from artifact_sync.runtime.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from artifact_sync.cli.logs.mask import Mask

Value = str | int | float | bool | None

_APART = frozenset({"event", "exception", "stack", "stack_info"})
_STRUCTLOG = "_logger"  # what structlog's wrap_for_formatter leaves on a record of its own


class LogEntry(Struct, frozen=True):
    """What was logged. Every text in it is masked; control characters are as they came."""

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
        """``message key=value …`` on one line."""
        pairs = [f"{key}={value}" for key, value in self.fields.items()]
        return printable(" ".join([self.message, *pairs]))

    def traced(self) -> list[str]:
        """The traceback's lines."""
        return [printable(line) for line in self.trace.splitlines()]


def entry_of(record: logging.LogRecord, mask: Mask) -> LogEntry:
    """A record of structlog's or of the standard library's."""
    event: dict[str, Any] = record.msg if hasattr(record, _STRUCTLOG) else _foreign(record)  # type: ignore[assignment]
    return LogEntry(
        message=mask(str(event.get("event", ""))),
        level=record.levelname.lower(),
        created=record.created,
        fields={str(key): _value(it, mask) for key, it in event.items() if key not in _APART},
        trace=mask(str(event.get("exception", ""))),
        logger=record.name,
        place=(record.pathname, record.lineno, record.funcName or ""),
    )


def _foreign(record: logging.LogRecord) -> dict[str, Any]:
    trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
    return {"event": _message(record), "exception": trace}


def _message(record: logging.LogRecord) -> str:
    """The words; those of a library that cannot count its own arguments, as they are."""
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"{record.msg} {record.args}"


def _value(value: object, mask: Mask) -> Value:
    """Numbers stay numbers, where JSON has them."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return mask(str(value))
