"""Progress bars on a terminal."""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, NoReturn, TextIO

from tqdm import tqdm

from artifact_sync.domain.events import BytesArrived, DownloadBegan, Downloaded, Failed, FetchBegan
from artifact_sync.runtime.text import printable
from artifact_sync.runtime.units import size_in_words as size

if TYPE_CHECKING:
    from artifact_sync.domain.events import Event, Observer
    from artifact_sync.domain.model import ArtifactKey

_INTERVAL = 0.1
"""Seconds between two refreshes of the total."""

_RATE_OVER = 5.0
"""Seconds over which the rate is averaged."""

_MOST_BARS = 8


class Amounts:
    """Counts files and bytes of a pass, and its rate."""

    def __init__(self) -> None:
        self.planned = 0
        self.done = 0
        self.failed = 0
        self.arrived = 0
        self._at: dict[ArtifactKey, int] = {}
        self._totals: dict[ArtifactKey, int] = {}
        self._finished = 0
        self._recent: deque[tuple[float, int]] = deque([(monotonic(), 0)])

    def begin(self, key: ArtifactKey, total: int | None, offset: int) -> None:
        """Count a file whose bytes begin to arrive, at ``offset``."""
        self._at[key] = offset
        if total is not None:
            self._totals[key] = total

    def arrive(self, key: ArtifactKey, count: int) -> None:
        """Count bytes that have arrived."""
        self.arrived += count
        self._at[key] = self._at.get(key, 0) + count

    def end(self, key: ArtifactKey, *, failed: bool) -> None:
        """Count a file that is mirrored or has failed."""
        self.done += not failed
        self.failed += failed
        self._finished += self._at.pop(key, 0)
        self._totals.pop(key, None)

    @property
    def _all_begun(self) -> bool:
        return self.done + self.failed + len(self._totals) >= self.planned

    @property
    def bytes_done(self) -> int:
        """Bytes received, those staged by an earlier pass included."""
        return self._finished + sum(self._at.values())

    @property
    def bytes_total(self) -> int | None:
        """Bytes of all files, once every size is known."""
        return self._finished + sum(self._totals.values()) if self._all_begun else None

    @property
    def share(self) -> float:
        """The share that is done, 0 to 1, by bytes if possible."""
        total = self.bytes_total
        if total:
            return min(self.bytes_done / total, 1.0)
        parts = sum(min(self._at[key] / (total or 1), 1.0) for key, total in self._totals.items())
        return min((self.done + self.failed + parts) / (self.planned or 1), 1.0)

    @property
    def rate(self) -> float:
        """Bytes a second, averaged over some seconds."""
        now = monotonic()
        self._recent.append((now, self.arrived))
        while len(self._recent) > 2 and now - self._recent[0][0] > _RATE_OVER:  # noqa: PLR2004
            self._recent.popleft()
        begun, had = self._recent[0]
        return (self.arrived - had) / max(now - begun, _INTERVAL)

    def __str__(self) -> str:
        total = self.bytes_total
        amount = size(self.bytes_done) + (f" of {size(total)}" if total is not None else "")
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.done}/{self.planned} files, {amount}, {size(self.rate)}/s{failed}"


class ProgressBars:
    """A bar for the whole pass and one for each running file."""

    def __init__(self, stream: TextIO, then: Observer, most: int) -> None:
        self._stream = stream
        self._then = then
        self._amounts = Amounts()
        self._free = list(range(min(most, _MOST_BARS), 0, -1))
        self._files: dict[ArtifactKey, tqdm[NoReturn]] = {}
        self._shown = 0.0
        self._total = tqdm(
            total=1.0,
            file=stream,
            leave=False,
            position=0,
            dynamic_ncols=True,
            bar_format="{percentage:3.0f}%|{bar}| {desc}",
        )

    def notify(self, event: Event) -> None:
        """Show an event and hand it on."""
        match event:
            case FetchBegan(_, files):
                self._amounts.planned += files
            case DownloadBegan(key, total, offset):
                self._begin(key, total, offset)
            case BytesArrived(key, count):
                self._arrive(key, count)
            case Downloaded(mirrored):
                self._end(mirrored.key, failed=False)
            case Failed(_, key) if key is not None:
                self._end(key, failed=True)
            case _:
                pass
        self._then.notify(event)
        self._refresh()

    def close(self) -> None:
        """Remove the bars from the terminal."""
        for bar in self._files.values():
            bar.close()
        self._total.close()
        self._files.clear()

    def _begin(self, key: ArtifactKey, total: int | None, offset: int) -> None:
        self._amounts.begin(key, total, offset)
        if (bar := self._files.get(key)) is not None:
            bar.reset(total)
            bar.n = offset
        elif self._free:
            self._files[key] = self._bar(key, total, offset)

    def _bar(self, key: ArtifactKey, total: int | None, offset: int) -> tqdm[NoReturn]:
        return tqdm(
            desc=printable(f"{key.repo} {key.run} {key.local_path}")[-34:].rjust(34),
            total=total,
            initial=offset,
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            file=self._stream,
            leave=False,
            dynamic_ncols=True,
            position=self._free.pop(),
        )

    def _arrive(self, key: ArtifactKey, count: int) -> None:
        self._amounts.arrive(key, count)
        if (bar := self._files.get(key)) is not None:
            bar.update(count)

    def _end(self, key: ArtifactKey, *, failed: bool) -> None:
        self._amounts.end(key, failed=failed)
        if (bar := self._files.pop(key, None)) is not None:
            self._free.append(-bar.pos)
            bar.close()

    def _refresh(self) -> None:
        now = monotonic()
        if now - self._shown >= _INTERVAL:
            self._shown = now
            self._total.n = self._amounts.share
            self._total.set_description_str(str(self._amounts), refresh=False)
            self._total.refresh()
