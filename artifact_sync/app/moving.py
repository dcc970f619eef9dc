"""Moves a mirror and its ledger to where another configuration says."""

from __future__ import annotations

from contextlib import AsyncExitStack, aclosing, asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from artifact_sync.app.fleet_status import coordination_of
from artifact_sync.app.locations import (
    has_ledger,
    is_in_store,
    ledger_url,
    mounted_root_of,
    nothing_mirrored,
    root_of,
)
from artifact_sync.app.mirrors import MirrorTerms, OpenedMirror, open_mirror
from artifact_sync.app.storage import open_storage
from artifact_sync.domain.archives import ExtractLimits
from artifact_sync.domain.errors import ExitCode, Interrupted, MirrorBusy, UsageError, exit_code
from artifact_sync.domain.report import Report
from artifact_sync.ledger import copying
from artifact_sync.ledger.drivers.location import OpenTerms, location
from artifact_sync.ledger.drivers.store import open_store
from artifact_sync.ledger.queries import totals
from artifact_sync.ledger.unfinished import unfinished_move
from artifact_sync.runtime.threads import unwanted_since
from artifact_sync.sync.context import leased
from artifact_sync.sync.hash_progress import HashProgress
from artifact_sync.sync.move import MovedFrom, MovedTo, MoveJournal, Mover, remove_left
from artifact_sync.sync.verify import reasons_of_damage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence
    from pathlib import Path, PurePath

    from artifact_sync.app.storage import Storage
    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.settings import Config
    from artifact_sync.ledger.drivers.store import Store
    from artifact_sync.sync.verify import Finding

COMMAND = "artifact-sync move"
_JOURNAL = "move.journal"
_SEEN_LATELY = 20.0
"""Seconds without a sign of life after which a worker counts as gone."""
_KEEPS_ROOM = False
"""It spends no room that is in reserve."""
_WITHOUT_LIMITS = ExtractLimits(10**12, 10**18, 10**12)
"""What was unpacked once was within the limits then."""


class _Target(Struct, frozen=True):
    """Where a mirror goes, locked."""

    config: Config
    opened: OpenedMirror
    clock: _Clock


class _Clock:
    """The time by which a mirror names what is displaced."""

    def __init__(self) -> None:
        self._at: datetime | None = None

    def set(self, at: datetime) -> None:
        """Stand still at a time."""
        self._at = at

    def now(self) -> datetime:
        """That time, or the present one."""
        return self._at or datetime.now(UTC)


def _ledger(config: Config) -> closing[Store]:
    """The ledger where the mirror goes, for the calling thread."""
    return closing(open_store(ledger_url(config), OpenTerms(config.mirror.durability)))


@asynccontextmanager
async def opened_move(config: Config, to: Config) -> AsyncGenerator[Moving]:
    """Open a mirror and where it is to go, both locked.

    ``MirrorBusy``, ``RepositoryBusy``, ``DiskError``, ``UsageError``, ``LedgerTooNew``.
    """
    _check(config, to)
    async with AsyncExitStack() as stack:
        try:
            opening = open_storage(config, rehearse=False, command=COMMAND)
            store = await stack.enter_async_context(opening)
        except MirrorBusy as busy:
            raise _busy(config, busy.owner) from None
        await _check_workers(config)
        repos = _Repositories(store, stack, _fence(store))
        await repos.hold_new(wait=False)
        mirror = await store.ledger.mirror()
        if mirror is None:
            raise UsageError(nothing_mirrored(config))
        await store.offload(_check_unpacked, config, to)
        await store.offload(_check_ledgers, config, to)
        target = await store.offload(_opened, to, mirror, stack)
        yield Moving(config, to, store, target, mirror, repos)


