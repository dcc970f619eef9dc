"""Notifies systemd of the daemon's state, by sd_notify(3)."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.text import printable

if TYPE_CHECKING:
    from collections.abc import MutableMapping


_log = get_logger(__name__)

_MICRO = 1_000_000
_LONGEST = 1024  # bytes of a status; systemd ignores messages of more than 4096
VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""What systemd sets for a service."""


def supervisor_of(environ: MutableMapping[str, str]) -> Supervisor:
    """The supervisor that the environment names; its variables are removed, for any child."""
    address, usec, pid = (environ.pop(name, "") for name in VARIABLES)
    if address and (not hasattr(socket, "AF_UNIX") or address[0] not in "/@"):
        _log.warning(
            "the service manager cannot be notified: unknown kind of address", address=address
        )
        address = ""
    return Supervisor(address, _watchdog(usec, pid) if address else None)


def _watchdog(usec: str, pid: str) -> float | None:
    """Seconds, by sd_watchdog_enabled(3); None when unreadable or for another process."""
    if pid and pid != str(os.getpid()):
        return None
    return int(usec) / _MICRO if usec.isdecimal() and int(usec) > 0 else None


class Supervisor:
    """Sends the daemon's state to a datagram socket.

    Its address is a path, or ``@name`` (Linux's abstract space).

    Without an address nothing is sent. The methods never block and never raise. A message that
    finds the socket full is dropped; a change of state in it is sent again with the next one.
    """

    def __init__(self, address: str = "", watchdog: float | None = None) -> None:
        self.watchdog = watchdog
        """Seconds within which ``alive`` must be called again; None: there is no watchdog."""
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._undelivered: tuple[str, ...] = ()
        self._failed = False

    def ready(self, status: str) -> None:
        """The daemon has started, or reloaded. ``status`` is a line for people."""
        self._change("READY=1", _status(status))

    def status(self, text: str) -> None:
        """Show a line for people."""
        self._send(_status(text))

    def reloading(self) -> None:
        """A reload begins; ``ready`` ends it."""
        self._change("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str) -> None:
        """The daemon is shutting down."""
        self._change("STOPPING=1", _status(status))

    def alive(self) -> None:
        """Notify the watchdog."""
        self._send("WATCHDOG=1")

    def extend(self, seconds: float) -> None:
        """Allow starting or stopping to take so much longer from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(max(seconds, 0) * _MICRO)}")

    def _change(self, *lines: str) -> None:
        """Send a change of state until it is delivered, in place of the one before."""
        self._undelivered = lines
        self._send()

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        message = "\n".join([*self._undelivered, *lines]).encode(errors="replace")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.settimeout(0)
                channel.sendto(message, self._address)
        except BlockingIOError:
            return
        except OSError as error:
            self._log_failure(error)
            return
        self._undelivered = ()

    def _log_failure(self, error: OSError) -> None:
        if not self._failed:
            self._failed = True
            why = error.strerror or str(error)
            _log.warning("systemd cannot be notified", why=why)


def _status(text: str) -> str:
    """One line, printable, and short enough not to be ignored."""
    short = " ".join(printable(text, " ").split()).encode(errors="replace")[:_LONGEST]
    return "STATUS=" + short.decode(errors="ignore")
