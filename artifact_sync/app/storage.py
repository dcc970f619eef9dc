"""Opens a mirror and its ledger: to read, to repair, or for a pass."""

from __future__ import annotations

from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.app.hooks import subscribe
from artifact_sync.app.limits import open_limits
from artifact_sync.app.locations import (
    bind_ids,
    check_layout,
    expect_ids,
    has_ledger,
    has_runs,
    is_in_store,
    ledger_url,
    mounted_root_of,
)
from artifact_sync.app.mirrors import MirrorTerms, open_mirror
from artifact_sync.app.shared_mirror import (
    StagingSlot,
    alone_at_start,
    is_shared,
    opened_locks,
    repository_lock,
)
from artifact_sync.domain.errors import DAEMON
from artifact_sync.domain.model import State
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.ledger import open_ledger
from artifact_sync.mirror.layout import Layout
from artifact_sync.mirror.local.lock import LocalRepositoryLock
from artifact_sync.runtime.clock import ClockComparison, SystemClock
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.threads import Offload, Threads

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from artifact_sync.app.mirrors import MirrorId, OpenedMirror
    from artifact_sync.domain.model import ArtifactKey
    from artifact_sync.domain.ports import (
        Clock,
        Ledger,
        ManifestSigner,
        MirrorClaims,
        RepositoryLock,
        SharedLimits,
        WatchedMirror,
    )
    from artifact_sync.domain.settings import Config, MirrorSettings
    from artifact_sync.fleet.advisory_locks import AdvisoryLocks
    from artifact_sync.mirror.local.delivery import OpensFiles
    from artifact_sync.sync.adopt_runs import RunAdopter
    from artifact_sync.sync.hash_progress import HashProgress
    from artifact_sync.sync.verify import Auditor

_log = get_logger(__name__)

_THREADS_BESIDE_JOBS = 2
"""Threads for the disk, besides one for each download."""

_OLDEST_STAGED = 15 * 24 * 3600.0
"""Seconds after which nobody resumes a download: the service keeps artifacts for 14 days."""

_PATIENCE = 10.0
"""Seconds that a disk has at the end for what is being written; one that hangs takes for ever."""


class Storage(Struct, frozen=True):
    """A mirror and its ledger."""

    mirror: WatchedMirror
    top_of_staging: Path
    """This machine's folder for what comes, of all processes."""
    id: MirrorId
    files: OpensFiles
    prepare: Callable[[], None]
    """Finds out whether the mirror can be written to, before anything comes. Blocking."""
    ledger: Ledger
    layout: Layout
    lock: RepositoryLock
    offload: Offload
    clock: Clock
    comparison: ClockComparison
    """What the service's clock says of ours: told by the network, heard by the mirror."""
    limits: SharedLimits
    locks: AdvisoryLocks | None = None
    """Of all processes that work on the mirror; None: there is only this one."""
    slot: StagingSlot | None = None
    """Where this process stages; None: there is only this one."""

    @property
    def staging(self) -> Path:
        """This process's folder for what comes."""
        return self.slot.folder if self.slot is not None else self.top_of_staging

    async def staged(self) -> set[str]:
        """Names of the staged files, after removing those that are of no more use."""
        if self.slot is not None:
            async with aclosing(self.slot.left_by_others(self.offload)) as folders:
                async for left in folders:
                    await self.offload(_staged, left)
        folder = self.staging
        names = await self.offload(_staged, folder)
        for name, key in (await self.offload(_published, folder, names)).items():
            row = (await self.ledger.artifacts(key.run_key)).get(key)
            if row is not None and row.state is State.MIRRORED:  # a crash came before the unlink
                with suppress(OSError):
                    await self.offload((folder / f"{name}.json").unlink)
                names.discard(name)
        return names

    @property
    def auditor(self) -> Auditor:
        """The auditor, which compares mirror and ledger."""
        return self.auditor_telling(None)

    def auditor_telling(self, progress: HashProgress | None, *, quick: bool = False) -> Auditor:
        """The auditor, which counts in ``progress`` what it hashes.

        ``quick``: it believes the store, where that vouches for a file.
        """
        from artifact_sync.sync.verify import Auditor  # noqa: PLC0415 - a pass needs none

        facts = self.mirror, self.ledger, self.layout, self.lock, self.offload
        return Auditor(*facts, progress, quick)

    def adopter(
        self,
        origin: str,
        progress: HashProgress,
        *,
        dry_run: bool,
        stop: Callable[[], bool] = lambda: False,
    ) -> RunAdopter:
        """What makes a lost ledger again from the files, which are of this service."""
        from artifact_sync.sync.adopt_runs import RunAdopter, host_of  # noqa: PLC0415 - as above

        at = self.clock.now()
        facts = (self.mirror, self.ledger, self.layout, self.lock, self.offload)
        return RunAdopter(*facts, at, stop, dry_run, host_of(origin), progress)


