"""A pass from its parts; and the parts of a process that carries out one pass only."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from msgspec import Struct, field

from artifact_sync.app.network import open_network
from artifact_sync.app.storage import open_storage
from artifact_sync.runtime.batching import Batches
from artifact_sync.sync.downloads import Works
from artifact_sync.sync.drain import Drain
from artifact_sync.sync.sync_pass import ArrivedBytes, Parts, Pass
from artifact_sync.transfer.bandwidth import BandwidthLimiter
from artifact_sync.transfer.context import TransferContext
from artifact_sync.transfer.disk_space import DiskSpace
from artifact_sync.transfer.links import Links
from artifact_sync.transfer.parallel import RangePolicy
from artifact_sync.transfer.publish import SmallFiles
from artifact_sync.transfer.slots import AllSlots
from artifact_sync.transfer.staging import StagedNames

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from datetime import tzinfo

    from artifact_sync.app.network import Network
    from artifact_sync.app.storage import Storage
    from artifact_sync.config.api_token import Token
    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.ports import RepositoryLock
    from artifact_sync.domain.request import PassRequest
    from artifact_sync.domain.settings import Config, DaemonSettings
    from artifact_sync.transfer.context import Published, SmallFile
    from artifact_sync.transfer.slots import Slots


_RUNS_AT_ONCE = 4


@asynccontextmanager
async def open_pass(
    config: Config, wish: PassRequest, observer: Observer, token: Token | None
) -> AsyncGenerator[Pass]:
    """A pass with everything that it works with, and with the mirror locked against others.

    A dry run locks and writes nothing. ``MirrorBusy``, ``DiskError``, ``UsageError``.
    """
    async with AsyncExitStack() as stack:
        store = await open_storage(config, stack, rehearse=wish.mode.dry_run)
        names = StagedNames() if wish.mode.dry_run else await store.staged_names()
        begin = passes_over(store, config, observer, token, names)
        yield (await stack.enter_async_context(begin))(wish)


@asynccontextmanager
async def passes_over(
    store: Storage, config: Config, observer: Observer, token: Token | None, names: StagedNames
) -> AsyncGenerator[Callable[[PassRequest], Pass]]:
    """A connected network, and what makes passes over an opened mirror, one after the other."""
    limit = config.download.limit
    pace = BandwidthLimiter(limit, store.clock, zone_of(config.daemon)) if limit else None
    async with open_network(config, token, observer, pace) as network:
        slots, runs = AllSlots(config.download.jobs), asyncio.Semaphore(_RUNS_AT_ONCE)
        room = Room(slots, runs, names, RangePolicy(config.download.ranges), store.lock)
        yield lambda request: Pass(parts_of(store, network, observer, room), request)


class Room(Struct, frozen=True):
    """What a pass may take up, so that others have some as well."""

    slots: Slots
    runs_at_once: asyncio.Semaphore
    """Bounds the memory that trees of runs take."""
    staged_names: StagedNames
    ranges: RangePolicy
    lock: RepositoryLock
    gate: Drain = field(default_factory=Drain)


def parts_of(store: Storage, network: Network, observer: Observer, room: Room) -> Parts:
    """What a pass works with."""
    config, tally = network.config, ArrivedBytes(observer)
    space = DiskSpace(store.mirror.free, config.mirror.min_free)
    tools = TransferContext(
        Links(network.source, store.clock, tally, warn=network.encrypted),
        network.fetcher,
        store.mirror,
        store.mirror.staging,
        store.clock,
        tally,
        store.offload,
        space,
        _batches(store, config, space),
        staged_names=room.staged_names,
        ranges=room.ranges,
        retry=network.retry,
        bandwidth=network.pace,
    )
    works = Works(
        tools, store.ledger, room.slots, config.download.jobs, room.gate, latest=store.mirror
    )
    return Parts(
        network.source, works, store.layout, network.origin, tally, room.runs_at_once, room.lock
    )


def _batches(store: Storage, config: Config, space: DiskSpace) -> Batches[SmallFile, Published]:
    """Small files in one thread where only the page cache is written, in more where a disk is slow.

    Many at once let a file system sync for several with one write; some together save most of
    the syncs of their folders (decision 0015).
    """
    work = SmallFiles(store.mirror, space)
    if config.mirror.durability == "fast":
        return Batches(store.offload, work, at_once=1, largest=64)
    half = max(config.download.jobs // 2, 2)
    return Batches(store.offload, work, at_once=half, largest=min(half, 8))


def zone_of(settings: DaemonSettings) -> tzinfo:
    """The time zone of timetables."""
    from artifact_sync.domain.cron import local_zone, time_zone  # noqa: PLC0415 - seldom needed

    return time_zone(settings.time_zone) if settings.time_zone else local_zone()
