"""Counts what running passes do, from their events."""

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
"""Seconds between two samples of the rate."""


@dataclass(slots=True)
class PassMeter:
    """Counts the events of one pass."""

    name: str
    """The repository, or how many."""
    why: str
    began: float
    planned: int = 0
    done: int = 0
    failed: int = 0
    bytes: int = 0

    def notify(self, event: Event) -> None:
        """Count an event."""
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
        """The counts as a value of the status."""
        return PassState(
            repo=self.name,
            why=self.why,
            seconds=round(now - self.began, 1),
            planned=self.planned,
            done=self.done,
            failed=self.failed,
            bytes=self.bytes,
        )


@dataclass(frozen=True, slots=True)
class EventFanout:
    """An observer that passes every event to several others."""

    observers: list[Observer]

    def notify(self, event: Event) -> None:
        """Pass an event on."""
        for observer in tuple(self.observers):
            observer.notify(event)


@dataclass(slots=True)
class PassProgress:
    """Running passes, their total rate, and the time of the last event."""

    clock: Clock
    meters: list[PassMeter] = field(default_factory=list)
    last_event: float = 0.0
    """When a pass last began or sent an event, on the monotonic clock."""
    _bytes: int = 0
    _samples: deque[tuple[float, int]] = field(default_factory=deque)

    def notify(self, event: Event) -> None:
        """Note an event of any pass."""
        self.last_event = now = self.clock.monotonic()
        if isinstance(event, BytesArrived):
            self._bytes += event.count
            if not self._samples or now - self._samples[-1][0] >= _SAMPLE:
                self._sample(now)

    @contextmanager
    def metered(self, name: str, why: str) -> Iterator[PassMeter]:
        """List a pass as running to the end of the block."""
        meter = PassMeter(name, why, self.clock.monotonic())
        self.last_event = meter.began
        self.meters.append(meter)
        try:
            yield meter
        finally:
            self.meters.remove(meter)

    @property
    def rate(self) -> float:
        """Bytes a second over the last ten seconds."""
        now = self.clock.monotonic()
        self._sample(now)
        begun, had = self._samples[0]
        return (self._bytes - had) / max(now - begun, _SAMPLE)

    def _sample(self, now: float) -> None:
        self._samples.append((now, self._bytes))
        while len(self._samples) > 1 and now - self._samples[0][0] > _RATE_OVER:
            self._samples.popleft()

    def passes(self) -> tuple[PassState, ...]:
        """The running passes, oldest first."""
        now = self.clock.monotonic()
        return tuple(meter.state(now) for meter in self.meters)
