"""Downloads one large file by several range requests where a server limits each connection.

``ParallelBody`` wraps the chunks of an answer and yields the same bytes in the same order, so that
staging, hashing and resuming need not know of it. Each ``Segments`` range is validated like a
resume.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.domain.errors import Cut, DownloadError, RangeMismatch, ServiceError, Verdict
from artifact_sync.transfer.response import OK, PARTIAL, accept_part, refusal, same_file

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from artifact_sync.domain.model import ArtifactKey, Link
    from artifact_sync.domain.ports import Chunk, Clock, Fetcher, Opened
    from artifact_sync.transfer.evidence import Identity
    from artifact_sync.transfer.links import Links
    from artifact_sync.transfer.response import AcceptedBody
    from artifact_sync.transfer.slots import SlotLease

_MIB = 1 << 20


class RangeTerms(Struct, frozen=True):
    """Thresholds for several connections, and the size of a range."""

    came: int = 8 * _MIB
    """Bytes before the rate is measured: the first ones often come in a burst."""
    seconds: float = 2.0
    """Seconds over which a rate is measured, again and again."""
    fast: float = 8.0 * _MIB
    """Bytes a second at which one connection is good enough."""
    left: int = 32 * _MIB
    """Bytes that must be left ..."""
    left_seconds: float = 10.0
    """... and how long they would take at the rate so far."""
    size: int = 4 * _MIB
    """Bytes of a range. One a connection may be in memory."""
    gain: float = 1.25
    """Speed-up below which the rest comes by one connection."""


class RangePolicy:
    """Range requests of a process: one file at a time may have several."""

    def __init__(self, most: int = 1, terms: RangeTerms | None = None) -> None:
        self.most = most
        """Most connections for one file."""
        self.terms = terms or RangeTerms()
        self._distrusted: set[str] = set()
        self._taken = False

    def suits(self, opened: Opened, body: AcceptedBody, host: str) -> bool:
        """Whether the file of this answer may have several connections, if it comes slowly."""
        if self.most == 1 or body.length is None or body.length < self.terms.left:
            return False
        return host not in self._distrusted and divisible(opened, body)

    def distrust(self, host: str) -> None:
        """Use no ranges with this host any more: its answers to them are wrong."""
        self._distrusted.add(host)

    def take(self) -> bool:
        """Claim several connections for one file; False while another file has them."""
        taken, self._taken = self._taken, True
        return not taken

    def give(self) -> None:
        """Give the claim back."""
        self._taken = False


def divisible(opened: Opened, body: AcceptedBody) -> bool:
    """Whether the rest may be requested in ranges: it has a validator.

    The server must have shown that it serves ranges, by a 206 or by ``Accept-Ranges``.
    """
    known = body.total is not None and body.length == body.total - body.offset
    takes = opened.status == PARTIAL or opened.headers.get("accept-ranges", "").lower() == "bytes"
    return known and takes and bool(body.identity.validator)


def worth_it(terms: RangeTerms, rate: float, left: int) -> bool:
    """Whether the rate is slow and enough bytes are left."""
    return rate < terms.fast and left >= max(terms.left, rate * terms.left_seconds)


class FileAccess(Struct, frozen=True):
    """Means to request ranges of one file."""

    fetcher: Fetcher
    links: Links
    clock: Clock
    key: ArtifactKey
    link: Link
    """One that has worked."""
    lease: SlotLease
    """The slot of its first connection."""


class ParallelBody:
    """Yields one body in order, by several connections once that is worth it."""

    def __init__(self, ranges: RangePolicy, access: FileAccess, body: AcceptedBody) -> None:
        """``body``: of an answer that ``RangePolicy.suits``."""
        self._ranges = ranges
        self._terms = ranges.terms
        self._access = access
        self._identity = body.identity
        self._total = body.total or 0
        self._begun = access.clock.monotonic()
        self._came = 0
        """Bytes since then."""
        self._enough = body.offset + self._terms.came
        self._at = body.offset
        """The next byte to be yielded."""
        self._before = 0.0
        """Bytes a second by one connection."""
        self._slow = False
        """Whether several connections are worth it, as of the last chunk."""
        self.widened = False

    async def chunks(
        self, chunks: AsyncIterator[Chunk], close: Callable[[], Awaitable[None]]
    ) -> AsyncGenerator[Chunk]:
        """Yield the bytes in order. Close it, and it closes the answer.

        Raises what the chunks raise, and a failed range's error at its place. The rest is then best
        requested by one connection, as a resume.
        """
        segments = Segments(self._access, self._identity, self._ranges)
        async for chunk in chunks:
            yield self._count(chunk)
            if self._slow and self._take(segments):
                break
        else:
            return
        try:
            async with aclosing(self._divided(segments, chunks, close)) as divided:
                async for chunk in divided:
                    yield self._count(chunk)
        finally:
            self._ranges.give()

    def _count(self, chunk: Chunk) -> Chunk:
        self._came += len(chunk)
        self._at += len(chunk)
        self._slow = not self.widened and self._is_worth_it()
        return chunk

    @property
    def _rate(self) -> float:
        """Bytes a second since the last ``_restart``."""
        return self._came / max(self._access.clock.monotonic() - self._begun, 1e-9)

    def _restart(self) -> None:
        self._came, self._begun = 0, self._access.clock.monotonic()

    def _is_worth_it(self) -> bool:
        if self._at < self._enough:
            return False
        if self._access.clock.monotonic() - self._begun < self._terms.seconds:
            return False
        self._before = self._rate
        self._restart()
        return worth_it(self._terms, self._before, self._total - self._at)

    def _take(self, segments: Segments) -> bool:
        """Claim several connections, if at least one more has a slot."""
        if not self._ranges.take():
            return False
        if not segments.room():
            self._ranges.give()
            return False
        return True

    async def _divided(
        self, segments: Segments, chunks: AsyncIterator[Chunk], close: Callable[[], Awaitable[None]]
    ) -> AsyncGenerator[Chunk]:
        """The rest: one range of it from the first answer, the others beside it."""
        self.widened = True
        first = range(self._at, min(self._at + self._terms.size, self._total))
        segments.divide(range(first.stop, self._total), self._terms.size)
        try:
            segments.begin()
            async with aclosing(_up_to(chunks, len(first))) as begun:
                async for chunk in begun:
                    yield chunk
            await close()
            segments.ended()
            async with aclosing(self._in_order(segments)) as others:
                async for chunk in others:
                    yield chunk
        finally:
            await segments.aclose()

    async def _in_order(self, segments: Segments) -> AsyncGenerator[Chunk]:
        while segments.begin():
            while (chunk := await segments.get()) is not None:
                yield chunk
            if self._came >= self._ranges.most * self._terms.size and self._in_vain():
                segments.stop()
        async with aclosing(segments.rest()) as rest:
            async for chunk in rest:
                yield chunk

    def _in_vain(self) -> bool:
        """Whether all connections together are hardly faster than one was."""
        return self._rate < self._terms.gain * self._before


class Segments:
    """Concurrent range requests of one file, read in order. ``aclose`` them, whatever happens."""

    def __init__(self, access: FileAccess, identity: Identity, ranges: RangePolicy) -> None:
        self._access = access
        self._identity = identity
        self._ranges = ranges
        self._link = access.link
        self._size = 1
        self._left = range(0)
        """Bytes that no request has been started for."""
        self._stopped = False
        self._window: deque[_Segment] = deque()
        self._spare: list[SlotLease] = []
        """Leases of more slots than the file's own."""
        self._running = 1
        """Connections, the first answer's included while it is read."""

    def divide(self, span: range, size: int) -> None:
        """Request these bytes, so many at a time."""
        self._left, self._size = span, size

    def room(self) -> bool:
        """Whether one more connection has a slot. Never waits for one."""
        if (
            self._running > len(self._spare)
            and (another := self._access.lease.another()) is not None
        ):
            self._spare.append(another)
        return self._running <= len(self._spare)

    def begin(self) -> bool:
        """Start as many requests as allowed; whether there is one to read."""
        while self._may_begin():
            span, self._left = self._left[: self._size], self._left[self._size :]
            self._running += 1
            self._window.append(_Segment(self._fetched(span), self.ended))
        return bool(self._window)

    def _may_begin(self) -> bool:
        most = self._ranges.most
        wanted = bool(self._left) and not self._stopped
        return wanted and self._running < most and len(self._window) < most and self.room()

    def stop(self) -> None:
        """Start no more requests; what is left is the ``rest``."""
        self._stopped = True

    def ended(self) -> None:
        """A connection has ended; release its slot, if it has one of its own."""
        self._running -= 1
        while len(self._spare) > max(self._running - 1, 0):
            self._spare.pop().give()

    async def get(self) -> Chunk | None:
        """The next chunk of the first range; None at its end.

        Raises that range's error after all that came before it.
        """
        chunk = await self._window[0].get()
        if chunk is None:
            self._window.popleft()
        return chunk

    def rest(self) -> AsyncGenerator[Chunk]:
        """The bytes that no request was started for, by one connection."""
        return self._fetched(self._left)

    async def aclose(self) -> None:
        """End all connections and release their slots."""
        try:
            for part in self._window:
                part.task.cancel()
            await asyncio.gather(*(part.task for part in self._window), return_exceptions=True)
        finally:
            while self._spare:
                self._spare.pop().give()

    async def _fetched(self, span: range) -> AsyncGenerator[Chunk]:
        """Exactly these bytes. A range that does not match is a ``Cut``, for a resume to judge."""
        if not span:
            return
        async with AsyncExitStack() as stack:
            try:
                opened = await self._open(stack, span)
                async with aclosing(_exactly(opened.chunks, len(span))) as chunks:
                    async for chunk in chunks:
                        yield chunk
            except RangeMismatch as error:
                raise Cut(f"the file could not be had in parts: {error}") from error

    async def _open(self, stack: AsyncExitStack, span: range) -> Opened:
        """Open a range; a refused link is renewed once."""
        link = await self._fresh()
        try:
            return await self._ask(stack, link, span)
        except DownloadError as error:
            if error.verdict not in {Verdict.LAPSED, Verdict.GONE}:
                raise
        await stack.aclose()
        return await self._ask(stack, await self._access.links.renew(self._access.key, link), span)

    async def _fresh(self) -> Link:
        """A link. While the service fails, the one that worked last may still do."""
        try:
            return await self._access.links.get(self._access.key)
        except ServiceError:
            return self._link

    async def _ask(self, stack: AsyncExitStack, link: Link, span: range) -> Opened:
        access, validator = self._access, self._identity.validator
        asked = access.fetcher.open(link, span.start, validator, span.stop - 1)
        opened = await stack.enter_async_context(asked)
        if opened.status not in {OK, PARTIAL}:
            raise await refusal(opened, access.clock.now())
        try:
            accept_part(opened, self._identity, span.start, span.stop - 1)
        except RangeMismatch:
            self.stop()  # one was enough to learn that; whoever reads meets it in its turn
            if same_file(opened, self._identity):  # else it is the file that is not what it was
                self._ranges.distrust(link.host)
            raise
        self._link = link
        return opened


