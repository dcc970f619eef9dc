"""``ports.Ledger`` for the event loop, over the writer thread."""

from __future__ import annotations

from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

from artifact_sync.domain.hooks import HookEvent
from artifact_sync.ledger.drivers.location import OpenTerms, location
from artifact_sync.ledger.drivers.store import open_store
from artifact_sync.ledger.queries import (
    adoption,
    archives,
    artifact_reads,
    artifact_writes,
    keeping,
    outbox,
    run_records,
    selection,
    usage,
)
from artifact_sync.ledger.queries import forget_rules as rules
from artifact_sync.ledger.queries import runs as of_runs
from artifact_sync.ledger.queries import sharing as blocks
from artifact_sync.ledger.queries import standing as of_repository
from artifact_sync.ledger.queries import totals as counts
from artifact_sync.ledger.queries.transaction import NOBODY
from artifact_sync.ledger.writer_thread import WriterThread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
    from pathlib import Path
    from typing import Self

    from artifact_sync.domain.hooks import Subscriptions
    from artifact_sync.domain.listing import ArtifactFilter
    from artifact_sync.domain.model import ArtifactRow, Mirrored, RepoName, RunKey, RunScope
    from artifact_sync.domain.settings import Durability
    from artifact_sync.ledger.queries.transaction import Transaction
    from artifact_sync.ledger.sql.connection import Connection

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Item = TypeVar("_Item")
_Place = TypeVar("_Place")
_AT_A_TIME = 500
"""Artifacts that are read at a time."""


def _reads(
    verb: Callable[Concatenate[Connection, _P], _T],
) -> Callable[Concatenate[AsyncLedger, _P], Coroutine[Any, Any, _T]]:
    """Carry a verb out on the thread, on one state of the ledger."""

    async def ask(self: AsyncLedger, /, *args: _P.args, **named: _P.kwargs) -> _T:
        return await self._worker.read(lambda connection: verb(connection, *args, **named))

    return ask


def _writes(
    verb: Callable[Concatenate[Transaction, _P], _T],
) -> Callable[Concatenate[AsyncLedger, _P], Coroutine[Any, Any, _T]]:
    """Carry a verb out on the thread, and commit it."""

    async def ask(self: AsyncLedger, /, *args: _P.args, **named: _P.kwargs) -> _T:
        return await self._write(lambda transaction: verb(transaction, *args, **named))

    return ask


def _writes_some(
    verb: Callable[Concatenate[Transaction, Sequence[_Item], _P], None],
) -> Callable[Concatenate[AsyncLedger, Sequence[_Item], _P], Coroutine[Any, Any, None]]:
    """The same for a verb about some items, which need no commit where there are none."""

    async def ask(
        self: AsyncLedger, items: Sequence[_Item], /, *args: _P.args, **named: _P.kwargs
    ) -> None:
        if items:
            await self._write(lambda transaction: verb(transaction, items, *args, **named))

    return ask


def _pages(
    verb: Callable[Concatenate[Connection, _Place | None, _P], tuple[Sequence[_T], _Place | None]],
) -> Callable[Concatenate[AsyncLedger, _P], AsyncGenerator[_T]]:
    """Read everything, a batch at a time; nothing is held open between batches."""

    async def ask(self: AsyncLedger, /, *args: _P.args, **named: _P.kwargs) -> AsyncGenerator[_T]:
        def batch(
            after: _Place | None,
        ) -> Callable[[Connection], tuple[Sequence[_T], _Place | None]]:
            return lambda connection: verb(connection, after, *args, **named)

        place: _Place | None = None
        while True:
            rows, place = await self._worker.read(batch(place))
            for row in rows:
                yield row
            if place is None:
                return

    return ask


_together: ContextVar[list[Callable[[Transaction], Any]] | None]
_together = ContextVar("_together", default=None)
"""What is to be committed at the end of a block."""


