"""Assembles downloads, when the first one begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field

from artifact_sync.app.locations import is_in_store
from artifact_sync.domain.disk_errors import disk_errors
from artifact_sync.mirror.local.file_io import free_bytes
from artifact_sync.runtime.backoff import RetryPolicy
from artifact_sync.runtime.threads import Batches
from artifact_sync.transfer.context import TransferContext
from artifact_sync.transfer.disk_space import DiskSpace
from artifact_sync.transfer.links import Links
from artifact_sync.transfer.parallel import RangePolicy
from artifact_sync.transfer.receive import SmallFiles
from artifact_sync.transfer.same_bytes import SameBytes, Turns
from artifact_sync.transfer.slots import Slots

if TYPE_CHECKING:
    from datetime import tzinfo

    from artifact_sync.app.network import Network
    from artifact_sync.app.storage import Storage
    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.ports import BandwidthLimit
    from artifact_sync.domain.settings import Config, DaemonSettings, MirrorSettings
    from artifact_sync.sync.room import Room
    from artifact_sync.transfer.context import Published, SmallFile


class TransferLimits(Struct, frozen=True):
    """Limits that passes at the same time share."""

    slots: Slots
    staged_names: set[str]
    ranges: RangePolicy
    bandwidth: BandwidthLimit | None
    turns: Turns = field(default_factory=Turns)


def limits_of(config: Config, store: Storage, staged: set[str]) -> TransferLimits:
    """Make the limits of a process with one pass."""
    limit = config.download.limit
    bandwidth = store.limits.bandwidth(limit, zone_of(config.daemon)) if limit else None
    slots, ranges = Slots(config.download.jobs), RangePolicy(config.download.ranges)
    return TransferLimits(slots, staged, ranges, bandwidth)


async def transfer_context(
    store: Storage, network: Network, observer: Observer, limits: TransferLimits, room: Room
) -> TransferContext:
    """Assemble the context of a pass's downloads. ``ConfigError``."""
    config = network.config
    space = _space(store, config)
    return TransferContext(
        Links(network.source, store.clock, observer, warn=network.encrypted),
        await network.fetcher(),
        network.source,
        store.mirror,
        store.staging,
        store.clock,
        observer,
        store.offload,
        space,
        _batches(store, config, space),
        limits.slots,
        config.download.jobs,
        staged_names=limits.staged_names,
        ranges=limits.ranges,
        retry=RetryPolicy(config.download.attempts),
        bandwidth=limits.bandwidth,
        admit=room.admit,
        same_bytes=_same_bytes(store, config.mirror, limits),
    )


def _space(store: Storage, config: Config) -> DiskSpace:
    """The room for what comes: the mirror's, or this machine's where a store holds the mirror."""
    if not is_in_store(config):
        return DiskSpace(store.mirror.free, config.mirror.min_free)
    folder = store.top_of_staging

    def free() -> int | None:
        with disk_errors(str(folder)):
            return free_bytes(folder)

    return DiskSpace(free, where=f"the file system of {folder}")


def _same_bytes(
    store: Storage, settings: MirrorSettings, limits: TransferLimits
) -> SameBytes | None:
    if settings.dedupe == "off":
        return None
    before_download = settings.dedupe_before_download
    return SameBytes(store.ledger.same_bytes, before_download, limits.turns)


def _batches(store: Storage, config: Config, space: DiskSpace) -> Batches[SmallFile, Published]:
    """Publish small files in batches, on threads.

    One thread where only the page cache is written, more where a disk is slow. Many at once let a
    file system sync for several with one write; some together save most of the syncs of their
    folders (decision 0015).
    """
    work = SmallFiles(store.mirror, space)
    if config.mirror.durability == "fast":
        return Batches(store.offload, work, at_once=1, largest=64)
    half = max(config.download.jobs // 2, 2)
    return Batches(store.offload, work, at_once=half, largest=min(half, 8))


def zone_of(settings: DaemonSettings) -> tzinfo:
    """The time zone of ``download.limit``."""
    from artifact_sync.domain.cron import local_zone, time_zone  # noqa: PLC0415 - seldom needed

    return time_zone(settings.time_zone) if settings.time_zone else local_zone()
