"""The log: structlog and the standard library's loggers, masked, as lines on stderr. No events."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, TextIO

import structlog

from artifact_sync.cli.mask import Mask, visible

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor

    from artifact_sync.cli.options import Verbosity

_CHATTY = ("httpx", "httpcore", "asyncio", "sqlalchemy", "alembic", "uvicorn", "urllib3")
_COLOURS = {"warning": "\033[33m", "error": "\033[31m", "critical": "\033[31m"}
_PLAIN = "\033[0m"
_LEVELS = (logging.ERROR, logging.INFO, logging.DEBUG)


def set_up(verbosity: Verbosity, mask: Mask, stream: TextIO | None = None) -> None:
    """Send everything that is logged to a stream (stderr), with secrets masked as ``mask`` says.

    Quiet shows errors, normal INFO, verbose DEBUG. May be called again; the last call counts.
    """
    out = stream or sys.stderr
    handler = _Lines(out)
    handler.setFormatter(_formatter(mask, terminal=bool(out and out.isatty())))
    level = _LEVELS[verbosity + 1]
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(capture=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


class _Lines(logging.Handler):
    """Writes lines to a stream, between tqdm's bars if there are any. Never raises."""

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; a stream that is closed or full costs the line only."""
        try:
            self._write(self.format(record) + "\n")
        except (OSError, ValueError):
            return

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        bars = sys.modules.get("tqdm")
        if bars is None:
            self._stream.write(text)
        else:
            bars.tqdm.write(text, file=self._stream, end="")
        self._stream.flush()


def _shared() -> list[Processor]:
    """What is done to every record, whoever logged it."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%SZ", utc=True),
        structlog.processors.format_exc_info,
    ]


def _formatter(mask: Mask, *, terminal: bool) -> logging.Formatter:
    colours = terminal and not os.environ.get("NO_COLOR")

    def render(_: object, __: str, event: EventDict) -> str:
        return _line(mask, event, terminal=terminal, colours=colours)

    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return structlog.stdlib.ProcessorFormatter(
        processors=[remove, render], foreign_pre_chain=_shared()
    )


def _line(mask: Mask, event: EventDict, *, terminal: bool, colours: bool) -> str:
    """``[time] level: message key=value``; the time only where no person watches."""
    level, message = str(event.pop("level", "info")), str(event.pop("event", ""))
    moment, trace = str(event.pop("timestamp", "")), str(event.pop("exception", ""))
    event.pop("stack", None)
    values = [f"{key}={value}" for key, value in event.items()]
    text = visible(mask(" ".join([message, *values])))
    named = f"{_COLOURS[level]}{level}:{_PLAIN} " if colours and level in _COLOURS else f"{level}: "
    begin = ("" if level == "info" else named) if terminal else f"{moment} {named}"
    traced = [visible(line) for line in mask(trace).splitlines()]
    return "\n".join([begin + text, *traced])
