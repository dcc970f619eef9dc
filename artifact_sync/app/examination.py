"""Verifies an opened mirror and repairs it, for the command line and for Python."""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from artifact_sync.app.assemble_pass import passes_over
from artifact_sync.app.forgetting import keeper_of
from artifact_sync.app.holder import opened_or_held
from artifact_sync.app.selection import known_repositories
from artifact_sync.app.storage import open_storage
from artifact_sync.daemon.control.client import DaemonClient
from artifact_sync.daemon.progress import EventFanout
from artifact_sync.domain.errors import (
    ArtifactSyncError,
    ExitCode,
    MirrorBusy,
    RepositoryBusy,
    exit_code,
)
from artifact_sync.domain.model import Failure
from artifact_sync.domain.report import Report
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.domain.verification import NO_BOUNDS
from artifact_sync.runtime.logs import get_logger
from artifact_sync.sync.hash_progress import HashProgress
from artifact_sync.sync.latest import point_latest
from artifact_sync.sync.verify import (
    DAMAGE,
    Condition,
    by_repository,
    reasons_of_damage,
    repair_pass,
    runs_of,
)
from artifact_sync.sync.verify_oldest import BoundedAudit

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from artifact_sync.app.storage import Storage
    from artifact_sync.config.api_token import Token
    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.model import MirrorPath, RepoName
    from artifact_sync.domain.settings import Config
    from artifact_sync.domain.verification import VerifyBounds
    from artifact_sync.sync.sync_pass import Pass
    from artifact_sync.sync.verify import Finding

_log = get_logger(__name__)

_NOTED_AT_ONCE = 5_000
"""Findings that the ledger is told together."""

_NOTED_EVERY = 10.0
"""Seconds after which it is told in any case, so that who is broken off has done something."""


@asynccontextmanager
async def opened_examination(
    config: Config,
    names: tuple[str, ...],
    *,
    repair: bool,
    bounds: VerifyBounds = NO_BOUNDS,
) -> AsyncGenerator[Examination]:
    """Open a mirror to verify it, or what was verified longest ago within bounds.

    To repair it, it is locked, or a daemon's that is asked.

    ``MirrorBusy``, ``DiskError``, ``UsageError``, ``LedgerTooNew``.
    """
    opening = opened_or_held(config, rehearse=not repair, does="repairs it")
    async with opening as (store, daemon):
        writable = repair and daemon is None
        noting = not bounds.quick
        yield Examination(store, names, config, daemon, bounds, writable=writable, noting=noting)


