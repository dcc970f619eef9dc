"""Downloads one artifact: attempts, resume, link renewal, publishing."""

from __future__ import annotations

from contextlib import AsyncExitStack, aclosing, suppress
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.domain.errors import (
    DiskError,
    DownloadError,
    IntegrityFailure,
    RangeMismatch,
    Verdict,
)
from artifact_sync.domain.events import DownloadBegan, Retrying
from artifact_sync.domain.model import Mirrored, Placed
from artifact_sync.runtime.backoff import RetryPolicy, delay
from artifact_sync.transfer.context import Published
from artifact_sync.transfer.evidence import Identity, Vouched, here_already
from artifact_sync.transfer.parallel import FileAccess, ParallelBody
from artifact_sync.transfer.receive import BodyReceiver, publish_staged
from artifact_sync.transfer.response import OK, PARTIAL, accept, refusal
from artifact_sync.transfer.staging import StagedFile, StagedState, name_of

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

    from artifact_sync.domain.model import Link
    from artifact_sync.domain.ports import Opened
    from artifact_sync.transfer.context import TransferContext, WantedArtifact
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
    staged: StagedFile
    """To be forgotten once the ledger has it."""


async def fetch(context: TransferContext, wanted: WantedArtifact, lease: SlotLease) -> Fetched:
    """Download an artifact and publish it. Small ones release the slot early.

    Raises ``DownloadError`` once the budget of tries is spent, ``ServiceError`` when no link can be
    had, and ``DiskError``. What is staged stays for the next time, also when cancelled.
    """
    transfer = _Transfer(context, wanted, lease)
    try:
        return await transfer.run()
    finally:
        await transfer.leave()


async def forget_staged(context: TransferContext, staged: StagedFile) -> None:
    """Remove what is left in staging of an artifact that the ledger has."""
    if staged.on_disk:
        with suppress(DiskError):  # a sidecar that stays is swept away later
            await context.offload(staged.forget)
        staged.note(context.staged_names)


def staged_file(context: TransferContext, wanted: WantedArtifact) -> StagedFile:
    """The staged file of an artifact; nothing is read yet."""
    key = wanted.artifact.key
    left = bool(context.staged_names) and name_of(key) in context.staged_names
    return StagedFile(context.staging, key, wanted.artifact.version, recoverable=left)


async def leave_staged(context: TransferContext, staged: StagedFile) -> None:
    """Close what is staged, and note whether there is something for the next time."""
    staged.note(context.staged_names)
    if staged.open:
        with suppress(OSError):
            await context.offload(staged.close)


async def recovered(
    context: TransferContext, wanted: WantedArtifact, staged: StagedFile
) -> Fetched | None:
    """What an earlier process left complete; None: there is something to fetch."""
    if not context.space.known(0):  # before a request is made for what there is no room for
        await context.offload(context.space.look)
    if staged.recoverable:
        await context.admit(wanted.artifact.key, await context.offload(staged.size))
    if staged.recoverable and (found := await _recover(context, wanted, staged)):
        return fetched_file(context, wanted, found, staged)
    return None


async def _recover(
    context: TransferContext, wanted: WantedArtifact, staged: StagedFile
) -> Published | None:
    """Finish what an earlier process left complete but not recorded."""
    await context.offload(staged.recover)
    if staged.complete:
        with suppress(IntegrityFailure):
            return await publish_staged(context, wanted, staged)
        await context.offload(staged.discard)
    elif staged.state is StagedState.PUBLISHED and (vouched := staged.vouched) is not None:
        if wanted.sha256s <= {vouched.sha256}:
            published = await _publish(context, wanted, vouched, staged.path)
            if published is not None:
                return published
        await context.offload(staged.discard)
    return None


async def _publish(
    context: TransferContext, wanted: WantedArtifact, vouched: Vouched, data: Path | None
) -> Published | None:
    """Publish what may be in its place, or in another one, already; None: it is in neither."""
    same = await wanted.same_files(vouched.sha256, vouched.size)
    content = vouched.content(data, same=same)
    (outcome,) = await context.offload(context.mirror.publish, [(content, wanted.path)])
    return Published.of(vouched, outcome) if isinstance(outcome, Placed) else None


async def _from_mirror(
    context: TransferContext, wanted: WantedArtifact, identity: Identity
) -> Published | None:
    """Publish a file in the blocks of one that is here already, as claims say.

    None: they say no SHA-256, or nothing of it is here. The bytes are read and hashed.
    """
    said = [it for it in (*identity.claims, *wanted.claims) if it.algorithm == "sha-256"]
    values = {it.value for it in said} | wanted.sha256s
    if wanted.turn is None or not wanted.turn.before_download or not said or len(values) != 1:
        return None
    (sha256,) = values
    same = await wanted.turn.files(sha256, wanted.path)
    if not same or identity.total not in {None, same[0].size}:
        return None
    await context.admit(wanted.artifact.key, same[0].size)
    judgement = here_already(said, identity, wanted.recorded)
    return await _publish(context, wanted, Vouched(same[0].size, sha256, *judgement), None)


