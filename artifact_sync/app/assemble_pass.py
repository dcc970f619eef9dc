"""Assembles passes over an opened mirror."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache, partial
from typing import TYPE_CHECKING

from msgspec import Struct, field

from artifact_sync.app.hooks import deliver_at_end
from artifact_sync.app.network import open_network
from artifact_sync.app.storage import open_storage
from artifact_sync.runtime.once import Once
from artifact_sync.sync.context import ArrivedBytes, Drain, PassContext
from artifact_sync.sync.keep_displaced import DisplacedKeeper
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
    from artifact_sync.domain.ports import RepositoryLock
    from artifact_sync.domain.report import Report
    from artifact_sync.domain.request import PassRequest
    from artifact_sync.domain.settings import Config
    from artifact_sync.transfer.context import TransferContext

_RUNS_AT_ONCE = 4
"""Runs of a pass: each may have thousands of artifacts in memory."""


async def _prune_nothing(_: Mapping[RepoName, Report]) -> None:
    """Whoever syncs by hand prunes by hand."""


class PassShare(Struct, frozen=True):
    """Limits that passes at the same time share."""

    lock: RepositoryLock
    runs_at_once: LookSlots
    """Bounds the memory that trees of runs take."""
    limits: Callable[[], TransferLimits]
    keeper: DisplacedKeeper
    drain: Drain = field(default_factory=Drain)
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
        staged = set[str]() if request.mode.dry_run else await store.staged()
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

    async with open_network(config, token, observer, comparison=store.comparison) as network:
        keeper = displaced_keeper(store)
        share = PassShare(store.lock, LookSlots(_RUNS_AT_ONCE), cache(limits), keeper)
        yield lambda request: Pass(pass_context(store, network, observer, share), request)


def displaced_keeper(store: Storage) -> DisplacedKeeper:
    """What empties ``displaced/`` of an opened mirror."""
    return DisplacedKeeper(store.mirror, store.offload, store.clock)


async def _tidy(network: Network, share: PassShare, reports: Mapping[RepoName, Report]) -> None:
    await share.keeper.empty(network.config.keep.displaced, network.comparison)
    await share.prune(reports)


def pass_context(
    store: Storage, network: Network, observer: Observer, share: PassShare
) -> PassContext:
    """Assemble the context of a pass."""
    tally = ArrivedBytes(observer)

    async def transfer() -> TransferContext:
        from artifact_sync.app.assemble_transfers import transfer_context  # noqa: PLC0415 - slow to import

        return await transfer_context(store, network, tally, share.limits())

    return PassContext(
        source=network.source,
        ledger=store.ledger,
        mirror=store.mirror,
        latest=store.mirror,
        displacement=store.mirror,
        lock=share.lock,
        layout=store.layout,
        origin=network.origin,
        clock=store.clock,
        observer=tally,
        offload=store.offload,
        runs_at_once=share.runs_at_once,
        drain=share.drain,
        retention=network.config.source.retention,
        tidy=partial(_tidy, network, share),
        clock_is_wrong=lambda: network.comparison.differs,
        transfer=Once(transfer),
    )