@dataclass(slots=True)
class Examination:
    """Verifies a mirror, or a part of it, and repairs it."""

    store: Storage
    names: tuple[str, ...]
    """Repositories; empty: all that the ledger knows, and what is outside of them."""
    config: Config
    daemon: DaemonClient | None = None
    """What repairs it, where a daemon holds the mirror."""
    bounds: VerifyBounds = NO_BOUNDS
    """Within them only what was verified longest ago is looked at."""
    writable: bool = False
    """The mirror is locked, and ``store`` may be written to."""
    noting: bool = True
    """Whether the ledger can be told what is found."""
    _unnoted: list[Finding] = field(default_factory=list, init=False)
    _noted_at: float = field(default=-inf, init=False)
    files: int = field(default=0, init=False)
    """Files of artifacts that were looked at."""
    size: int = field(default=0, init=False)
    """Bytes that were read of them."""
    of_files: int = field(default=0, init=False)
    """How many of them there are; with bounds only."""
    progress: HashProgress = field(default_factory=HashProgress, init=False)
    """Of ``look``."""
    ok: int = field(default=0, init=False)
    found: list[Finding] = field(default_factory=list, init=False)
    """Everything that is not ok."""
    unrecorded: list[Finding] = field(default_factory=list, init=False)
    """What is ok, and what a pass that was broken off has left to be recorded."""
    left: list[Finding] = field(default_factory=list, init=False)
    """Damage that was not repaired."""
    report: Report = field(default_factory=Report, init=False)
    """What the repair's passes have done so far, and what could not be noted."""

    async def look(self) -> AsyncGenerator[Finding]:
        """Hash every file, or within bounds; what is not ok, as it is found."""
        repos = await self._scope()
        self._noted_at = self.store.clock.monotonic()
        if self.writable:
            await self._finish_forgetting(repos)
        async with aclosing(self._findings(repos)) as findings:
            async for finding in findings:
                await self._note(finding)
                if finding.condition is Condition.OK:
                    self.ok += 1
                    if not finding.recorded:
                        self.unrecorded.append(finding)
                else:
                    self.found.append(finding)
                    yield finding
        everywhere = not (self.names or self.bounds)
        for finding in await self.store.auditor.outside(repos) if everywhere else ():
            self.found.append(finding)
            yield finding
        await self._flush()
        self.left = self.damage

    async def _findings(self, repos: Sequence[RepoName]) -> AsyncGenerator[Finding]:
        auditor = self.store.auditor_telling(self.progress, quick=self.bounds.quick)
        if not self.bounds:
            findings = auditor.look(repos)
        else:
            audit = BoundedAudit(auditor, self.store.clock, self.bounds)
            self.of_files = await audit.count(repos)
            findings = audit.look(repos, everywhere=not self.names)
        async with aclosing(findings):
            async for finding in findings:
                yield finding

    async def _finish_forgetting(self, repos: Sequence[RepoName]) -> None:
        """Finish what was let go and broken off: it is no damage."""
        keeper = keeper_of(self.store, self.config, EventFanout([]))
        for repo in repos:
            await keeper.finish(repo)

    async def _note(self, finding: Finding) -> None:
        if finding.row is not None:
            self._unnoted.append(finding)
            self.files += 1
            self.size += finding.size
        since = self.store.clock.monotonic() - self._noted_at
        if len(self._unnoted) >= _NOTED_AT_ONCE or since >= _NOTED_EVERY:
            await self._flush()

    async def _flush(self) -> None:
        """Tell the ledger, or who holds the mirror."""
        findings, self._unnoted = self._unnoted, []
        self._noted_at = self.store.clock.monotonic()
        if not (findings and self.noting):
            return
        if self.writable:  # what is lost is requested by the repair
            await self.store.auditor.note(findings, self.store.clock.now(), lost=False)
            return
        try:
            await self._tell(findings)
        except ArtifactSyncError as error:
            self.noting = False
            _log.debug("the ledger is not told what was found", why=str(error))

    async def _tell(self, findings: Sequence[Finding]) -> None:
        """Note findings, or have the daemon note what was right. ``ArtifactSyncError``."""
        daemon = self.daemon
        if daemon is None:
            try:
                async with open_storage(self.config, rehearse=False) as store:
                    await self._note_in(store, findings)
            except MirrorBusy as busy:
                daemon = DaemonClient(busy.root / OWN_FOLDER)
        if daemon is not None:
            right = [it.row for it in findings if it.row and it.condition is Condition.OK]
            await daemon.note_verified([row for row in right if row.here])

    async def _note_in(self, store: Storage, findings: Sequence[Finding]) -> None:
        """Note findings; a busy repository is a failure where it is not waited for."""
        for repo, some in by_repository(findings).items():
            try:
                await store.auditor.note(some, store.clock.now())
            except RepositoryBusy as busy:
                why = f"{busy}; until then what is lost or put back of it is not noted"
                failure = Failure(str(repo), busy.reason, why)
                if failure not in self.report.failures:
                    self.report.failures.append(failure)

    async def repair(self, config: Config, observer: Observer, token: Token | None) -> None:
        """Repair what can be repaired, the links ``latest`` included. ``DiskError``."""
        if self.daemon is not None:
            await self._hand_over(self.daemon, config.source.base_url, observer)
            return
        store = self.store
        await store.auditor.request(self.damage, store.clock.now())
        names = await store.staged()  # also where nothing is damaged: it clears what a crash left
        if touched := [*self.damage, *self.unrecorded]:
            async with passes_over(store, config, observer, token, names) as begin:
                for repo, runs in runs_of(touched).items():
                    await self._run(begin(repair_pass(repo, runs)))
        self.left = await store.auditor.left(self.damage)
        for repo in await self._scope():
            await point_latest(store.ledger, store.mirror, store.layout, store.offload, repo)

    async def _hand_over(self, daemon: DaemonClient, base_url: str, observer: Observer) -> None:
        damaged = runs_of(self.damage)
        for repo in await self._scope():
            runs = damaged.get(repo, ())
            self.report.add(await daemon.repair(repo, runs, base_url, observer))
        self.left = await self.store.auditor.left(self.damage)

    async def _run(self, one_pass: Pass) -> None:
        try:
            await one_pass.run()
        finally:
            self.report.add(one_pass.report)

    async def _scope(self) -> Sequence[RepoName]:
        return known_repositories(self.names, await self.store.ledger.repositories())

    @property
    def damage(self) -> list[Finding]:
        """What was found that a repair is for."""
        return [finding for finding in self.found if finding.condition in DAMAGE]

    @property
    def repaired(self) -> list[MirrorPath]:
        """The paths of repaired files."""
        return [it.path for it in self.damage if it not in self.left]

    def paths(self, condition: Condition) -> list[MirrorPath]:
        """The paths of what was found to be so, repaired or not."""
        return [it.path for it in self.found if it.condition is condition]

    @property
    def exit_code(self) -> ExitCode:
        """The exit code: 0 when all is as recorded, or was repaired."""
        unread = [it for it in self.found if it.condition is Condition.UNREADABLE]
        return exit_code(reasons_of_damage([*self.left, *unread], self.report.failures))
