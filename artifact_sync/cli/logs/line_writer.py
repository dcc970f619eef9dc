"""Writes lines to a stream in a thread, so that no reader blocks."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

_PATIENCE = 0.1
"""Seconds that a line holds up its caller; none while the one before is not written."""

_MOST = 1_000_000
"""Characters that may wait."""

_LAST, _STALLED = 5.0, 1.0
"""Seconds to write the rest at the end: at most, and without a line getting through."""

_RETRY = 0.05
"""Seconds until a full stream that does not block is tried again."""


class LineWriter:
    """Writes to a stream, in order. Never raises, and never blocks for long.

    A line is usually written when ``write`` returns. While the stream takes none, lines wait; too
    many are dropped, and so are those that fail. ``lost`` makes the line that tells how many, once
    the stream takes lines again. Where no thread can be had, the caller writes.
    """

    def __init__(self, stream: TextIO, lost: Callable[[int], str] = lambda _: "") -> None:
        self._stream = stream
        self._lost = lost
        self._changed = threading.Condition()
        self._lines: deque[str] = deque()
        """Those to be written; the first one is being written."""
        self._size = 0
        self._dropped = 0
        self._stalled = False
        self._thread: threading.Thread | None = None

    def write(self, line: str) -> None:
        """Write a line, or have it written later."""
        with self._changed:
            if not self._has_thread():
                self._dropped += not self._put(line)
            elif self._size > _MOST:
                self._dropped += 1
            else:
                self._lines.append(line)
                self._size += len(line)
                self._changed.notify_all()
                if not self._stalled:
                    self._stalled = not self._wait(_PATIENCE)

    def flush(self) -> None:
        """Wait until all lines are written, as long as they get through."""
        until = time.monotonic() + _LAST
        with self._changed:
            left = len(self._lines) + 1
            while len(self._lines) < left and time.monotonic() < until:
                left = len(self._lines)
                self._wait(_STALLED)

    def _wait(self, seconds: float) -> bool:
        return self._changed.wait_for(lambda: not self._lines, seconds)

    def _has_thread(self) -> bool:
        """Whether a thread writes; there is none for a stream in memory."""
        if self._thread is None and _descriptor(self._stream) is not None:
            thread = threading.Thread(target=self._serve, name="log", daemon=True)
            with suppress(RuntimeError):  # the system gives none
                thread.start()
                self._thread = thread
        return self._thread is not None

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._lines))
                line = self._lines[0]
            self._written(line, done=self._put(line))

    def _written(self, line: str, *, done: bool) -> None:
        with self._changed:
            self._lines.popleft()
            self._size -= len(line)
            self._dropped += not done
            self._stalled = self._stalled and bool(self._lines)
            self._changed.notify_all()
            lost = self._dropped if done and not self._lines else 0
        if lost and self._put(self._lost(lost)):
            with self._changed:
                self._dropped -= lost

    def _put(self, line: str) -> bool:
        """Write a line now, past the stream's buffer; False when that fails. Blocking."""
        descriptor = _descriptor(self._stream)
        try:
            if descriptor is None:
                self._stream.write(line)
                self._stream.flush()
            else:
                encoding = self._stream.encoding or "utf-8"
                _write_all(descriptor, line.encode(encoding, "backslashreplace"))
        except (OSError, ValueError):
            return False
        return True


def _descriptor(stream: TextIO) -> int | None:
    """The stream's descriptor; None: it is closed, in memory, or on Windows."""
    if os.name == "nt":
        return None
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            time.sleep(_RETRY)
