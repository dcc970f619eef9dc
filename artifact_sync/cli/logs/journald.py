"""Log handler for journald's native protocol.

The protocol is systemd's document "Native Journal Protocol" (systemd.io/JOURNAL_NATIVE_PROTOCOL).
"""

from __future__ import annotations

import errno
import logging
import os
import re
import socket
from typing import TYPE_CHECKING, TextIO

from artifact_sync.cli.logs.record import LogEntry, entry_of
from artifact_sync.runtime.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from artifact_sync.cli.logs.mask import Mask
    from artifact_sync.cli.terminal import LiveTerminal

SOCKET = "/run/systemd/journal/socket"
IDENTIFIER = "artifact-sync"

_PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}  # of syslog(3)
_PREFIX = "ARTIFACT_SYNC_"
_LONGEST_NAME = 64  # of a field; journald ignores those that are longer
_TOO_LARGE = (errno.EMSGSIZE, errno.ENOBUFS)
_PATIENCE = 0.1  # seconds that the log may hold up the program, once, when journald does not read


def goes_to_journal(stream: TextIO | LiveTerminal | None, environ: Mapping[str, str]) -> bool:
    """Whether ``$JOURNAL_STREAM`` says that the stream goes to the journal."""
    said = environ.get("JOURNAL_STREAM")
    if not said or stream is None or not hasattr(socket, "AF_UNIX"):
        return False
    try:
        stat = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return said == f"{stat.st_dev}:{stat.st_ino}"


class Journal(logging.Handler):
    """Sends records to journald, or to another handler if that fails. Never raises.

    When journald does not read, the first record waits a little and later ones are dropped. Their
    number is logged when it reads again.
    """

    def __init__(self, mask: Mask, otherwise: logging.Handler, path: str = SOCKET) -> None:
        super().__init__()
        self._mask = mask
        self._otherwise = otherwise
        self._path = path
        self._socket: socket.socket | None = None
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        try:
            self._send(entry_of(record, self._mask))
        except (BlockingIOError, TimeoutError):
            self._dropped += 1
        except Exception:  # noqa: BLE001 - logging's own answer would show the record unmasked
            self._close()
            self._otherwise.handle(record)

    def close(self) -> None:
        """Close the socket."""
        self._close()
        super().close()

    def _send(self, entry: LogEntry) -> None:
        self._deliver(entry)
        if self._dropped:
            words = "the journal did not read for a while, lines before this one are lost"
            self._deliver(LogEntry(words, level="warning", fields={"lines": self._dropped}))
            self._dropped = 0

    def _deliver(self, entry: LogEntry) -> None:
        """Send an entry; reconnect once if journald was restarted."""
        try:
            self._attempt(entry)
        except (ConnectionError, FileNotFoundError):
            self._close()
            self._attempt(entry)

    def _attempt(self, entry: LogEntry) -> None:
        channel = self._connected()
        channel.settimeout(0)
        try:
            _send(channel, entry)
        except BlockingIOError:
            if self._dropped:
                raise
            channel.settimeout(_PATIENCE)  # not at first: poll(2) calls a half full socket full
            _send(channel, entry)

    def _connected(self) -> socket.socket:
        if self._socket is None:
            channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket = channel
            channel.connect(self._path)
        return self._socket

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _send(channel: socket.socket, entry: LogEntry) -> None:
    """Send an entry; one that is too large for a datagram in a sealed memory file."""
    content = datagram(entry)
    try:
        channel.send(content)
    except OSError as error:
        if error.errno not in _TOO_LARGE:
            raise
        memory = _sealed(content)
        try:
            socket.send_fds(channel, [b""], [memory])
        finally:
            os.close(memory)


def _sealed(content: bytes) -> int:
    """Write a sealed memory file, as journald demands; return its descriptor."""
    import fcntl  # noqa: PLC0415 - Unix alone has it

    memory = os.memfd_create("journal-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(memory, "wb", closefd=False) as file:
            file.write(content)
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, seals)
    except BaseException:
        os.close(memory)
        raise
    return memory


def datagram(entry: LogEntry) -> bytes:
    """Encode an entry."""
    return b"".join(_field(name, value) for name, value in _fields(entry))


def _fields(entry: LogEntry) -> Iterator[tuple[str, str]]:
    """Names and values. The message repeats them, because ``journalctl`` shows it only."""
    yield "MESSAGE", "\n".join([entry.words(), *entry.traced()])
    yield "PRIORITY", str(_PRIORITIES.get(entry.level, _PRIORITIES["info"]))
    yield "SYSLOG_IDENTIFIER", IDENTIFIER
    file, line, function = entry.place
    if file:
        yield from (("CODE_FILE", file), ("CODE_LINE", str(line)), ("CODE_FUNC", function))
    if entry.logger:
        yield "LOGGER", entry.logger
    for key, value in entry.fields.items():
        yield _name(key), printable(str(value))


def _name(key: str) -> str:
    return (_PREFIX + re.sub(r"[^A-Z0-9_]", "_", key.upper()))[:_LONGEST_NAME]


def _field(name: str, value: str) -> bytes:
    """Encode ``NAME=value``, or a value of several lines with its length (64 bits)."""
    raw = value.encode(errors="backslashreplace")  # names from a disk may hold lone surrogates
    if b"\n" not in raw:
        return name.encode() + b"=" + raw + b"\n"
    return name.encode() + b"\n" + len(raw).to_bytes(8, "little") + raw + b"\n"
