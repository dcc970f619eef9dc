"""Loggers that cost nothing until something is logged.

Where it goes is set up by ``cli.logs``; where nothing is, as in another program, to ``logging``.
structlog takes a tenth of a second to import, which most calls never need.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

_DEBUG, _INFO, _WARNING, _ERROR = 10, 20, 30, 40  # as ``logging`` has them


class _Setting:
    """What is still to be done before the first line; one for the process, as logging's own is."""

    def __init__(self) -> None:
        self._least = 0
        self._prepare: Callable[[], None] | None = None

    def later(self, prepare: Callable[[], None], least: int) -> None:
        self._prepare, self._least = prepare, least

    def step(self) -> None:
        prepare, self._prepare = self._prepare, None
        if prepare is not None:
            prepare()  # may leave another step to be done

    def tells(self, level: int) -> bool:
        """Whether a line of this level is to be told; then all is prepared for it."""
        while self._prepare is not None:
            if level < self._least:
                return False
            self.step()
        return True


_SETTING: Final = _Setting()


def configure_later(prepare: Callable[[], None], least: int) -> None:
    """Have this called once, before the first line of at least this level; below, nothing is told.

    In place of what was asked for before. What is called may itself put off a second step.
    """
    _SETTING.later(prepare, least)


def configure_now() -> None:
    """Have done what was put off, though nothing is logged yet: others may log something."""
    _SETTING.step()


class Logger:
    """structlog's logger of a name, by the methods that are used here."""

    def __init__(self, name: str) -> None:
        self._name = name

    def debug(self, event: str, **fields: Any) -> None:
        """For whoever looks for the cause of something."""
        self._tell("debug", _DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """For everybody."""
        self._tell("info", _INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Something that somebody may want to change."""
        self._tell("warning", _WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Something has gone wrong."""
        self._tell("error", _ERROR, event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """``error`` with the traceback of the exception that is being handled."""
        self._tell("exception", _ERROR, event, fields)

    def _tell(self, method: str, level: int, event: str, fields: dict[str, Any]) -> None:
        if not _SETTING.tells(level):
            return
        import structlog  # noqa: PLC0415 - see above

        if structlog.is_configured():
            getattr(structlog.get_logger(self._name), method)(event, **fields)
        else:
            _tell_logging(self._name, level, event, fields, failed=method == "exception")


def _tell_logging(
    name: str, level: int, event: str, fields: dict[str, Any], *, failed: bool
) -> None:
    """Log a line by the standard library; whoever sets up no logging sees none of it."""
    import logging  # noqa: PLC0415 - see above

    logging.getLogger("artifact_sync").addHandler(_nowhere())
    error = fields.pop("exc_info", failed)
    line = " ".join([event, *(f"{key}={value}" for key, value in fields.items())])
    logging.getLogger(name).log(level, "%s", line, exc_info=error)


@cache
def _nowhere() -> logging.Handler:
    """One handler: to add it again adds none."""
    from logging import NullHandler  # noqa: PLC0415 - see above

    return NullHandler()


def get_logger(name: str) -> Logger:
    """The logger of a module."""
    return Logger(name)