def fetched_file(
    context: TransferContext,
    wanted: WantedArtifact,
    published: Published,
    staged: StagedFile,
    identity: Identity | None = None,
) -> Fetched:
    """Make the record of a published file.

    ``identity``: of the answer, where nothing of it is staged.
    """
    vouched, displaced, shares = published
    identity = identity or staged.identity
    mirrored = Mirrored(
        wanted.artifact.key,
        wanted.path,
        vouched.size,
        vouched.sha256,
        vouched.strength,
        vouched.evidence,
        wanted.artifact.version,
        identity.etag,
        identity.content_encoding,
        context.clock.now(),
        shares=shares.number if shares is not None else None,
        archive=vouched.archive,
    )
    return Fetched(mirrored, displaced, staged)


class _Transfer:
    """The tries at one artifact."""

    def __init__(self, context: TransferContext, wanted: WantedArtifact, lease: SlotLease) -> None:
        self._context = context
        self._wanted = wanted
        self._lease = lease
        self._key = wanted.artifact.key
        self._budget = Budget(context.retry, context.rng)
        self._one_connection = False
        """Several connections have failed for this file."""
        self._staged = staged_file(context, wanted)

    async def run(self) -> Fetched:
        context = self._context
        if (found := await recovered(context, self._wanted, self._staged)) is not None:
            return found
        if (shared := await self._shared(Identity())) is not None:
            return shared
        link = await context.links.get(self._key)
        while True:
            try:
                return await self._try(link)
            except DownloadError as error:
                link = await self._prepare_next(error, link)

    async def leave(self) -> None:
        """Close what is staged, and note whether there is something for the next time."""
        await leave_staged(self._context, self._staged)

    async def _try(self, link: Link) -> Fetched:
        staged = self._staged
        offset = staged.offset if staged.resumable else 0
        validator = staged.identity.validator if offset else None
        await self._lease.take()
        async with AsyncExitStack() as answer:
            asked = self._context.fetcher.open(link, offset, validator)
            opened = await answer.enter_async_context(asked)
            body = await self._accepted(opened, offset, link)
            if not body.offset and (shared := await self._shared(body.identity)) is not None:
                return shared
            receiver = BodyReceiver(self._context, self._wanted, staged, body)
            if self._may_be_parallel(opened, body, link):
                await self._receive_parallel(receiver, opened, body, link, answer)
            else:
                await receiver.receive(opened.chunks)
        if receiver.small:
            self._lease.give()  # the disk is not what slots are for
        if body.total is None:
            await self._context.admit(self._key, receiver.size)
        published = await receiver.publish()
        return fetched_file(self._context, self._wanted, published, staged, body.identity)

    async def _shared(self, identity: Identity) -> Fetched | None:
        """Take its bytes from the mirror itself, if that is wanted and they are there."""
        published = await _from_mirror(self._context, self._wanted, identity)
        if published is None:
            self._end_turn()  # it may be long until the bytes are here
            return None
        return fetched_file(self._context, self._wanted, published, self._staged, identity)

    def _end_turn(self) -> None:
        if self._wanted.turn is not None:
            self._wanted.turn.end()

    async def _accepted(self, opened: Opened, offset: int, link: Link) -> AcceptedBody:
        """Validate an answer's status and headers. ``DownloadError``."""
        if opened.status not in {OK, PARTIAL}:
            raise await refusal(opened, self._context.clock.now())
        body = accept(opened, self._staged.identity, offset, link.host)
        if body.total is not None:
            await self._context.admit(self._key, body.total)
        self._context.observer.notify(DownloadBegan(self._key, body.total, body.offset))
        return body

    def _may_be_parallel(self, opened: Opened, body: AcceptedBody, link: Link) -> bool:
        """Whether several connections may be of use, once the first one proves to be slow."""
        if self._one_connection or not self._context.ranges.suits(opened, body, link.host):
            return False
        return self._context.unlimited

    async def _receive_parallel(
        self,
        receiver: BodyReceiver,
        opened: Opened,
        body: AcceptedBody,
        link: Link,
        answer: AsyncExitStack,
    ) -> None:
        """Receive by several connections where that is worth it; once a transfer."""
        context = self._context
        access = FileAccess(
            context.fetcher, context.links, context.clock, self._key, link, self._lease
        )
        parallel = ParallelBody(context.ranges, access, body)
        try:
            async with aclosing(parallel.chunks(opened.chunks, answer.aclose)) as chunks:
                await receiver.receive(chunks)
        finally:
            self._one_connection = parallel.widened

    async def _prepare_next(self, error: DownloadError, link: Link) -> Link:
        """Wait as long as is right after this failure, and have a link; or raise the failure."""
        context = self._context
        self._end_turn()
        if isinstance(error, RangeMismatch | IntegrityFailure):
            await context.offload(self._staged.discard)
        seconds = self._budget.after(error, self._staged.offset)
        if seconds is None:
            raise error
        context.observer.notify(Retrying(self._key.name, seconds, str(error), self._key))
        await context.clock.sleep(seconds)
        if error.verdict in {Verdict.LAPSED, Verdict.GONE}:
            return await context.links.renew(self._key, link)
        return await context.links.get(self._key)


class Budget:
    """Attempt budget of one artifact: so many tries without getting further."""

    def __init__(self, policy: RetryPolicy, rng: Random) -> None:
        self._policy = policy
        self._rng = rng
        self._failures = 0
        self._furthest = 0
        self._seen: dict[Verdict | type[DownloadError], int] = {}

    def after(self, error: DownloadError, offset: int) -> float | None:
        """Seconds until the next try, by the bytes staged; None: no more."""
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
