"""Sets up structlog and ``logging``: text, JSON or journald, masked."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from artifact_sync.cli.logs.journald import Journal, goes_to_journal
from artifact_sync.cli.logs.line_writer import LineWriter
from artifact_sync.cli.logs.record import LogEntry, entry_of
from artifact_sync.cli.terminal import LiveTerminal
from artifact_sync.runtime.logs import __name__ as logs
from artifact_sync.runtime.logs import configure_later

if TYPE_CHECKING:
    from collections.abc import Callable

    from artifact_sync.cli.logs.mask import Mask
    from artifact_sync.domain.settings import LogFormat

    Output = TextIO | LiveTerminal

_CHATTY = ("httpx", "httpcore", "asyncio", "psycopg", "uvicorn", "urllib3")
_COLOURS = {"warning": "\033[33m", "error": "\033[31m", "critical": "\033[31m"}
_PLAIN = "\033[0m"
_OURS = ("time", "level", "message", "exception")


def set_up(
    level: int, mask: Mask, stream: Output | None = None, *, log_format: LogFormat = "auto"
) -> None:
    """Send the log from a level on to a stream (stderr), masked.

    ``auto`` is the journal where systemd connected the stream to it, else text; ``journal`` falls
    back to text. The last call counts. structlog is set up when something of ours is logged.
    """
    handler = _handler(log_format, mask, stream or sys.stderr)
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(capture=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    configure_later(lambda: _set_up_structlog(level), level)


def _set_up_structlog(level: int) -> None:
    import structlog  # noqa: PLC0415 - it takes a tenth of a second

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.format_exc_info,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(ignore_frame_names=[logs]),
        cache_logger_on_first_use=False,
    )


def _handler(log_format: LogFormat, mask: Mask, out: Output | None) -> logging.Handler:
    if log_format == "json":
        return _Lines(out, mask, json_line)
    terminal = bool(out and out.isatty())
    colours = terminal and not os.environ.get("NO_COLOR")
    lines = _Lines(out, mask, lambda it: text_line(it, terminal=terminal, colours=colours))
    if log_format == "journal" or (log_format == "auto" and goes_to_journal(out, os.environ)):
        return Journal(mask, otherwise=lines)
    return lines


class _Lines(logging.Handler):
    """Writes lines to a stream. Never raises."""

    def __init__(self, stream: Output | None, mask: Mask, line: Callable[[LogEntry], str]) -> None:
        super().__init__()
        self._writer: LineWriter | LiveTerminal | None = None
        if isinstance(stream, LiveTerminal):
            self._writer = stream
        elif stream is not None:
            self._writer = LineWriter(stream, self._lost)
        self._mask = mask
        self._line = line

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; an error loses this line only."""
        try:
            self._write(self._line(entry_of(record, self._mask)) + "\n")
        except Exception:  # noqa: BLE001 - logging's own answer would show the record unmasked
            return

    def flush(self) -> None:
        """Write what still waits, for a moment."""
        if self._writer is not None:
            self._writer.flush()

    def _write(self, text: str) -> None:
        if self._writer is not None:
            self._writer.write(text)

    def _lost(self, count: int) -> str:
        entry = LogEntry(
            "the log could not be written for a while, lines before this one are lost",
            level="warning",
            created=time.time(),
            fields={"lines": count},
        )
        return self._line(entry) + "\n"


def text_line(entry: LogEntry, *, terminal: bool, colours: bool) -> str:
    """Format ``[time] level: message key=value``; on a terminal without the time."""
    level = entry.level
    named = f"{_COLOURS[level]}{level}:{_PLAIN} " if colours and level in _COLOURS else f"{level}: "
    moment = _moment(entry).strftime("%Y-%m-%dT%H:%M:%SZ")
    begin = ("" if level == "info" else named) if terminal else f"{moment} {named}"
    return "\n".join([begin + entry.words(), *entry.traced()])


def json_line(entry: LogEntry) -> str:
    """Format ``{"time": …, "level": …, "message": …, field: …}`` in ASCII.

    A field of one of these names gets an underscore behind it.
    """
    time = _moment(entry).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    fields = {f"{key}_" if key in _OURS else key: it for key, it in entry.fields.items()}
    trace = {"exception": entry.trace} if entry.trace else {}
    known = {"time": time, "level": entry.level, "message": entry.message}
    return json.dumps(known | fields | trace, ensure_ascii=True)


def _moment(entry: LogEntry) -> datetime:
    return datetime.fromtimestamp(entry.created, UTC)
