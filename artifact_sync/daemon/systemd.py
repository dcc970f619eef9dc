"""Tells systemd how the daemon fares, by sd_notify(3). What is told, and when, is the daemon's."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, Protocol

from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.text import printable

if TYPE_CHECKING:
    from collections.abc import MutableMapping


_log = get_logger(__name__)

_MICRO = 1_000_000
_LONGEST = 1024  # bytes of a status; systemd ignores messages of more than 4096
_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


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


def supervisor_of(environ: MutableMapping[str, str]) -> Supervisor:
    """Whoever waits to be told, as the environment says; ``Nobody`` where none does.

    The variables are taken away: no child process is to speak in our name.
    """
    address, usec, pid = (environ.pop(name, "") for name in _VARIABLES)
    if not address:
        return Nobody()
    if not hasattr(socket, "AF_UNIX") or address[0] not in "/@":
        _log.warning("whoever started this cannot be told how it fares", address=address)
        return Nobody()
    return Systemd(address, _watchdog(usec, pid))


def _watchdog(usec: str, pid: str) -> float | None:
    """Seconds, as sd_watchdog_enabled(3) reads them; None when they are meant for another process.

    What cannot be read is taken for none.
    """
    if pid and pid != str(os.getpid()):
        return None
    return int(usec) / _MICRO if usec.isdecimal() and int(usec) > 0 else None


class Systemd:
    """A supervisor behind a datagram socket: a path, or ``@name`` in Linux's abstract space.

    A message that finds the socket full is dropped; a change of state among them goes along with
    the next message.
    """

    def __init__(self, address: str, watchdog: float | None = None) -> None:
        self.watchdog = watchdog
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._owed: tuple[str, ...] = ()
        self._failed = False

    def ready(self, status: str) -> None:
        """Started, or reloaded; and a line for people."""
        self._change("READY=1", _status(status))

    def status(self, text: str) -> None:
        """A line for people."""
        self._send(_status(text))

    def reloading(self) -> None:
        """A reload begins; ``ready`` ends it."""
        self._change("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str) -> None:
        """The daemon is on its way out."""
        self._change("STOPPING=1", _status(status))

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def extend(self, seconds: float) -> None:
        """Starting or stopping may take so much longer from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(max(seconds, 0) * _MICRO)}")

    def _change(self, *lines: str) -> None:
        """Tell of a new state, of which systemd has to hear; the one before is of no interest."""
        self._owed = lines
        self._send()

    def _send(self, *lines: str) -> None:
        message = "\n".join([*self._owed, *lines]).encode(errors="replace")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.settimeout(0)
                channel.sendto(message, self._address)
        except BlockingIOError:
            return
        except OSError as error:
            self._complain(error)
            return
        self._owed = ()

    def _complain(self, error: OSError) -> None:
        if not self._failed:
            self._failed = True
            why = error.strerror or str(error)
            _log.warning("systemd cannot be told how the daemon fares", why=why)


def _status(text: str) -> str:
    """One line, printable, and short enough not to be ignored."""
    short = " ".join(printable(text, " ").split()).encode(errors="replace")[:_LONGEST]
    return "STATUS=" + short.decode(errors="ignore")
