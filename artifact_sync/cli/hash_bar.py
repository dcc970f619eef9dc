"""Progress of hashing on a terminal: one line, which comes after a second."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from artifact_sync.cli.session import Verbosity, session
from artifact_sync.runtime.units import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from artifact_sync.cli.terminal import LiveTerminal
    from artifact_sync.sync.hash_progress import HashProgress

_PATIENCE = 1.0
"""Seconds; what is done sooner needs no line."""
_INTERVAL = 0.1


@contextmanager
def hash_bar(progress: HashProgress, *, shown: bool) -> Iterator[Callable[[], None]]:
    """Show how far hashing has come; the call clears the line."""
    terminal = session().terminal if shown else None
    if terminal is None or session().verbosity is Verbosity.QUIET:
        yield lambda: None
        return
    bar = _HashBar(terminal, progress)
    try:
        yield bar.clear
    finally:
        bar.close()


class _HashBar:
    """Draws the line ten times a second."""

    def __init__(self, terminal: LiveTerminal, progress: HashProgress) -> None:
        self._terminal = terminal
        self._progress = progress
        self._timer = asyncio.get_running_loop().call_later(_PATIENCE, self._tick)

    def clear(self) -> None:
        """Remove the line until it is drawn again."""
        self._terminal.show(())

    def close(self) -> None:
        """Remove the line for good."""
        self._timer.cancel()
        self.clear()

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_INTERVAL, self._tick)
        columns, _ = self._terminal.size()
        self._terminal.show([hash_line(self._progress, columns - 1)])


def hash_line(progress: HashProgress, columns: int) -> str:
    """A line of at most so many columns: share, files and bytes."""
    from artifact_sync.cli.progress_bars import part_of_size, share_bar, shortened  # noqa: PLC0415 - slow to import

    by_files = progress.files / (progress.of_files or 1)
    share = min(progress.size / progress.of_size if progress.of_size else by_files, 1.0)
    facts = f"{progress.files:,}/{counted(progress.of_files, 'file')} hashed"
    facts += f", {part_of_size(progress.size, progress.of_size)}"
    line = f"{share * 100:3.0f}%"
    room = columns - len(line) - len(facts) - 1
    line += share_bar(share, room) if room >= len(line) else ""
    return shortened(f"{line} {facts}", columns)
