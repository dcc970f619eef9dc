"""A terminal with a block of lines that is redrawn below whatever is written."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, TextIO

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
