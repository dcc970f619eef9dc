"""Loggers that import structlog when the first line is logged.

Where it goes is set up by ``cli.logs``; where nothing is, as in another program, to ``logging``.
structlog takes a tenth of a second to import, which most calls never need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_DEBUG, _INFO, _WARNING, _ERROR = 10, 20, 30, 40  # as ``logging`` has them


class _Setup:
    """The setup that is still due before the first line; one for the process."""

    def __init__(self) -> None:
        self._least = 0
        self._prepare: Callable[[], None] | None = None

    def later(self, prepare: Callable[[], None], least: int) -> None:
        """Call ``prepare`` before the first line of at least this level; drop lower ones.

        Replaces an earlier setup. ``prepare`` may defer a second step in the same way.
        """
        self._prepare, self._least = prepare, least

    def now(self) -> None:
        """Do the deferred setup now, because libraries may log by ``logging``."""
        prepare, self._prepare = self._prepare, None
        if prepare is not None:
            prepare()

    def logs(self, level: int) -> bool:
        """Whether a line of this level is logged; if so, the setup is done."""
        while self._prepare is not None:
            if level < self._least:
                return False
            self.now()
        return True


_SETUP: Final = _Setup()
configure_later, configure_now = _SETUP.later, _SETUP.now


class Logger:
    """The methods of structlog's logger that are used here."""

    def __init__(self, name: str) -> None:
        self._name = name

    def debug(self, event: str, **fields: Any) -> None:
        """Log what helps to find a cause."""
        self._log("debug", _DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """Log what every user may want to know."""
        self._log("info", _INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Log what somebody may want to change."""
        self._log("warning", _WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Log what has gone wrong."""
        self._log("error", _ERROR, event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """Log an error with the traceback of the handled exception."""
        self._log("exception", _ERROR, event, fields)

    def _log(self, method: str, level: int, event: str, fields: dict[str, Any]) -> None:
        if not _SETUP.logs(level):
            return
        import structlog  # noqa: PLC0415 - see above

        if structlog.is_configured():
            getattr(structlog.get_logger(self._name), method)(event, **fields)
        else:
            _log_plainly(self._name, level, event, fields, failed=method == "exception")


def _log_plainly(
    name: str, level: int, event: str, fields: dict[str, Any], *, failed: bool
) -> None:
    """Log by the standard library, which shows nothing where no logging is set up."""
    import logging  # noqa: PLC0415 - see above

    ours = logging.getLogger("artifact_sync")
    if not ours.handlers:
        ours.addHandler(logging.NullHandler())
    error = fields.pop("exc_info", failed)
    line = " ".join([event, *(f"{key}={value}" for key, value in fields.items())])
    logging.getLogger(name).log(level, "%s", line, exc_info=error)


def get_logger(name: str) -> Logger:
    """The logger of a module."""
    return Logger(name)
