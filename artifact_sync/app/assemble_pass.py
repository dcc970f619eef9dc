"""Assembles passes over an opened mirror."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache, partial
from typing import TYPE_CHECKING

from msgspec import Struct, field

from artifact_sync.app.hooks import deliver_at_end
from artifact_sync.app.network import open_network
from artifact_sync.app.storage import open_storage
from artifact_sync.domain.events import Noticed
from artifact_sync.runtime.once import Once
from artifact_sync.runtime.units import size_in_words
from artifact_sync.sync.context import ArrivedBytes, Drain, PassContext
from artifact_sync.sync.keep_displaced import DisplacedKeeper, KeepDisplaced
from artifact_sync.sync.room import Room
from artifact_sync.sync.sync_pass import Pass
from artifact_sync.sync.urgency import LookSlots

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from artifact_sync.app.assemble_transfers import TransferLimits
    from artifact_sync.app.network import Network
    from artifact_sync.app.storage import Storage
    from artifact_sync.config.api_token import Token
    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.ports import Ledger, RepositoryLock
    from artifact_sync.domain.report import Report
    from artifact_sync.domain.request import PassRequest
    from artifact_sync.domain.settings import Config
    from artifact_sync.transfer.context import TransferContext

_RUNS_AT_ONCE = 4
"""Runs of a pass: each may have thousands of artifacts in memory."""


async def _prune_nothing(_: Mapping[RepoName, Report]) -> None:
    """Whoever syncs by hand prunes by hand."""


async def _tell_size(
    config: Config, ledger: Ledger, observer: Observer, reports: Mapping[RepoName, Report]
) -> None:
    """Tell where there is more than ``max_size`` allows: whoever syncs by hand prunes by hand."""
    if config.keep.max_size is None and not any(it.keep and it.keep.max_size for it in config.repo):
        return
    from artifact_sync.sync.make_room import size_bounds_of  # noqa: PLC0415 - seldom needed

    for bound in size_bounds_of(config, reports):
        if (used := await ledger.bytes_on_record(bound.repo)) > bound.bytes:
            more = size_in_words(used - bound.bytes)
            hint = "artifact-sync prune has the oldest runs go"
            observer.notify(Noticed(f"{bound} take {more} more than keep.max_size: {hint}"))


class PassShare(Struct, frozen=True):
    """Limits that passes at the same time share."""

    lock: RepositoryLock
    runs_at_once: LookSlots
    """Bounds the memory that trees of runs take."""
    limits: Callable[[], TransferLimits]
    keeper: DisplacedKeeper
    drain: Drain = field(default_factory=Drain)
    room: Room = field(default_factory=Room)
    prune: Callable[[Mapping[RepoName, Report]], Awaitable[None]] = _prune_nothing
    """Prunes by the rules of ``[keep]``, after a pass over these repositories."""


@asynccontextmanager
async def open_pass(
    config: Config, request: PassRequest, observer: Observer, token: Token | None
) -> AsyncGenerator[Pass]:
    """Open a pass, its mirror locked.

    A dry run locks and writes nothing. ``MirrorBusy``, ``DiskError``, ``UsageError``.
    """
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_storage(config, rehearse=request.mode.dry_run))
        staged = set[str]()
        if not request.mode.dry_run:
            await store.offload(store.prepare)
            staged = await store.staged()
        begin = passes_over(store, config, observer, token, staged)
        yield (await stack.enter_async_context(begin))(request)
        if not request.mode.dry_run:
            await deliver_at_end(config, store.ledger, store.layout, store.clock)


@asynccontextmanager
async def passes_over(
    store: Storage,
    config: Config,
    observer: Observer,
    token: Token | None,
    staged: set[str],
) -> AsyncGenerator[Callable[[PassRequest], Pass]]:
    """Connect the network, and return what makes passes over an opened mirror."""

    def limits() -> TransferLimits:
        from artifact_sync.app.assemble_transfers import limits_of  # noqa: PLC0415 - as below

        return limits_of(config, store, staged)

    known = (None, store.comparison, store.limits)
    async with open_network(config, token, observer, *known) as network:
        keeper = displaced_keeper(store)
        tell = partial(_tell_size, config, store.ledger, observer)
        runs = LookSlots(_RUNS_AT_ONCE)
        share = PassShare(store.lock, runs, cache(limits), keeper, prune=tell)
        yield lambda request: Pass(pass_context(store, network, observer, share), request)


def displaced_keeper(store: Storage) -> DisplacedKeeper:
    """What empties ``displaced/`` of an opened mirror."""
    return DisplacedKeeper(store.mirror, store.offload, store.clock)


async def _tidy(
    store: Storage, network: Network, share: PassShare, reports: Mapping[RepoName, Report]
) -> None:
    await share.keeper.empty(await _kept_displaced(store, network.config), network.comparison)
    await share.prune(reports)


async def _kept_displaced(store: Storage, config: Config) -> KeepDisplaced:
    every = config.keep.displaced
    if not any(it.keep is not None and it.keep.displaced is not None for it in config.repo):
        return KeepDisplaced(every)
    from artifact_sync.sync.displaced_files import owners  # noqa: PLC0415 - seldom needed
    from artifact_sync.sync.prune import keep_of  # noqa: PLC0415 - likewise

    said = {repo: keep_of(config, repo).displaced for repo in await store.ledger.repositories()}
    own = {repo: seconds for repo, seconds in said.items() if seconds is not None}
    return KeepDisplaced(every, own, owners(store.layout, own))


def pass_context(
    store: Storage, network: Network, observer: Observer, share: PassShare
) -> PassContext:
    """Assemble the context of a pass."""
    tally = ArrivedBytes(observer)

    async def transfer() -> TransferContext:
        from artifact_sync.app.assemble_transfers import transfer_context  # noqa: PLC0415 - slow to import

        return await transfer_context(store, network, tally, share.limits(), share.room)

    return PassContext(
        source=network.source,
        ledger=store.ledger,
        mirror=store.mirror,
        latest=store.mirror,
        displacement=store.mirror,
        unpacking=store.mirror,
        free_space=store.mirror,
        lock=share.lock,
        layout=store.layout,
        origin=network.origin,
        clock=store.clock,
        observer=tally,
        offload=store.offload,
        runs_at_once=share.runs_at_once,
        drain=share.drain,
        extract_limits=network.config.extract.limits,
        min_free=network.config.mirror.min_free,
        retention=network.config.source.retention,
        room=share.room,
        tidy=partial(_tidy, store, network, share),
        clock_is_wrong=lambda: network.comparison.differs,
        transfer=Once(transfer),
    )
