"""A mirror and its ledger, opened: to be read, to be repaired, or for a pass. No network."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from artifact_sync.audit import Auditor
from artifact_sync.errors import UsageError
from artifact_sync.ledger import open_ledger
from artifact_sync.mirror.disk import DiskMirror
from artifact_sync.mirror.faults import disk_errors
from artifact_sync.mirror.layout import OWN, Layout
from artifact_sync.mirror.lock import MirrorLock
from artifact_sync.mirror.own import check_mounted
from artifact_sync.offload import Offload, Threads
from artifact_sync.wiring.bond import bind, check_bond
from artifact_sync.wiring.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from artifact_sync.ports import Clock, Ledger
    from artifact_sync.settings import Config

LEDGER = "ledger.sqlite"
"""The ledger's file under the mirror's own folder, unless ``ledger.url`` says otherwise."""

_THREADS_BESIDE = 2
"""Threads for everything that is not a download."""

_PATIENCE = 10.0
"""Seconds that a disk has at the end for what is being written; one that hangs takes for ever."""


@dataclass(frozen=True, slots=True)
class Store:
    """A mirror and its ledger."""

    mirror: DiskMirror
    ledger: Ledger
    layout: Layout
    offload: Offload
    clock: Clock

    @property
    def auditor(self) -> Auditor:
        """Who looks the mirror through."""
        return Auditor(self.mirror, self.ledger, self.layout, self.offload)


@asynccontextmanager
async def opened_to_read(config: Config) -> AsyncGenerator[Store]:
    """A mirror and its ledger to be looked at, also beside a process that works on it.

    Where nothing is mirrored yet, both are empty.
    """
    async with AsyncExitStack() as stack:
        yield await open_store(config, stack, rehearse=True)


@asynccontextmanager
async def opened_to_repair(config: Config) -> AsyncGenerator[Store]:
    """A mirror and its ledger to be changed, locked against others. ``MirrorBusy``."""
    async with AsyncExitStack() as stack:
        yield await open_store(config, stack, rehearse=False)


async def open_store(config: Config, stack: AsyncExitStack, *, rehearse: bool) -> Store:
    """Open mirror and ledger. ``rehearse``: change nothing of them, whatever is called.

    ``MirrorBusy``, ``DiskError``, ``UsageError``, ``LedgerTooNew``.
    """
    root = meant = root_of(config)
    offload = stack.enter_context(_offload(config))
    if rehearse and not (root / OWN).is_dir():
        root = Path(stack.enter_context(TemporaryDirectory(prefix="artifact-sync-")))
    if config.mirror.must_be_mounted:
        await offload(check_mounted, root)
    mirror = await offload(DiskMirror, root, durability=config.mirror.durability)
    if not rehearse:
        stack.enter_context(MirrorLock(root))
    url = _ledger_url(config, root)
    if rehearse and not has_ledger(config):
        url = "sqlite://"
    ledger = await open_ledger(
        url,
        durability=config.mirror.durability,
        read_only=rehearse and url != "sqlite://",
    )
    stack.push_async_callback(ledger.aclose)
    verb = check_bond if rehearse else bind
    await verb(meant, ledger, inside=_inside(config, meant), offload=offload)
    return Store(mirror, ledger, await _layout(config, ledger), offload, SystemClock())


async def _layout(config: Config, ledger: Ledger) -> Layout:
    """The layout, which stays what it was when the mirror was begun."""
    wanted = config.mirror.layout
    known = await ledger.claim_layout(wanted)
    if known != wanted:
        raise UsageError(
            f"this mirror was laid out as {known}, and mirror.layout is now {wanted}: set it back,"
            " or give the new layout a mirror.root of its own"
        )
    return Layout(wanted)


@contextmanager
def _offload(config: Config) -> Iterator[Offload]:
    """Threads for disk and hashing."""
    threads = config.download.jobs + _THREADS_BESIDE
    with Threads(threads, "disk", patience=_PATIENCE) as executor:
        yield Offload(executor)


def root_of(config: Config) -> Path:
    """The mirror's root. ``UsageError`` when none is set."""
    root = config.mirror.root
    if root is None:
        raise UsageError("no mirror: give --root DIR, or set mirror.root in the configuration")
    if os.path.lexists(root) and not root.is_dir():
        raise UsageError(f"{root} is no folder: give --root or mirror.root the folder of a mirror")
    return root


def _ledger_url(config: Config, root: Path) -> str | Path:
    return config.ledger.url or root / OWN / LEDGER


def _inside(config: Config, root: Path) -> bool:
    """Whether the ledger is a file below the root, which goes where the mirror goes."""
    url = config.ledger.url
    if url is None:
        return True
    file = url.removeprefix("sqlite:///")
    return file != url and Path(file).resolve().is_relative_to(root.resolve())


def has_ledger(config: Config) -> bool:
    """Whether there is a ledger to be read; of a server's, opening it will tell."""
    url = config.ledger.url
    if url is not None and not url.startswith("sqlite:///"):
        return True
    file = Path(url.removeprefix("sqlite:///")) if url else root_of(config) / OWN / LEDGER
    with disk_errors(str(file)):
        return file.is_file()
