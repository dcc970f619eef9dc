"""A terminal with a block of lines that is redrawn below whatever is written."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, TextIO
from unicodedata import combining, east_asian_width

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class LiveTerminal:
    """Writes text to a stream, above a block of lines if there is one.

    The cursor rests where the block begins, so that it can be erased whatever the terminal's new
    size or a ``^C`` has made of it. May be called from any thread.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._block: Sequence[str] = ()
        self._lock = threading.RLock()

    def isatty(self) -> bool:
        """It is one."""
        return True

    def fileno(self) -> int:
        """The stream's descriptor."""
        return self._stream.fileno()

    def size(self) -> tuple[int, int]:
        """Columns and lines, as they are now."""
        try:
            return os.get_terminal_size(self.fileno())
        except (OSError, ValueError):
            return 80, 24

    def flush(self) -> None:
        """Do nothing: all is written at once."""

    def write(self, text: str) -> None:
        """Write whole lines above the block."""
        with self._lock:
            self._replace(self._block, text)

    def show(self, block: Sequence[str]) -> None:
        """Replace the block; no lines remove it.

        A line must be narrower than the terminal.
        """
        with self._lock:
            self._replace(block)

    def _replace(self, block: Sequence[str], text: str = "") -> None:
        erased = "\r\x1b[J" if self._block else ""
        back = f"\x1b[{len(block) - 1}A" if len(block) > 1 else ""
        drawn = "\n".join(map(self._encodable, block)) + back + "\r" if block else ""
        self._block = block
        self._stream.write(erased + text + drawn)
        self._stream.flush()

    def _encodable(self, line: str) -> str:
        """A line of the same width in the stream's encoding."""
        encoding = self._stream.encoding or "utf-8"
        return line.encode(encoding, "replace").decode(encoding)


def live_terminal(stream: TextIO | None, environ: Mapping[str, str]) -> LiveTerminal | None:
    """The terminal that a stream is, if its cursor can be moved."""
    moves = stream is not None and stream.isatty() and environ.get("TERM") != "dumb"
    return LiveTerminal(stream) if stream is not None and moves else None


def cells(text: str) -> int:
    """How many columns a text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(it) else 1 + (east_asian_width(it) in "WF") for it in text)


def padded(text: str, columns: int) -> str:
    """Fill a text with spaces up to a number of columns."""
    return text + " " * (columns - cells(text))


def shortened(text: str, columns: int) -> str:
    """Cut a text in its middle where it is too wide."""
    if cells(text) <= columns:
        return text
    room = max(columns - 1, 0)
    head, tail = text, text
    while cells(head) > room // 3:
        head = head[:-1]
    while cells(tail) > room - cells(head):
        tail = tail[1:]
    return f"{head}…{tail}"[: max(columns, 0)]
