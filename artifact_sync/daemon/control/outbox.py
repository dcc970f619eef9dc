"""A bounded queue of events for one client."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from artifact_sync.domain.events import BytesArrived, DownloadBegan, RepoEnded, RunPlanned

if TYPE_CHECKING:
    from collections.abc import Callable

    from artifact_sync.domain.events import Event
    from artifact_sync.domain.model import ArtifactKey

_CROWDED = 1000
"""Length from which bytes are only counted if the queue has an entry to add them to."""

_MOST = 10_000
"""Events after which a client counts as too slow."""


class Outbox:
    """An ``Observer`` that queues events. Waiting ``BytesArrived`` of one file are added up.

    ``overflow`` is called once when the queue is full; the queue is closed then.
    """

    def __init__(self, overflow: Callable[[], None], most: int = _MOST) -> None:
        self._overflow = overflow
        self._most = most
        self._events: list[Event] = []
        self._bytes: dict[ArtifactKey, tuple[int, int]] = {}
        """Index and count of the entry to which further bytes of a file are added."""
        self._wake = asyncio.Event()
        self._closed = False

    def notify(self, event: Event) -> None:
        """Queue an event."""
        if self._closed or isinstance(event, (RunPlanned, RepoEnded)):
            return
        if isinstance(event, BytesArrived):
            self._count(event)
        else:
            self._keep(event)
        self._wake.set()

    def close(self) -> None:
        """Drop the queue and all later events."""
        self._closed = True
        self.take()

    def wake(self) -> None:
        """Let ``wait`` return."""
        self._wake.set()

    async def wait(self, seconds: float) -> None:
        """Wait until there is something to take, at most so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    def take(self) -> list[Event]:
        """Empty the queue and return its events in order."""
        events, self._events = self._events, []
        self._bytes.clear()
        self._wake.clear()
        return events

    def _count(self, event: BytesArrived) -> None:
        at, before = self._bytes.get(event.key, (len(self._events), 0))
        if not before:
            if at >= _CROWDED:
                return
            self._events.append(event)
        total = before + event.count
        self._events[at] = BytesArrived(event.key, total)
        self._bytes[event.key] = at, total

    def _keep(self, event: Event) -> None:
        if isinstance(event, DownloadBegan):  # observers count from its offset again
            self._bytes.pop(event.key, None)
        self._events.append(event)
        if len(self._events) > self._most:
            self.close()
            self._overflow()
