"""Events on their way to one client, bounded: who does not read costs no more than this."""

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
"""Events from which on bytes are only counted where they can be added to others."""

_MOST = 10_000


class Outbox:
    """An ``Observer``. ``overflow`` is called, once, when a client does not keep up; then it ends.

    Bytes of one file are added up while they wait.
    """

    def __init__(self, overflow: Callable[[], None], most: int = _MOST) -> None:
        self._overflow = overflow
        self._most = most
        self._events: list[Event] = []
        self._bytes: dict[ArtifactKey, tuple[int, int]] = {}
        """Where in the events further bytes of a file are added, and how many stand there."""
        self._stir = asyncio.Event()
        self._closed = False

    def notify(self, event: Event) -> None:
        """Keep an event until it is taken."""
        if self._closed or isinstance(event, (RunPlanned, RepoEnded)):
            return
        if isinstance(event, BytesArrived):
            self._count(event)
        else:
            self._keep(event)
        self._stir.set()

    def close(self) -> None:
        """Keep nothing any more."""
        self._closed = True
        self.take()

    def stir(self) -> None:
        """Let ``stirred`` return."""
        self._stir.set()

    async def stirred(self, seconds: float) -> None:
        """Wait until there is something to take, but no longer than this."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stir.wait()

    def take(self) -> list[Event]:
        """All that is there, in order; then it is empty."""
        events, self._events = self._events, []
        self._bytes.clear()
        self._stir.clear()
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
        if isinstance(event, DownloadBegan):  # a watcher counts from its offset again
            self._bytes.pop(event.key, None)
        self._events.append(event)
        if len(self._events) > self._most:
            self.close()
            self._overflow()