class AsyncLedger:
    """An open ledger. What each verb promises is written on ``ports.Ledger``."""

    def __init__(self, worker: WriterThread, file: Path | None) -> None:
        self._worker = worker
        self._file = file
        """SQLite's; None: in memory, or on a server."""
        self._subscriptions = NOBODY

    @classmethod
    async def open(
        cls, url: str | Path, *, durability: Durability, create: bool, read_only: bool
    ) -> Self:
        """Open a ledger; see ``open_ledger``."""
        terms = OpenTerms(durability, create, read_only)
        worker = WriterThread(partial(open_store, url, terms))
        await worker.start()
        return cls(worker, location(url).file)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Commit what is queued and close."""
        await self._worker.stop()

    def subscribe(self, subscriptions: Subscriptions) -> None:
        """See ``ports.OutboxLedger``."""
        self._subscriptions = subscriptions

    def fence_by(self, lock: Callable[[], int]) -> None:
        """Have PostgreSQL refuse each write without an advisory lock at its end.

        ``lock`` tells the key of what is asked for now.
        """
        self._worker.fence = lock

    @asynccontextmanager
    async def one_commit(self) -> AsyncGenerator[None]:
        """See ``ports.Ledger``."""
        works: list[Callable[[Transaction], Any]] = []
        token = _together.set(works)
        try:
            yield
        finally:
            _together.reset(token)
        if works:
            await self._write(lambda transaction: [work(transaction) for work in works])

    async def _write(self, work: Callable[[Transaction], _T]) -> _T:
        """Commit it, or have it committed with the rest of its block."""
        if (works := _together.get()) is not None:
            works.append(work)
            return cast("_T", None)
        return await self._worker.write(lambda transaction: work(self._heard(transaction)))

    def _heard(self, transaction: Transaction) -> Transaction:
        """The transaction, which posts for the hooks of now."""
        transaction.subscriptions = self._subscriptions
        return transaction

    layout = _reads(counts.layout)
    mirror = _reads(counts.mirror)
    _claim_layout = _writes(counts.claim_layout)
    _claim_mirror = _writes(counts.claim_mirror)

    async def claim_layout(self, template: str) -> str:
        """See ``ports.Ledger``. Whoever only reads has nothing to write then."""
        return await self.layout() or await self._claim_layout(template)

    async def claim_mirror(self, mirror: str) -> str:
        """See ``ports.Ledger``."""
        return await self.mirror() or await self._claim_mirror(mirror)

    horizon = _reads(of_runs.horizon)
    raise_horizon = _writes(of_runs.raise_horizon)
    list_digest = _reads(of_runs.list_digest)
    note_list_digest = _writes(of_runs.note_list_digest)
    count_unusable = _writes(of_runs.count_unusable)
    note_runs = _writes_some(of_runs.note_runs)
    next_look = _reads(of_runs.next_look)
    filter_notes = _reads(counts.filter_notes)
    note_filters = _writes(counts.note_filters)

    note_run = _writes(of_runs.note_run)
    forget_run = _writes(of_runs.forget_run)
    begin_anew = _writes(of_runs.begin_anew)
    run = _reads(of_runs.run)
    runs = _pages(of_runs.newest)
    unsettled = _pages(of_runs.unsettled)
    settle = _writes(of_runs.settle)
    look_again = _writes(of_runs.look_again)
    unsettle = _writes(of_runs.unsettle)
    mark_complete = _writes(of_runs.mark_complete)
    recount = _writes(of_runs.recount)
    mark_noted = _writes(of_runs.mark_noted)
    lose_run = _writes(of_runs.lose_run)
    lose_repository = _writes(of_runs.lose_repository)
    newest_complete = _reads(of_runs.newest_complete)
    adopt_run = _writes(adoption.adopt_run)

    record = _reads(run_records.record)

    artifacts = _reads(artifact_reads.of_run)
    each_artifact = _pages(artifact_reads.each_of_run)
    record_states = _writes_some(artifact_writes.record_states)
    note_artifacts = _writes_some(artifact_writes.note_artifacts)
    note_verified = _writes_some(artifact_writes.note_verified)
    begin_reading = _writes_some(artifact_writes.begin_reading)
    least_verified = _pages(artifact_reads.least_verified)
    broken_off = _reads(artifact_reads.broken_off)
    note_lost = _writes_some(artifact_writes.note_lost)
    adopt = _writes_some(artifact_writes.note_adopted)
    record_failure = _writes(artifact_writes.record_failure)
    forget = _writes_some(artifact_writes.forget)
    forget_artifacts = _writes_some(artifact_writes.forget_artifacts)
    remember_artifacts = _writes_some(artifact_writes.remember_artifacts)
    end_removal = _writes_some(artifact_writes.end_removal)
    forget_rules = _reads(rules.forget_rules)
    begin_forgetting = _writes(rules.begin_forgetting)
    end_forgetting = _writes(rules.end_forgetting)
    remember = _writes(rules.remember)
    pruning = _writes_some(artifact_writes.begin_pruning)
    pruned = _writes_some(artifact_writes.end_pruning)
    being_pruned = _reads(artifact_reads.being_pruned)
    same_bytes = _reads(blocks.same_bytes)
    sharing = _reads(artifact_reads.sharing)
    shared_beyond = _reads(blocks.shared_beyond)
    shared_beyond_runs = _reads(blocks.shared_beyond_runs)
    recent = _reads(artifact_reads.recent)
    mirrored = _pages(artifact_reads.mirrored)
    at = _pages(artifact_reads.at)
    missing = _reads(artifact_reads.missing)
    missing_at = _pages(artifact_reads.missing_at)
    expired = _reads(of_runs.expired)
    unwell = _reads(artifact_reads.unwell)
    _listing = _pages(artifact_reads.listing)

    async def record_mirrored(self, mirrored: Mirrored) -> None:
        """See ``ports.Ledger``; neighbours are recorded together."""
        await self._worker.record(artifact_writes.record_mirrored, mirrored)

    async def listing(
        self, repo: RepoName | None = None, run: str | None = None
    ) -> AsyncGenerator[ArtifactRow]:
        """See ``ports.Ledger``."""
        for each in await self.repositories() if repo is None else [repo]:
            async for row in self._listing(each, run):
                yield row

    used = _pages(usage.used)
    bytes_in_shared_blocks = _reads(usage.bytes_in_shared_blocks)
    at_path = _reads(selection.at_path)
    failed_tries = _reads(selection.failed_tries)
    _fitting = _pages(selection.fitting)
    _sorted_ids = _reads(selection.sorted_ids)
    _of_ids = _reads(selection.of_ids)

    async def select(
        self, repos: Sequence[RepoName], wanted: ArtifactFilter
    ) -> AsyncGenerator[ArtifactRow]:
        """See ``ports.Ledger``."""
        if wanted.is_plain:
            for repo in repos:
                async for row in self._fitting(repo, wanted):
                    yield row
            return
        ids = await self._sorted_ids(repos, wanted)
        for start in range(0, len(ids), _AT_A_TIME):
            for row in await self._of_ids(ids[start : start + _AT_A_TIME]):
                yield row

    note_archives = _writes_some(archives.note_archives)
    unpacked = _reads(archives.unpacked_entries)
    begin_extraction = _writes(archives.begin_extraction)
    end_extraction = _writes(archives.end_extraction)
    fail_extraction = _writes(archives.fail_extraction)
    drop_extraction = _writes(archives.drop_extraction)
    unfinished_extractions = _reads(archives.unfinished_extractions)
    extract_terms = _reads(archives.extract_terms)
    note_extract_terms = _writes(archives.note_extract_terms)

    kept_runs = _reads(keeping.kept_runs)
    removed_runs = _reads(keeping.removed_runs)
    bury = _writes(keeping.bury)
    bytes_on_record = _reads(keeping.bytes_on_record)
    prune_run = _writes(keeping.prune_run)
    pin = _writes(keeping.pin)
    unpin = _writes(keeping.unpin)
    pins = _reads(keeping.pins)
    pinned = _reads(keeping.pinned)
    note_listing = _writes(keeping.note_listing)
    listing_verdict = _reads(keeping.listing_verdict)
    unlisted = _reads(keeping.unlisted)

    due_delivery = _reads(outbox.due)
    next_try = _reads(outbox.next_try)
    deliveries = _pages(outbox.deliveries)
    put_off = _writes(outbox.put_off)
    put_off_hook = _writes(outbox.put_off_hook)
    try_again = _writes_some(outbox.try_again)
    drop_deliveries = _writes_some(outbox.delete_deliveries)
    _waiting_hooks = _reads(outbox.waiting_hooks)
    _drop_unsubscribed = _writes(outbox.drop_unsubscribed)
    _end_run = _writes(outbox.end_run)
    _post_expiring = _writes(outbox.post_expiring)

    async def end_run(self, key: RunKey, failed: int, message: str) -> None:
        """See ``ports.OutboxLedger``; nothing is done where nobody listens."""
        if self._subscriptions.hooks:
            await self._end_run(key, failed, message)

    async def drop_unsubscribed(self) -> Mapping[str, int]:
        """See ``ports.OutboxLedger``; nothing is written where nothing is dropped."""
        if set(await self._waiting_hooks()) <= self._subscriptions.names:
            return {}
        return await self._drop_unsubscribed()

    async def post_expiring(self, scope: RunScope) -> None:
        """See ``ports.OutboxLedger``; nothing is done where nobody listens."""
        if HookEvent.EXPIRING in self._subscriptions.hooks:
            await self._post_expiring(scope)

    check_version = _reads(counts.check_version)
    begin_pass = _writes(counts.begin_pass)
    end_pass = _writes(counts.end_pass)
    settled_totals = _reads(counts.settled_totals)
    standing = _reads(of_repository.standing)
    repositories = _reads(of_runs.all_repositories)
    kept_repositories = _reads(of_runs.kept_repositories)
    totals = _reads(counts.totals)
    all_totals = _reads(counts.all_totals)
    endangered = _reads(counts.endangered)
    oldest_verifications = _reads(counts.oldest_verifications)

    async def ping(self) -> None:
        """See ``ports.Ledger``."""
        await self.layout()

    async def compact(self) -> None:
        """See ``ports.Ledger``."""
        await self._worker.use(lambda store: store.compact())

    async def size(self) -> int | None:
        """See ``ports.Ledger``."""
        if self._file is None:
            return None
        return await self._worker.read(partial(counts.size, file=self._file))
