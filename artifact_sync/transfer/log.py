"""Fetches the log of a cube by its pages: resume, the log's end, publishing.

The pages are read in order up to the one that is marked as the last. A page that repeats the one
before it, an empty one or one that is not there ends the log, too. Every page that is complete has
a checkpoint, from which a later process goes on.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from artifact_sync.domain.errors import BadAnswer, IntegrityFailure, NotFound
from artifact_sync.domain.events import BytesArrived, DownloadBegan
from artifact_sync.transfer.context import BLOCK, SmallFile
from artifact_sync.transfer.download import (
    Fetched,
    fetched_file,
    leave_staged,
    recovered,
    staged_file,
)
from artifact_sync.transfer.evidence import Identity
from artifact_sync.transfer.receive import publish_small, publish_staged
from artifact_sync.transfer.staging import StagedState

if TYPE_CHECKING:
    from artifact_sync.domain.model import LogPage
    from artifact_sync.transfer.context import Published, TransferContext, WantedArtifact
    from artifact_sync.transfer.slots import SlotLease

MOST_PAGES = 100_000
"""Pages after which a log is taken for an endless one."""


class LogAbsent(Exception):
    """The service has no log of the cube, or has it no more."""


class LogUnfinished(Exception):
    """The log may still grow: it is to be fetched later."""


class WantedLog(Struct, frozen=True):
    """The log of one cube, to be fetched."""

    wanted: WantedArtifact
    may_grow: bool = False
    """The cube has ended only just: what is not marked as the end may not be it."""


async def fetch_log(context: TransferContext, log: WantedLog, lease: SlotLease) -> Fetched:
    """Fetch a log and publish it. Pages that are staged stay.

    Raises ``LogAbsent``, ``LogUnfinished``, ``ServiceError`` and ``DiskError``.
    """
    transfer = _LogTransfer(context, log, lease)
    try:
        return await transfer.run()
    finally:
        await transfer.leave()


class _Place(Struct, frozen=True, array_like=True):
    """How far a log has been read."""

    pages: int = 0
    """Pages that have been read."""
    digest: str = ""
    """Of the last one's content."""
    done: bool = False
    """It was marked as the log's last page."""

    @property
    def mark(self) -> str:
        """It as text, for a checkpoint."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def of(cls, mark: str) -> _Place | None:
        """Read a mark; None: it is none."""
        try:
            return msgspec.json.decode(mark, type=cls)
        except msgspec.MsgspecError:
            return None


class _LogTransfer:
    """One reading of a log."""

    def __init__(self, context: TransferContext, log: WantedLog, lease: SlotLease) -> None:
        self._context = context
        self._wanted = log.wanted
        self._may_grow = log.may_grow
        self._lease = lease
        self._key = log.wanted.artifact.key
        self._staged = staged_file(context, log.wanted)
        self._place = _Place()
        self._gathered: list[bytes] = []
        """Pages that are not staged: a short log never is."""
        self._size = 0
        self._began = False

    async def run(self) -> Fetched:
        """Read what is missing, and publish the whole."""
        if (found := await recovered(self._context, self._wanted, self._staged)) is not None:
            return found
        await self._resume()
        await self._lease.take()
        try:
            marked = await self._read()
            published = await self._publish(Identity(total=self._size if marked else None))
        except (LogAbsent, IntegrityFailure):  # what is staged is of no use
            await self._context.offload(self._staged.discard)
            raise
        return fetched_file(self._context, self._wanted, published, self._staged)

    async def leave(self) -> None:
        """Close what is staged."""
        await leave_staged(self._context, self._staged)

    async def _resume(self) -> None:
        """Go on behind the last page that an earlier process has staged."""
        place = _Place.of(self._staged.mark)
        if self._staged.state is StagedState.PARTIAL and place is not None:
            self._place, self._size = place, self._staged.offset
        else:
            await self._context.offload(self._staged.discard)

    async def _read(self) -> bool:
        """Read all pages; whether the service has marked the last one."""
        while self._place.pages < MOST_PAGES and not self._place.done:
            page = await self._next()
            if page is None:
                return False
            digest = hashlib.sha256(page.content).hexdigest()
            if digest == self._place.digest:
                return page.done
            await self._take(page.content, _Place(self._place.pages + 1, digest, page.done))
        if self._place.done:
            return True
        raise BadAnswer(f"the log of the cube has no end after {MOST_PAGES:,} pages")

    async def _next(self) -> LogPage | None:
        """The next page with something in it; None: the log has ended."""
        number = self._place.pages + 1
        page = await self._page(number)
        if page is None:
            if number == 1 or await self._page(number - 1) is None:
                raise LogAbsent
        elif page.done or (page.content and (page.complete or not self._may_grow)):
            return page
        if self._may_grow and not (page and page.complete):
            raise LogUnfinished
        return None

    async def _page(self, number: int) -> LogPage | None:
        try:
            return await self._context.source.log_page(self._key.cube_key, number)
        except NotFound:
            return None

    async def _take(self, content: bytes, place: _Place) -> None:
        """Take a page in: what is more than a little is staged."""
        if not self._began:
            self._began = True
            self._context.observer.notify(DownloadBegan(self._key, None, self._size))
        self._place = place
        self._size += len(content)
        self._gathered.append(content)
        if self._size > BLOCK:
            await self._context.offload(self._stage)
        self._context.observer.notify(BytesArrived(self._key, len(content)))
        if self._context.bandwidth is not None:
            await self._context.bandwidth.take(len(content))

    def _stage(self) -> None:
        pages, self._gathered = self._gathered, []
        with self._context.space.taken(sum(map(len, pages))):
            if self._staged.state is not StagedState.PARTIAL:
                self._staged.begin(Identity())
            self._staged.write(*pages, mark=self._place.mark)

    async def _publish(self, identity: Identity) -> Published:
        await self._context.admit(self._key, self._size)
        if self._size <= BLOCK:
            self._lease.give()  # the disk is not what slots are for
            file = SmallFile(self._gathered, identity, self._wanted, self._staged)
            return await publish_small(self._context, file)
        self._staged.resume(identity)
        return await publish_staged(self._context, self._wanted, self._staged)
