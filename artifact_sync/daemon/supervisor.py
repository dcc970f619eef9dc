"""Who keeps the daemon alive, as the daemon sees it. How systemd is told is ``notify``'s."""

from __future__ import annotations

from typing import Protocol


class Supervisor(Protocol):
    """Told how the daemon fares. Never blocks, never raises: being told is its own affair."""

    watchdog: float | None
    """Seconds within which ``alive`` must be called again; None: nobody waits for it."""

    def ready(self, status: str) -> None:
        """Started, or reloaded; and a line for people."""

    def status(self, text: str) -> None:
        """A line for people."""

    def reloading(self) -> None:
        """A reload begins; ``ready`` ends it."""

    def stopping(self, status: str) -> None:
        """The daemon is on its way out."""

    def alive(self) -> None:
        """Feed the watchdog."""

    def extend(self, seconds: float) -> None:
        """Starting or stopping may take so much longer from now."""


class Nobody:
    """A supervisor where there is none."""

    watchdog: float | None = None

    def ready(self, status: str) -> None:
        """Say nothing."""

    def status(self, text: str) -> None:
        """Say nothing."""

    def reloading(self) -> None:
        """Say nothing."""

    def stopping(self, status: str) -> None:
        """Say nothing."""

    def alive(self) -> None:
        """Say nothing."""

    def extend(self, seconds: float) -> None:
        """Say nothing."""
