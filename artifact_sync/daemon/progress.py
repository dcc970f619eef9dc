"""The live state of the passes that are running, from the events that they send. Counts only."""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from artifact_sync.domain.events import BytesArrived, Downloaded, Failed, FetchBegan
from artifact_sync.domain.status import PassState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from artifact_sync.domain.events import Event, Observer
    from artifact_sync.domain.ports import Clock

_RATE_OVER = 10.0
"""Seconds over which the rate is averaged."""

_SAMPLE = 0.5
"""Seconds between two samples of it."""


@dataclass(slots=True)
class PassMeter:
    """One running pass."""

    what: str
    """The repository, or how many."""
    why: str
    began: float
    planned: int = 0
    done: int = 0
    failed: int = 0
    bytes: int = 0

    def notify(self, event: Event) -> None:
        """Count it."""
        match event:
            case FetchBegan(files=files):
                self.planned += files
            case BytesArrived(count=count):
                self.bytes += count
            case Downloaded():
                self.done += 1
            case Failed(key=key) if key is not None:
                self.failed += 1
            case _:
                pass

    def state(self, now: float) -> PassState:
        """As it is told."""
        return PassState(
            repo=self.what,
            why=self.why,
            seconds=round(now - self.began, 1),
            planned=self.planned,
            done=self.done,
            failed=self.failed,
            bytes=self.bytes,
        )


@dataclass(frozen=True, slots=True)
class EventFanout:
    """An observer that hands every event on to several."""

    observers: list[Observer]

    def notify(self, event: Event) -> None:
        """Hand it on."""
        for observer in tuple(self.observers):
            observer.notify(event)


@dataclass(slots=True)
class PassProgress:
    """All running passes, and when something last happened in any of them."""

    clock: Clock
    meters: list[PassMeter] = field(default_factory=list)
    stirred: float = 0.0
    """When anything was last heard of, on the monotonic clock."""
    _bytes: int = 0
    _samples: deque[tuple[float, int]] = field(default_factory=deque)

    def notify(self, event: Event) -> None:
        """Something has happened."""
        self.stirred = now = self.clock.monotonic()
        if isinstance(event, BytesArrived):
            self._bytes += event.count
            if not self._samples or now - self._samples[-1][0] >= _SAMPLE:
                self._sample(now)

    @contextmanager
    def metered(self, what: str, why: str) -> Iterator[PassMeter]:
        """A pass, shown to the end of the block."""
        meter = PassMeter(what, why, self.clock.monotonic())
        self.stirred = meter.began
        self.meters.append(meter)
        try:
            yield meter
        finally:
            self.meters.remove(meter)

    @property
    def rate(self) -> float:
        """Bytes a second, lately."""
        now = self.clock.monotonic()
        self._sample(now)
        begun, had = self._samples[0]
        return (self._bytes - had) / max(now - begun, _SAMPLE)

    def _sample(self, now: float) -> None:
        self._samples.append((now, self._bytes))
        while len(self._samples) > 1 and now - self._samples[0][0] > _RATE_OVER:
            self._samples.popleft()

    def passes(self) -> tuple[PassState, ...]:
        """The passes that are running, the oldest first."""
        now = self.clock.monotonic()
        return tuple(meter.state(now) for meter in self.meters)
