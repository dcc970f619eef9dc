"""One artifact: from its link through the staged file into its place in the mirror.

Decides when to try again. Receiving a body is ``reception``'s, what an answer means is
``answer``'s, and the ledger is the caller's.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, aclosing, suppress
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.domain.disk_errors import disk_errors
from artifact_sync.domain.errors import DownloadError, IntegrityFailure, RangeMismatch, Verdict
from artifact_sync.domain.events import DownloadBegan, Retrying
from artifact_sync.domain.model import Mirrored
from artifact_sync.runtime.backoff import RetryPolicy, delay
from artifact_sync.transfer.parallel import ParallelBody
from artifact_sync.transfer.receive import (
    BodyReceiver,
    TransferContext,
    WantedArtifact,
    publish,
    publish_staged,
)
from artifact_sync.transfer.refusal import refusal
from artifact_sync.transfer.response import OK, PARTIAL, accept
from artifact_sync.transfer.segments import FileAccess
from artifact_sync.transfer.staging import Identity, Staged, Vouched

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from random import Random

    from artifact_sync.domain.model import Link
    from artifact_sync.domain.ports import Chunk, Opened
    from artifact_sync.transfer.response import AcceptedBody
    from artifact_sync.transfer.slots import SlotLease

_PROGRESS = 1 << 20
"""Bytes by which a try must get further than any before it to earn a new budget of tries."""

_MISMATCHES = 2
"""Bytes that are wrong twice are wrong at their origin."""


class Fetched(Struct, frozen=True):
    """One artifact that is in its place, durable, but not yet recorded."""

    mirrored: Mirrored
    displaced: str | None
    """Where a stranger in its place has been moved."""
    staged: Staged
    """To be forgotten once the ledger has it."""


async def fetch(tools: TransferContext, wanted: WantedArtifact, hold: SlotLease) -> Fetched:
    """Fetch one artifact and publish it. Its slot is given back once a small one has come.

    Raises ``DownloadError`` once the budget of tries is spent, ``ServiceError`` when no link can be
    had, and ``DiskError``. What is staged stays for the next time, also when cancelled.
    """
    transfer = _Transfer(tools, wanted, hold)
    try:
        return await transfer.run()
    finally:
        await transfer.leave()


async def forget(tools: TransferContext, staged: Staged) -> None:
    """The ledger has the artifact: nothing of it need stay in staging."""
    if staged.there:
        with suppress(OSError):  # a sidecar that stays is swept away later
            await tools.offload(staged.forget)
        tools.leftovers.note(staged.name, there=staged.there)


class _Transfer:
    """The tries at one artifact."""

    def __init__(self, tools: TransferContext, wanted: WantedArtifact, hold: SlotLease) -> None:
        self._tools = tools
        self._wanted = wanted
        self._hold = hold
        self._key = wanted.artifact.key
        self._budget = Budget(tools.policy, tools.rng)
        self._alone = False
        """By one connection only: by several it has not come through."""
        self.staged = Staged(tools.staging, self._key, wanted.artifact.version)
        self.staged.there = bool(tools.leftovers) and tools.leftovers.may_hold(self.staged.name)

    async def run(self) -> Fetched:
        tools = self._tools
        if not tools.space.known(0):  # before a request is made for what there is no room for
            await tools.offload(tools.space.look)
        vouched = await tools.offload(self._recover) if self.staged.there else None
        if vouched is not None:
            return self._fetched(vouched, None, self.staged.identity)
        link = await self._tools.links.get(self._key)
        while True:
            try:
                return await self._try(link)
            except DownloadError as error:
                link = await self._prepare_next(error, link)

    async def leave(self) -> None:
        """Close what is staged, and let the next one know whether there is something."""
        if self.staged.there or self._tools.leftovers:
            self._tools.leftovers.note(self.staged.name, there=self.staged.there)
        if self.staged.open:
            with suppress(OSError):
                await self._tools.offload(self.staged.shelve)

    def _recover(self) -> Vouched | None:
        """Finish what an earlier process had judged but not yet published or recorded."""
        with disk_errors("staging"):
            self.staged.recover()
        vouched, mirror = self.staged.vouched, self._tools.mirror
        denied = vouched is not None and not self._agrees(vouched)
        if vouched is None or denied:
            return self._judge_recovered()
        if self.staged.open:
            self.staged.shelve()
            publish(mirror, vouched.content(self.staged.path), self._wanted.path)
            return vouched
        if mirror.digest(self._wanted.path) == (vouched.size, vouched.sha256):
            return vouched
        self._discard()
        return None

    def _judge_recovered(self) -> Vouched | None:
        """Finish a file of which all bytes had come, but nobody had judged them."""
        total = self.staged.identity.total
        if not self.staged.open or total is None or self.staged.offset != total:
            return None
        try:
            return publish_staged(self._tools, self._wanted, self.staged)[0]
        except IntegrityFailure:
            self._discard()
            return None

    def _agrees(self, vouched: Vouched) -> bool:
        """Whether a checksum file, perhaps come since, and the ledger say the same."""
        return self._wanted.sha256s <= {vouched.sha256}

    def _discard(self) -> None:
        with disk_errors("staging"):
            self.staged.discard()

    async def _try(self, link: Link) -> Fetched:
        staged = self.staged
        offset = staged.offset if staged.resumable else 0
        validator = staged.identity.validator if offset else None
        await self._hold.take()
        async with AsyncExitStack() as answer:
            asked = self._tools.fetcher.open(link, offset, validator)
            opened = await answer.enter_async_context(asked)
            body = await self._accepted(opened, offset, link)
            reception = BodyReceiver(self._tools, self._wanted, staged, body)
            if self._may_be_wide(opened, body, link):
                wide = ParallelBody(self._tools.ranges, self._way(link), body)
                chunks = wide.chunks(opened.chunks, answer.aclose)
                await self._receive_wide(reception, wide, chunks)
            else:
                await reception.receive(opened.chunks)
        if reception.small:
            self._hold.give()  # the disk is not what slots are for
        vouched, displaced = await reception.conclude()
        return self._fetched(vouched, displaced, body.identity)

    async def _accepted(self, opened: Opened, offset: int, link: Link) -> AcceptedBody:
        """What the body of an answer is, if it may be believed."""
        tools = self._tools
        if opened.status not in {OK, PARTIAL}:
            raise await refusal(opened, tools.clock.now())
        body = accept(opened, self.staged.identity, offset, link.host)
        tools.observer.notify(DownloadBegan(self._key, body.total, body.offset))
        return body

    def _may_be_wide(self, opened: Opened, body: AcceptedBody, link: Link) -> bool:
        """Whether several connections may be of use, once the first one proves to be slow."""
        tools = self._tools
        if self._alone or not tools.ranges.suits(opened, body, link.host):
            return False
        return tools.unlimited

    def _way(self, link: Link) -> FileAccess:
        tools = self._tools
        return FileAccess(tools.fetcher, tools.links, tools.clock, self._key, link, self._hold)

    async def _receive_wide(
        self, reception: BodyReceiver, wide: ParallelBody, chunks: AsyncGenerator[Chunk]
    ) -> None:
        """Receive by several connections where that is worth it; once a transfer."""
        try:
            async with aclosing(chunks):
                await reception.receive(chunks)
        finally:
            self._alone = wide.widened

    async def _prepare_next(self, error: DownloadError, link: Link) -> Link:
        """Wait as long as is right after this failure, and have a link; or raise the failure."""
        if isinstance(error, RangeMismatch | IntegrityFailure):
            await self._tools.offload(self._discard)
        seconds = self._budget.after(error, self.staged.offset)
        if seconds is None:
            raise error
        self._tools.observer.notify(Retrying(self._key.local_path, seconds, str(error), self._key))
        await self._tools.clock.sleep(seconds)
        if error.verdict in {Verdict.LAPSED, Verdict.GONE}:
            return await self._tools.links.renew(self._key, link)
        return await self._tools.links.get(self._key)

    def _fetched(self, vouched: Vouched, displaced: str | None, identity: Identity) -> Fetched:
        mirrored = Mirrored(
            self._key,
            self._wanted.path,
            vouched.size,
            vouched.sha256,
            vouched.strength,
            vouched.evidence,
            self._wanted.artifact.version,
            identity.etag,
            identity.content_encoding,
            self._tools.clock.now(),
        )
        return Fetched(mirrored, displaced, self.staged)


class Budget:
    """How often one artifact is tried: so many times without getting further."""

    def __init__(self, policy: RetryPolicy, rng: Random) -> None:
        self._policy = policy
        self._rng = rng
        self._failures = 0
        self._furthest = 0
        self._seen: dict[Verdict | type[DownloadError], int] = {}

    def after(self, error: DownloadError, offset: int) -> float | None:
        """Seconds until the next try, with so many bytes staged by now; None: no more."""
        if offset >= self._furthest + _PROGRESS:
            self._furthest, self._failures = offset, 0
            self._seen.clear()
        self._failures += 1
        if error.verdict in {Verdict.PERMANENT, Verdict.OURS} or self._hopeless(error):
            return None
        seconds = delay(self._policy, self._failures, error.retry_after, self._rng)
        first_lapse = error.verdict is not Verdict.TRANSIENT and self._seen[error.verdict] == 1
        return 0.0 if first_lapse and seconds is not None else seconds

    def _hopeless(self, error: DownloadError) -> bool:
        """Gone even behind a fresh link, or wrong twice."""
        kind = IntegrityFailure if isinstance(error, IntegrityFailure) else error.verdict
        self._seen[kind] = self._seen.get(kind, 0) + 1
        limits = {Verdict.GONE: 2, IntegrityFailure: _MISMATCHES}
        return self._seen[kind] >= limits.get(kind, self._policy.attempts)