class _Segment:
    """A range read ahead into memory by a task of its own."""

    def __init__(self, chunks: AsyncGenerator[Chunk], ended: Callable[[], None]) -> None:
        self._came: deque[Chunk] = deque()
        self._news = asyncio.Event()
        self.task = asyncio.create_task(self._fill(chunks))
        self.task.add_done_callback(lambda _: ended())
        self.task.add_done_callback(lambda _: self._news.set())

    async def _fill(self, chunks: AsyncGenerator[Chunk]) -> None:
        async with aclosing(chunks):
            async for chunk in chunks:
                self._came.append(bytes(chunk))  # a piece may lie in a larger buffer
                self._news.set()

    async def get(self) -> Chunk | None:
        """The next chunk; None at the end. An error comes after earlier chunks."""
        while not self._came and not self.task.done():
            self._news.clear()
            await self._news.wait()
        if self._came:
            return self._came.popleft()
        self.task.result()
        return None


async def _up_to(chunks: AsyncIterator[Chunk], count: int) -> AsyncGenerator[Chunk]:
    """The first bytes of a longer body."""
    async for chunk in chunks:
        yield chunk[:count]
        count -= len(chunk)
        if count <= 0:
            return
    raise Cut("the server sent less than it had announced")


async def _exactly(chunks: AsyncIterator[Chunk], count: int) -> AsyncGenerator[Chunk]:
    """A body of exactly so many bytes."""
    async for chunk in chunks:
        count -= len(chunk)
        if count < 0:
            raise RangeMismatch("the server sent more bytes than it had announced")
        yield chunk
    if count:
        raise Cut("the server sent less than it had announced")
