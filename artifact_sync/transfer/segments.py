"""The parts of one file that come side by side, each judged like a resume, read in their order.

How many there may be and whether it is worth it is ``ranges``'.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, NamedTuple, Protocol

from msgspec import Struct

from artifact_sync.domain.errors import Cut, DownloadError, RangeMismatch, ServiceError, Verdict
from artifact_sync.transfer.refusal import refusal
from artifact_sync.transfer.response import OK, PARTIAL, accept_part, same_file

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from artifact_sync.domain.model import ArtifactKey, Link
    from artifact_sync.domain.ports import Chunk, Clock, Fetcher, Opened
    from artifact_sync.transfer.links import Links
    from artifact_sync.transfer.slots import SlotLease
    from artifact_sync.transfer.staging import Identity


class FileAccess(Struct, frozen=True):
    """How one file is reached."""

    fetcher: Fetcher
    links: Links
    clock: Clock
    key: ArtifactKey
    link: Link
    """One that has worked."""
    hold: SlotLease
    """The slot of its first connection."""


class Span(NamedTuple):
    """Bytes of a file: from the first up to the one before the end."""

    first: int
    end: int

    @property
    def size(self) -> int:
        """How many."""
        return self.end - self.first


class Bounds(Protocol):
    """What all downloads of a process know."""

    @property
    def most(self) -> int:
        """Connections that one file may have."""

    def distrust(self, host: str) -> None:
        """No parts of any file of this host any more."""


class Segments:
    """The parts of one file. ``aclose`` them, whatever happens."""

    def __init__(self, way: FileAccess, identity: Identity, bounds: Bounds) -> None:
        self._way = way
        self._identity = identity
        self._bounds = bounds
        self._link = way.link
        self._size = 1
        self._left = Span(0, 0)
        """What no part has been begun for."""
        self._stopped = False
        self._window: deque[_Segment] = deque()
        self._spare: list[SlotLease] = []
        """Slots beside the file's own."""
        self._running = 1
        """Connections, the first answer's among them as long as it is read."""

    def divide(self, span: Span, size: int) -> None:
        """These bytes are to come, by so many at a time."""
        self._left, self._size = span, size

    def room(self) -> bool:
        """Whether one connection more has a slot. Nobody waits for a slot because of it."""
        if self._running > len(self._spare) and (another := self._way.hold.another()) is not None:
            self._spare.append(another)
        return self._running <= len(self._spare)

    def begin(self) -> bool:
        """Begin as many parts as may be; whether there is one to be read."""
        while self._may_begin():
            end = min(self._left.first + self._size, self._left.end)
            span, self._left = Span(self._left.first, end), Span(end, self._left.end)
            self._running += 1
            self._window.append(_Segment(self._counted(span)))
        return bool(self._window)

    def _may_begin(self) -> bool:
        most = self._bounds.most
        wanted = self._left.size > 0 and not self._stopped
        return wanted and self._running < most and len(self._window) < most and self.room()

    def stop(self) -> None:
        """Begin none any more: what is left is the ``rest``."""
        self._stopped = True

    def ended(self) -> None:
        """A connection has ended, and its slot, too, if it has one of its own."""
        self._running -= 1
        while len(self._spare) > max(self._running - 1, 0):
            self._spare.pop().give()

    async def get(self) -> Chunk | None:
        """The next chunk of the part that is next to be read; None once: that part is at its end.

        Raises what was wrong with it once all that had come before is read.
        """
        chunk = await self._window[0].get()
        if chunk is None:
            self._window.popleft()
        return chunk

    def rest(self) -> AsyncGenerator[Chunk]:
        """What no part was begun for, by one connection."""
        return self._fetched(self._left)

    async def aclose(self) -> None:
        """End all connections and give their slots back."""
        try:
            for part in self._window:
                part.task.cancel()
            await asyncio.gather(*(part.task for part in self._window), return_exceptions=True)
        finally:
            while self._spare:
                self._spare.pop().give()

    async def _counted(self, span: Span) -> AsyncGenerator[Chunk]:
        """A part, by a connection that is counted."""
        try:
            async with aclosing(self._fetched(span)) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            self.ended()

    async def _fetched(self, span: Span) -> AsyncGenerator[Chunk]:
        """Exactly these bytes. What does not fit is cut off before it: a resume is to judge it."""
        if not span.size:
            return
        async with AsyncExitStack() as stack:
            try:
                opened = await self._open(stack, span)
                async with aclosing(_exactly(opened.chunks, span.size)) as chunks:
                    async for chunk in chunks:
                        yield chunk
            except RangeMismatch as error:
                raise Cut(f"the file could not be had in parts: {error}") from error

    async def _open(self, stack: AsyncExitStack, span: Span) -> Opened:
        """Open a part; a link that is refused is renewed once."""
        link = await self._fresh()
        try:
            return await self._ask(stack, link, span)
        except DownloadError as error:
            if error.verdict not in {Verdict.LAPSED, Verdict.GONE}:
                raise
        await stack.aclose()
        return await self._ask(stack, await self._way.links.renew(self._way.key, link), span)

    async def _fresh(self) -> Link:
        """A link; without the service the one that worked last may still do."""
        try:
            return await self._way.links.get(self._way.key)
        except ServiceError:
            return self._link

    async def _ask(self, stack: AsyncExitStack, link: Link, span: Span) -> Opened:
        way, validator = self._way, self._identity.validator
        asked = way.fetcher.open(link, span.first, validator, span.end - 1)
        opened = await stack.enter_async_context(asked)
        if opened.status not in {OK, PARTIAL}:
            raise await refusal(opened, way.clock.now())
        try:
            accept_part(opened, self._identity, span.first, span.end - 1)
        except RangeMismatch:
            self.stop()  # one was enough to learn that; whoever reads meets it in its turn
            if same_file(opened, self._identity):  # else it is the file that is not what it was
                self._bounds.distrust(link.host)
            raise
        self._link = link
        return opened


class _Segment:
    """Bytes that come into memory whether or not somebody reads them."""

    def __init__(self, chunks: AsyncGenerator[Chunk]) -> None:
        self._came: deque[Chunk] = deque()
        self._news = asyncio.Event()
        self.task = asyncio.create_task(self._fill(chunks))
        self.task.add_done_callback(lambda _: self._news.set())

    async def _fill(self, chunks: AsyncGenerator[Chunk]) -> None:
        async with aclosing(chunks):
            async for chunk in chunks:
                self._came.append(bytes(chunk))  # a piece may lie in a larger buffer
                self._news.set()

    async def get(self) -> Chunk | None:
        """The next chunk; None at the end. Raises what was wrong once all before it is read."""
        while not self._came and not self.task.done():
            self._news.clear()
            await self._news.wait()
        if self._came:
            return self._came.popleft()
        self.task.result()
        return None


async def _exactly(chunks: AsyncIterator[Chunk], count: int) -> AsyncGenerator[Chunk]:
    """A body of so many bytes."""
    async for chunk in chunks:
        count -= len(chunk)
        if count < 0:
            raise RangeMismatch("the server sent more bytes than it had announced")
        yield chunk
    if count:
        raise Cut("the server sent less than it had announced")
