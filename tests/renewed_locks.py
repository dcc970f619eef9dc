"""Locks of a process whose connection is lost and made anew, as a mirror sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.domain.errors import LeaseLost

if TYPE_CHECKING:
    from collections.abc import Callable


class RenewedLocks:
    """Its ``fence`` is that of ``AdvisoryLocks``."""

    def __init__(self) -> None:
        self._connection = 0
        self._is_lost = False

    def lose(self) -> None:
        """Lose the connection, as long as somebody still works under it."""
        self._is_lost = True

    def renew(self) -> None:
        """Lose the connection, and make another one."""
        self._connection += 1

    def fence(self) -> Callable[[], None]:
        """See ``AdvisoryLocks.fence``."""
        held = self._connection

        def check() -> None:
            if self._is_lost or held != self._connection:
                raise LeaseLost("acme/shop")

        return check
