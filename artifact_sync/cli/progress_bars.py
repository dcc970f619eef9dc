"""Progress on a terminal: a line for the pass, and one a file."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from tqdm import tqdm
from tqdm.utils import disp_len

from artifact_sync.domain.events import BytesArrived, DownloadBegan, Downloaded, Failed, FetchBegan
from artifact_sync.runtime.text import printable
from artifact_sync.runtime.units import counted
from artifact_sync.runtime.units import size_in_words as size

if TYPE_CHECKING:
    from artifact_sync.cli.terminal import LiveTerminal
    from artifact_sync.domain.events import Event, Observer
    from artifact_sync.domain.model import ArtifactKey

_INTERVAL = 0.1
"""Seconds between two redraws."""

_RATE_OVER = 5.0
"""Seconds over which the rate is averaged."""

_MOST_FILES = 8
_NARROWEST_BAR = 10
_WIDEST_BAR = 40
_WIDEST_NAME = 100


@dataclass(slots=True)
class FileProgress:
    """A file that is being received."""

    total: int | None
    """None: unknown."""
    received: int


class Amounts:
    """Counts files and bytes of a pass; its totals never go back."""

    def __init__(self) -> None:
        self.planned = 0
        self.done = 0
        self.failed = 0
        self.files: dict[ArtifactKey, FileProgress] = {}
        self._arrived = 0
        self._ended_total = self._ended_received = self._given_up = 0
        self._received = 0
        self._share = 0.0
        self._recent: deque[tuple[float, int]] = deque([(monotonic(), 0)])

    def notify(self, event: Event) -> None:
        """Count an event."""
        match event:
            case FetchBegan(_, files):
                self.planned += files
            case DownloadBegan(key, total, offset):
                self.files[key] = FileProgress(total, offset)
            case BytesArrived(key, count):
                self._arrived += count
                if key in self.files:
                    self.files[key].received += count
            case Downloaded(mirrored):
                self.done += 1
                self._end(mirrored.key)
            case Failed(_, key) if key is not None:
                self.failed += 1
                self._end(key)
            case _:
                pass

    def _end(self, key: ArtifactKey) -> None:
        ended = self.files.pop(key, FileProgress(0, 0))
        total = max(ended.total or 0, ended.received)
        self._ended_total += total
        self._ended_received += ended.received
        self._given_up += total - ended.received

    @property
    def received(self) -> int:
        """Bytes received, those staged by an earlier pass included."""
        now = self._ended_received + sum(file.received for file in self.files.values())
        self._received = max(self._received, now)
        return self._received

    @property
    def total(self) -> int:
        """Bytes of all files whose size is known."""
        return self._ended_total + sum(file.total or 0 for file in self.files.values())

    @property
    def unknown(self) -> int:
        """How many of the planned files have no known size."""
        known = sum(file.total is not None for file in self.files.values())
        return max(self.planned - self.done - self.failed - known, 0)

    @property
    def expected(self) -> float:
        """Bytes of all planned files; one of unknown size counts as the average."""
        known = self.planned - self.unknown
        return self.total * self.planned / known if known > 0 else 0.0

    @property
    def left(self) -> float:
        """Bytes still to come."""
        return max(self.expected - self.received - self._given_up, 0.0)

    @property
    def share(self) -> float:
        """The share that is done; below 1, for more runs may follow."""
        expected = self.expected
        by_files = (self.done + self.failed) / (self.planned or 1)
        now = 1 - self.left / expected if expected else by_files
        self._share = max(self._share, min(now, 0.99))
        return self._share

    def rate(self, now: float) -> float:
        """Bytes a second, averaged over some seconds."""
        self._recent.append((now, self._arrived))
        while len(self._recent) > 2 and now - self._recent[0][0] > _RATE_OVER:  # noqa: PLR2004
            self._recent.popleft()
        begun, had = self._recent[0]
        return (self._arrived - had) / max(now - begun, _INTERVAL)


class ProgressBars:
    """Draws the lines ten times a second, and when a file begins."""

    def __init__(self, terminal: LiveTerminal, then: Observer, most: int) -> None:
        self._terminal = terminal
        self._then = then
        self._most = min(most, _MOST_FILES)
        self._amounts = Amounts()
        self._may_begin = 0
        """Files that may be drawn as they begin, for they may end before the next tick."""
        self._timer: asyncio.Handle = asyncio.get_running_loop().call_soon(self._tick)

    def notify(self, event: Event) -> None:
        """Count an event and hand it on."""
        self._amounts.notify(event)
        self._then.notify(event)
        if isinstance(event, DownloadBegan) and self._may_begin:
            self._may_begin -= 1
            self._draw()

    def close(self) -> None:
        """Remove the lines from the terminal."""
        self._timer.cancel()
        self._terminal.show(())

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_INTERVAL, self._tick)
        self._may_begin = self._most
        self._draw()

    def _draw(self) -> None:
        columns, rows = self._terminal.size()
        most = max(min(self._most, rows - 2), 0)
        self._terminal.show(progress_lines(self._amounts, columns - 1, most, monotonic()))


def progress_lines(amounts: Amounts, columns: int, most: int, now: float) -> list[str]:
    """Lines of at most so many columns: the whole, and the first running files."""
    shown = list(amounts.files.items())[:most]
    return [_whole(amounts, columns, now), *(_file(*it, columns) for it in shown)]


def _whole(amounts: Amounts, columns: int, now: float) -> str:
    """Format the line of the pass, without what does not fit."""
    rate, left = amounts.rate(now), amounts.left
    share = f"{amounts.share * 100:3.0f}%"
    parts = {
        "files": f"{amounts.done:,}/{counted(amounts.planned, 'file')}",
        "bytes": part_of_size(amounts.received, amounts.total, more="+" * bool(amounts.unknown)),
        "rate": f"{size(rate)}/s",
        "time": f"ETA {tqdm.format_interval(left / rate)}" if rate > 0 and left > 0 else "",
        "failed": f"{amounts.failed:,} failed" if amounts.failed else "",
    }
    parts = {name: part for name, part in parts.items() if part}
    for least in ("rate", "bytes", "time", "failed"):
        if len(", ".join(parts.values())) > columns - len(share) - 1:
            parts.pop(least, None)
    facts = ", ".join(parts.values())
    room = columns - len(share) - len(facts) - 1
    bar = share_bar(amounts.share, room) if room >= _NARROWEST_BAR else ""
    return shortened(f"{share}{bar} {facts}", columns)


def _file(key: ArtifactKey, file: FileProgress, columns: int) -> str:
    """Format a file's line: where it belongs, its name, how much of it has come."""
    share = min(file.received / file.total, 1.0) if file.total else None
    facts = "    " if share is None else f"{share * 100:3.0f}%"
    if columns >= 70:  # noqa: PLR2004 - half of a usual terminal for the name
        facts += share_bar(share or 0.0, max(columns // 8, _NARROWEST_BAR))
        facts += f"{part_of_size(file.received, file.total or 0):>19}"
    room = min(max(columns - len(facts) - 1, 0), _WIDEST_NAME)
    name = f"{label(key, room - 1)}:"
    return f"{name}{' ' * (room - disp_len(name))} {facts}"[:columns]


def label(key: ArtifactKey, columns: int) -> str:
    """Format repository, run and path, cut in the middle where they are too wide."""
    place, path = printable(f"{key.run_key.repo} {key.run}"), printable(key.name)
    path = path.removeprefix("./")
    place = shortened(place, max(columns // 2, columns - disp_len(path) - 1))
    return f"{place} {shortened(path, columns - disp_len(place) - 1)}"


def shortened(text: str, columns: int) -> str:
    """Cut a text in its middle where it is too wide."""
    if disp_len(text) <= columns:
        return text
    room = max(columns - 1, 0)
    head, tail = text, text
    while disp_len(head) > room // 3:
        head = head[:-1]
    while disp_len(tail) > room - disp_len(head):
        tail = tail[1:]
    return f"{head}…{tail}"[: max(columns, 0)]


def share_bar(share: float, columns: int) -> str:
    """A bar of at most so many columns."""
    inner = min(columns, _WIDEST_BAR) - 2
    return tqdm.format_meter(share, 1.0, 0, ascii="-#", bar_format=f"|{{bar:{inner}}}|")


def part_of_size(received: int, total: int, more: str = "") -> str:
    """Format ``1.2 of 4.5 MiB`` in the total's unit; ``more`` follows an incomplete total."""
    if not total:
        return size(received)
    whole, unit = size(total).split()
    step = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}[unit]
    part = f"{received:,}" if step == 1 else f"{received / step:,.1f}"
    return f"{part} of {whole}{more} {unit}"
