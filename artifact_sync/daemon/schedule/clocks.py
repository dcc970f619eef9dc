"""A moment by both clocks, and detection of clock jumps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

_DRIFT = 5.0
"""Seconds by which the clocks may drift apart before it counts as a jump."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, by two clocks."""

    monotonic: float
    """Seconds; never goes back, and may stop while the machine sleeps."""
    wall: datetime
    """In UTC; may jump either way."""

    def until(self, wall: datetime) -> float:
        """Seconds until a time of the wall clock; negative: it is past."""
        return (wall - self.wall).total_seconds()


class Clocks:
    """Detects jumps of the wall clock against the monotonic one.

    It compares with the last jump, and not with the last call, so that small drifts add up.
    """

    def __init__(self) -> None:
        self._agreed: Moment | None = None

    def jump(self, moment: Moment) -> float:
        """Seconds that the wall clock has jumped forward; negative: back.

        0: there was no jump.
        """
        if self._agreed is None:
            self._agreed = moment
        passed = moment.monotonic - self._agreed.monotonic
        gained = -moment.until(self._agreed.wall) - passed
        if abs(gained) < _DRIFT:
            return 0.0
        self._agreed = moment
        return gained