@asynccontextmanager
async def open_storage(
    config: Config,
    *,
    rehearse: bool,
    command: str = "artifact-sync",
    adopting: bool = False,
    frees: bool = False,
) -> AsyncGenerator[Storage]:
    """Open a mirror and its ledger: locked, or to read.

    ``rehearse``: nothing of them is changed, also beside another process; where nothing is mirrored
    yet, both are empty. ``command``: what others are told who find the mirror locked. ``adopting``:
    the root's files may be of no mirror yet, or of another one while the ledger holds no file.
    ``frees``: to remove files, also from a full disk. ``MirrorBusy``,
    ``DiskError``, ``UsageError``, ``LedgerTooNew``.
    """
    async with AsyncExitStack() as stack:
        name = None if rehearse else command
        yield await _opened(config, stack, name, adopting=adopting, frees=frees)


async def _opened(
    config: Config, stack: AsyncExitStack, command: str | None, *, adopting: bool, frees: bool
) -> Storage:
    rehearse = command is None
    jobs = config.download.jobs + _THREADS_BESIDE_JOBS
    offload = Offload(stack.enter_context(Threads(jobs, "disk", patience=_PATIENCE)))
    root = await offload(mounted_root_of, config)
    looked_at = rehearse and adopting
    if rehearse and not (adopting or (root / OWN_FOLDER).is_dir()):
        root = Path(stack.enter_context(TemporaryDirectory(prefix="artifact-sync-")))
    durability = config.mirror.durability
    clock, comparison = SystemClock(), ClockComparison()
    signer = _signer(config.mirror)
    terms = MirrorTerms(root, looked_at, signer, lambda: comparison.latest(clock.now()))
    opened = await offload(open_mirror, config, terms)
    if command is not None and not is_shared(config):
        stack.enter_context(opened.locked(command, frees))
    url = ledger_url(config)
    if rehearse and not has_ledger(config):
        url = "sqlite://"
    empty = url == "sqlite://"
    ledger = await open_ledger(url, durability=durability, read_only=rehearse and not empty)
    stack.push_async_callback(ledger.aclose)
    if not (rehearse or adopting or await _knows_runs(ledger)):
        await offload(_tell_of_unknown, config, opened)
    if config.hook and not (rehearse or adopting):  # what is adopted is no news
        subscribe(config, ledger, clock)
    limits = await open_limits(config, clock, stack, rehearse=rehearse)
    facts = opened.mirror, opened.staging, opened.id, opened.files, opened.prepare, ledger
    if command is not None and is_shared(config):
        locks = await opened_locks(config, stack, command)
        async with alone_at_start(locks):
            bound = await bind_ids(config, ledger, opened.id, offload, adopting=adopting)
            layout, slot = await _layout(config, ledger), StagingSlot(locks, bound, opened)
        await slot.claim(offload, frees=frees)
        ledger.fence_by(locks.mark)
        lock = repository_lock(config, locks, bound, is_daemon=command == DAEMON)
        return Storage(*facts, layout, lock, offload, clock, comparison, limits, locks, slot)
    bind = expect_ids if rehearse else bind_ids
    await bind(config, ledger, opened.id, offload, adopting=adopting)
    layout, lock = await _layout(config, ledger), LocalRepositoryLock()
    return Storage(*facts, layout, lock, offload, clock, comparison, limits)


def _tell_of_unknown(config: Config, opened: OpenedMirror) -> None:
    """Tell that there are files of which the ledger, which knows no run, knows nothing."""
    if is_in_store(config) and opened.holds_files():
        _log.warning(
            "there are files in this object store, and the ledger knows no run: what the service"
            " still has is fetched again (put the ledger back from a backup instead)",
            root=str(config.mirror.root),
        )
    elif has_runs(config):
        _log.warning(
            "there are runs of a mirror here, and no ledger: what the service still has is fetched"
            " again (artifact-sync adopt makes the ledger from the files instead)",
            root=str(config.mirror.root),
        )


async def _knows_runs(ledger: Ledger) -> bool:
    for repo in await ledger.repositories():
        async with aclosing(ledger.runs(repo)) as runs:
            async for _ in runs:
                return True
    return False


def _signer(settings: MirrorSettings) -> ManifestSigner | None:
    if not (settings.sign_command or settings.verify_command):
        return None
    from artifact_sync.mirror.local.signer import CommandSigner, our_environment  # noqa: PLC0415 - seldom needed

    return CommandSigner(settings.sign_command, settings.verify_command, our_environment())


def _staged(folder: Path) -> set[str]:
    if not any(folder.iterdir()):
        return set()
    from artifact_sync.transfer.staging import sweep  # noqa: PLC0415 - slow to import

    return sweep(folder, _OLDEST_STAGED)


def _published(folder: Path, names: set[str]) -> Mapping[str, ArtifactKey]:
    if not names:
        return {}
    from artifact_sync.transfer.staging import published_keys  # noqa: PLC0415 - slow to import

    return published_keys(folder, names)


async def _layout(config: Config, ledger: MirrorClaims) -> Layout:
    wanted = config.mirror.layout
    known = await ledger.claim_layout(wanted)
    check_layout(known, wanted)
    return Layout(wanted)
