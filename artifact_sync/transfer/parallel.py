"""Downloads one big file by several range requests where a server limits each connection.

``ParallelBody`` wraps the chunks of an answer and yields the same bytes in the same order, so that
staging, hashing and resuming need not know of it. It only decides when ranges are worth it.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.domain.errors import Cut
from artifact_sync.transfer.response import PARTIAL
from artifact_sync.transfer.segments import Segments, Span

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from artifact_sync.domain.ports import Chunk, Opened
    from artifact_sync.transfer.response import AcceptedBody
    from artifact_sync.transfer.segments import FileAccess

_MIB = 1 << 20


class RangeTerms(Struct, frozen=True):
    """When a file is worth more than one connection, and how it is divided."""

    came: int = 8 * _MIB
    """Bytes that must have come before a rate says anything: the first ones often come at once."""
    seconds: float = 2.0
    """How long a rate is taken over, at the least; then over the next such time."""
    fast: float = 8.0 * _MIB
    """Bytes a second at which one connection is good enough."""
    left: int = 32 * _MIB
    """Bytes that must be left ..."""
    left_seconds: float = 10.0
    """... and how long they would take at the rate so far."""
    part: int = 4 * _MIB
    """Bytes of a range. As many of them as there are connections may be in memory."""
    gain: float = 1.25
    """How many times faster it must become, or else the rest comes by one connection."""


class RangePolicy:
    """What all downloads of a process know of ranges: one file at a time may have several."""

    def __init__(self, most: int = 1, terms: RangeTerms | None = None) -> None:
        self.most = most
        """Connections for one file; 1: never more than one."""
        self.terms = terms or RangeTerms()
        self._distrusted: set[str] = set()
        self._taken = False

    def suits(self, opened: Opened, body: AcceptedBody, host: str) -> bool:
        """Whether the file of this answer may have several, if it comes slowly."""
        if self.most == 1 or body.length is None or body.length < self.terms.left:
            return False
        return host not in self._distrusted and divisible(opened, body)

    def distrust(self, host: str) -> None:
        """Never again with this host: it does not do with ranges what it says."""
        self._distrusted.add(host)

    def take(self) -> bool:
        """Be the file that has several, unless another one is."""
        taken, self._taken = self._taken, True
        return not taken

    def give(self) -> None:
        """Let another one be it."""
        self._taken = False


def divisible(opened: Opened, body: AcceptedBody) -> bool:
    """Whether the rest may be asked for in parts: only a validator says that they are one file's.

    Only of a server that has said that it takes ranges: by what it answered, or in so many words.
    """
    known = body.total is not None and body.length == body.total - body.offset
    takes = opened.status == PARTIAL or opened.headers.get("accept-ranges", "").lower() == "bytes"
    return known and takes and bool(body.identity.validator)


def worth_it(terms: RangeTerms, rate: float, left: int) -> bool:
    """Whether so many bytes a second are slow, and enough of them is left."""
    return rate < terms.fast and left >= max(terms.left, rate * terms.left_seconds)


class ParallelBody:
    """The bytes of one body, by several connections once that is worth it."""

    def __init__(self, ranges: RangePolicy, way: FileAccess, body: AcceptedBody) -> None:
        """``body``: of an answer that ``suits``."""
        self._ranges = ranges
        self._terms = ranges.terms
        self._way = way
        self._identity = body.identity
        self._total = body.total or 0
        self._begun = way.clock.monotonic()
        self._came = 0
        """Bytes since then; a rate is made of the two."""
        self._enough = body.offset + self._terms.came
        self._at = body.offset
        """The next byte to be yielded."""
        self._before = 0.0
        """The rate by one connection."""
        self._slow = False
        """Whether several connections are worth a trial, as of the last chunk."""
        self.widened = False

    async def chunks(
        self, chunks: AsyncIterator[Chunk], close: Callable[[], Awaitable[None]]
    ) -> AsyncGenerator[Chunk]:
        """The bytes in order; ``close`` ends the answer whose chunks these are. Close this, too.

        Raises what the chunks raise, and what is wrong with a part at the place of that part. Then
        the rest is best asked for by one connection: it is for a resume to judge what this means.
        """
        parts = Segments(self._way, self._identity, self._ranges)
        async for chunk in chunks:
            yield self._count(chunk)
            if self._slow and self._take(parts):
                break
        else:
            return
        try:
            async with aclosing(self._divided(parts, chunks, close)) as divided:
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
        return self._came / max(self._way.clock.monotonic() - self._begun, 1e-9)

    def _restart(self) -> None:
        self._came, self._begun = 0, self._way.clock.monotonic()

    def _is_worth_it(self) -> bool:
        if self._at < self._enough:
            return False
        if self._way.clock.monotonic() - self._begun < self._terms.seconds:
            return False
        self._before = self._rate
        self._restart()
        return worth_it(self._terms, self._before, self._total - self._at)

    def _take(self, parts: Segments) -> bool:
        """Be the one wide file, with at least one connection more."""
        if not self._ranges.take():
            return False
        if not parts.room():
            self._ranges.give()
            return False
        return True

    async def _divided(
        self, parts: Segments, chunks: AsyncIterator[Chunk], close: Callable[[], Awaitable[None]]
    ) -> AsyncGenerator[Chunk]:
        """The rest: a part of it still from the first answer, the others beside it."""
        self.widened = True
        first = Span(self._at, min(self._at + self._terms.part, self._total))
        parts.divide(Span(first.end, self._total), self._terms.part)
        try:
            parts.begin()
            async with aclosing(_up_to(chunks, first.size)) as begun:
                async for chunk in begun:
                    yield chunk
            await close()
            parts.ended()
            async with aclosing(self._in_order(parts)) as others:
                async for chunk in others:
                    yield chunk
        finally:
            await parts.aclose()

    async def _in_order(self, parts: Segments) -> AsyncGenerator[Chunk]:
        while parts.begin():
            while (chunk := await parts.get()) is not None:
                yield chunk
            if self._came >= self._ranges.most * self._terms.part and self._in_vain():
                parts.stop()
        async with aclosing(parts.rest()) as rest:
            async for chunk in rest:
                yield chunk

    def _in_vain(self) -> bool:
        """Whether all connections together are hardly faster than the one was."""
        return self._rate < self._terms.gain * self._before


async def _up_to(chunks: AsyncIterator[Chunk], count: int) -> AsyncGenerator[Chunk]:
    """The first so many bytes of a body that goes on behind them."""
    async for chunk in chunks:
        yield chunk[:count]
        count -= len(chunk)
        if count <= 0:
            return
    raise Cut("the server sent less than it had announced")