@dataclass(slots=True)
class _Repositories:
    """The repositories that are moved, each held until the end of the move."""

    store: Storage
    stack: AsyncExitStack
    fence: Callable[[], None]
    """Raises ``LeaseLost`` once any of them was lost. Blocking."""
    held: list[RepoName] = field(default_factory=list)

    async def hold_new(self, *, wait: bool) -> Sequence[RepoName]:
        """Hold those that the ledger knows by now; the new ones. ``RepositoryBusy``.

        Where the ledger is on a server, others may begin one at any time. When one is lost, the
        move is cancelled with ``LeaseLost``.
        """
        new = [it for it in await self.store.ledger.repositories() if it not in self.held]
        for repo in new:
            await self.stack.enter_async_context(leased(self.store.lock, repo, wait=wait))
        self.held += new
        return new


def _fence(store: Storage) -> Callable[[], None]:
    """What refuses the end of a move that has lost what it holds from now on."""
    return store.locks.fence() if store.locks is not None else lambda: None


def _check(config: Config, to: Config) -> None:
    """Raise ``UsageError`` for what cannot be moved. Touches nothing."""
    if not has_ledger(config):
        raise UsageError(nothing_mirrored(config))
    if to.mirror.layout != config.mirror.layout:
        raise UsageError(
            f"the mirror is laid out as {config.mirror.layout}, and mirror.layout where it is to go"
            f" is {to.mirror.layout}: set it to the same"
        )
    own = root_of(config).resolve(), root_of(to).resolve()
    here, there = _place(config, own[0]), _place(to, own[1])
    if own[0] == own[1] or here == there or here in there.parents or there in here.parents:
        raise UsageError(
            f"{to.mirror.root} is the mirror itself, or within: name another mirror.root"
        )
    first, second = location(ledger_url(config)).file, location(ledger_url(to)).file
    if first is not None and second is not None and first.resolve() == second.resolve():
        raise _same_ledger()


def _place(config: Config, folder: Path) -> PurePath:
    """Where its files are: in a bucket, or this folder."""
    return PurePosixPath(str(config.mirror.root)) if is_in_store(config) else folder


def _same_ledger() -> UsageError:
    return UsageError(
        "the ledger where the mirror is to go is the one that it has: name another ledger.url"
    )


def _check_ledgers(config: Config, to: Config) -> None:
    """Raise ``UsageError`` where both are on one server, however its address is written."""
    if not (location(ledger_url(config)).server and location(ledger_url(to)).server):
        return
    with _ledger(config) as first, _ledger(to) as second:
        if copying.place_on_server(first) == copying.place_on_server(second):
            raise _same_ledger()


async def _check_workers(config: Config) -> None:
    """Raise ``MirrorBusy`` while a worker is there: it would write to the ledger meanwhile."""
    async with coordination_of(config) as database:
        if database is None:
            return
        from artifact_sync.fleet.worker_registry import PostgresWorkerRegistry  # noqa: PLC0415 - an extra

        for it in await PostgresWorkerRegistry(database, _SEEN_LATELY).workers():
            raise _busy(config, it.in_words)


def _busy(config: Config, owner: str) -> MirrorBusy:
    return MirrorBusy(root_of(config), owner, askable=False, place=config.mirror.root)


def _check_unpacked(config: Config, to: Config) -> None:
    with _ledger(config) as store:
        if is_in_store(to) and copying.has_rows(store, "unpacked"):
            raise UsageError(
                "archives are unpacked in this mirror, and nothing can be in an object store: take"
                " extract out of its configuration, and let a sync put away what was unpacked"
            )


def _opened(to: Config, mirror: str, stack: AsyncExitStack) -> _Target:
    """Open the target, locked, as a place for this mirror alone."""
    root, clock = mounted_root_of(to), _Clock()
    terms = MirrorTerms(root, looked_at=False, signer=None, now=clock.now)
    opened = open_mirror(to, terms)
    stack.enter_context(opened.locked(COMMAND, _KEEPS_ROOM))
    with _ledger(to) as store:
        _claim(opened, store, mirror, to)
    return _Target(to, opened, clock)


