"""How much is logged: quiet, normal, verbose."""

from __future__ import annotations

from enum import IntEnum


class Verbosity(IntEnum):
    """How much is logged on stderr."""

    QUIET = -1
    """Errors only."""
    NORMAL = 0
    VERBOSE = 1
    """Everything, tracebacks included."""

    @property
    def level(self) -> int:
        """The lowest level that is logged, as a number of ``logging``."""
        return _LEVELS[self]


_LEVELS = {Verbosity.QUIET: 40, Verbosity.NORMAL: 20, Verbosity.VERBOSE: 10}
