"""Opens a mirror and its ledger: to read, to repair, or for a pass."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.app.locations import check_layout, has_ledger, is_inside, ledger_url, root_of
from artifact_sync.app.mirror_identity import bind_ids, check_ids
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.ledger import open_ledger
from artifact_sync.mirror.layout import Layout
from artifact_sync.mirror.local.local_mirror import LocalMirror
from artifact_sync.mirror.local.lock import MirrorLock
from artifact_sync.mirror.local.own_folder import check_mounted
from artifact_sync.mirror.local.repository_lock import LocalRepositoryLock
from artifact_sync.runtime.clock import SystemClock
from artifact_sync.runtime.threads import Offload, Threads
from artifact_sync.sync.limits import THREADS_BESIDE_JOBS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from artifact_sync.domain.ports import Clock, Ledger, MirrorClaims, RepositoryLock
    from artifact_sync.domain.settings import Config
    from artifact_sync.sync.verify import Auditor

_OLDEST_STAGED = 15 * 24 * 3600.0
"""Seconds after which nobody resumes a download: the service keeps artifacts for 14 days."""

_PATIENCE = 10.0
"""Seconds that a disk has at the end for what is being written; one that hangs takes for ever."""


class Storage(Struct, frozen=True):
    """A mirror and its ledger."""

    mirror: LocalMirror
    ledger: Ledger
    layout: Layout
    lock: RepositoryLock
    offload: Offload
    clock: Clock

    async def staged(self) -> set[str]:
        """Names of the staged files, after removing those that are too old."""
        return await self.offload(_staged, self.mirror.staging)

    @property
    def auditor(self) -> Auditor:
        """The auditor, which compares mirror and ledger."""
        from artifact_sync.sync.verify import Auditor  # noqa: PLC0415 - a pass needs none

        return Auditor(self.mirror, self.ledger, self.layout, self.lock, self.offload)


@asynccontextmanager
async def opened_to_read(config: Config) -> AsyncGenerator[Storage]:
    """Open a mirror and its ledger to read, also beside another process.

    Where nothing is mirrored yet, both are empty.
    """
    async with AsyncExitStack() as stack:
        yield await open_storage(config, stack, rehearse=True)


@asynccontextmanager
async def opened_to_repair(config: Config) -> AsyncGenerator[Storage]:
    """Open a mirror and its ledger to change them, locked. ``MirrorBusy``."""
    async with AsyncExitStack() as stack:
        yield await open_storage(config, stack, rehearse=False)


async def open_storage(config: Config, stack: AsyncExitStack, *, rehearse: bool) -> Storage:
    """Open mirror and ledger. ``rehearse``: nothing of them is changed.

    ``MirrorBusy``, ``DiskError``, ``UsageError``, ``LedgerTooNew``.
    """
    root = meant = root_of(config)
    offload = stack.enter_context(_offload(config))
    if rehearse and not (root / OWN_FOLDER).is_dir():
        root = Path(stack.enter_context(TemporaryDirectory(prefix="artifact-sync-")))
    if config.mirror.must_be_mounted:
        await offload(check_mounted, root)
    mirror = await offload(LocalMirror, root, durability=config.mirror.durability)
    if not rehearse:
        stack.enter_context(MirrorLock(root))
    url = ledger_url(config, root)
    if rehearse and not has_ledger(config):
        url = "sqlite://"
    ledger = await open_ledger(
        url,
        durability=config.mirror.durability,
        read_only=rehearse and url != "sqlite://",
    )
    stack.push_async_callback(ledger.aclose)
    verb = check_ids if rehearse else bind_ids
    await verb(meant, ledger, inside=is_inside(config, meant), offload=offload)
    layout, lock = await _layout(config, ledger), LocalRepositoryLock()
    return Storage(mirror, ledger, layout, lock, offload, SystemClock())


def _staged(folder: Path) -> set[str]:
    if not any(folder.iterdir()):
        return set()
    from artifact_sync.transfer.staging import sweep  # noqa: PLC0415 - slow to import

    return sweep(folder, _OLDEST_STAGED)


async def _layout(config: Config, ledger: MirrorClaims) -> Layout:
    """The layout with which the mirror was begun."""
    wanted = config.mirror.layout
    known = await ledger.claim_layout(wanted)
    check_layout(known, wanted)
    return Layout(wanted)


@contextmanager
def _offload(config: Config) -> Iterator[Offload]:
    """Threads for disk and hashing."""
    threads = config.download.jobs + THREADS_BESIDE_JOBS
    with Threads(threads, "disk", patience=_PATIENCE) as executor:
        yield Offload(executor)