def _claim(target: OpenedMirror, store: Store, mirror: str, to: Config) -> None:
    """Note that this mirror is on its way there. ``UsageError`` where anything else is.

    The ledger's note comes first: it fits no mirror, so that nobody works on half of one.
    """
    held, here = store.read(totals.mirror), target.id.read_id()
    if unfinished_move(held) == mirror and here in {mirror, None}:
        _write_id(target, mirror, here, to)
        return
    if held == mirror == here:
        raise UsageError(f"the mirror was moved there already: use {to.path}, and remove this one")
    if held is not None or here is not None or target.holds_files() or not copying.is_empty(store):
        raise _taken(to)
    copying.begin_copy(store, mirror)
    _write_id(target, mirror, None, to)


def _write_id(target: OpenedMirror, mirror: str, over: str | None, to: Config) -> None:
    if not target.id.write_id(mirror, over):
        raise _taken(to)


def _taken(to: Config) -> UsageError:
    return UsageError(
        f"{to.mirror.root} or its ledger is not empty, and no unfinished move of this"
        " mirror: name an empty folder and an empty database"
    )


@dataclass(slots=True)
class Moving:
    """Moves one mirror. ``look`` does it, and tells of damage."""

    config: Config
    to: Config
    store: Storage
    target: _Target
    mirror: str
    """Its id."""
    repos: _Repositories
    stage: Literal["files", "ledger", "done"] = "files"
    rows: int = 0
    """Rows of the ledger that were copied."""
    damage: list[Finding] = field(default_factory=list)
    progress: HashProgress = field(default_factory=HashProgress)
    report: Report = field(default_factory=Report)
    """What has ended it early."""
    size: int = 0
    """Bytes that this call has copied."""

    async def look(self) -> AsyncGenerator[Finding]:
        """Copy all; what is damaged, for which the move is not ended."""
        store, opened = self.store, self.target.opened
        journal = opened.staging / _JOURNAL
        done = await store.offload(MoveJournal, journal)
        source = MovedFrom(store.mirror, store.files, store.ledger, store.layout)
        limits = None if is_in_store(self.to) else _WITHOUT_LIMITS
        to = MovedTo(opened.mirror, opened.staging, self.target.clock.set, limits)
        mover = Mover(source, to, store.offload, done, self.progress)
        await mover.displaced()
        following: Sequence[RepoName] = list(self.repos.held)
        while self.stage != "done":
            await self._expect(following)
            async with aclosing(mover.files(following)) as findings:
                async for finding in findings:
                    self.damage.append(finding)
                    yield finding
            self.size = mover.size
            if self.damage or mover.failures:
                self.report.failures += mover.failures
                return
            self.stage = "ledger"
            await store.offload(self._copy_rows)
            following = await self.repos.hold_new(wait=True)
            if not following:  # else somebody has begun one meanwhile
                await self._finish(done)

    async def _expect(self, repos: Sequence[RepoName]) -> None:
        for repo in repos:
            found = await self.store.ledger.totals(repo)
            self.progress.expect(sum(found.states.values()), found.bytes)

    async def _finish(self, journal: MoveJournal) -> None:
        """End the copy of the ledger; from this commit on the mirror is there."""
        await self.store.offload(self._end_copy)
        await self.store.offload(journal.remove)
        await self.store.offload(remove_left, self.target.opened.staging)
        self.stage = "done"

    def _copy_rows(self) -> None:
        terms = OpenTerms(self.config.mirror.durability, create=False, read_only=True)
        self.rows = 0
        with closing(open_store(ledger_url(self.config), terms)) as source, _ledger(self.to) as to:
            copying.copy_rows(source, to, self._told)

    def _end_copy(self) -> None:
        with _ledger(self.to) as to:
            copying.end_copy(to, self.mirror, self.repos.fence)

    def _told(self, rows: int) -> None:
        self.rows += rows
        if unwanted_since() is not None:
            raise Interrupted("stopped before it was done")

    @property
    def exit_code(self) -> ExitCode:
        """0 when all is there; else by damage, or what has ended it."""
        return exit_code(reasons_of_damage(self.damage, self.report.failures))
