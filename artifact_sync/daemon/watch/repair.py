"""What is done about damage that the watch over the mirror finds: told, and restored if wanted."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from artifact_sync.daemon.background import first_of
from artifact_sync.daemon.schedule import Why
from artifact_sync.daemon.watch.inspector import WatchParts
from artifact_sync.daemon.watch.watcher import MirrorWatch
from artifact_sync.domain.errors import ArtifactSyncError
from artifact_sync.domain.status import WatchState
from artifact_sync.runtime.logs import get_logger
from artifact_sync.sync.verify import Auditor

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from artifact_sync.daemon.engine import Engine
    from artifact_sync.daemon.scheduler import Daemon
    from artifact_sync.domain.model import MirrorPath, RepoName
    from artifact_sync.sync.verify import Finding

_log = get_logger(__name__)


_FIRST, _LONGEST = 1.0, 300.0
"""Seconds before the second restoration; each one after it waits twice as long, up to these."""

_PEACE = 3600.0
"""Seconds without damage after which a file's past is forgotten."""

_REMEMBERED = 20_000
"""Files at most."""


class _Past(NamedTuple):
    last: float
    delay: float


class RestoreBackoff:
    """Restores at once what is damaged for the first time, and ever later what is again."""

    def __init__(self) -> None:
        self._past: dict[MirrorPath, _Past] = {}

    def delay(self, path: MirrorPath, now: float) -> float:
        """Seconds to wait; ``now`` in seconds on a monotonic clock. Each call counts as damage."""
        past = self._past.pop(path, None)
        delay = 0.0
        if past is not None and now - past.last < past.delay + _PEACE:
            delay = min(max(2 * past.delay, _FIRST), _LONGEST)
        self._past[path] = _Past(now, delay)
        if len(self._past) > _REMEMBERED:
            del self._past[next(iter(self._past))]
        return delay


class DamageRepair:
    """Keeps a watch as ``mirror.watch`` says, and follows it when that changes."""

    def __init__(self, engine: Engine, daemon: Daemon, root: Path) -> None:
        self._engine = engine
        self._daemon = daemon
        self._auditor = Auditor(
            engine.mirror, engine.ledger, engine.layout, daemon.passes, engine.offload
        )
        busy = daemon.passes.is_busy
        self._parts = WatchParts(self._auditor, engine.clock, root, busy, self._tell, self._missed)
        self._watch: MirrorWatch | None = None
        self._patience = RestoreBackoff()
        self._waiting: dict[MirrorPath, Finding] = {}
        """What is to be restored in a while."""
        self._changed = asyncio.Event()
        daemon.must_look = self._must_look

    def state(self) -> WatchState:
        """As it is told."""
        return self._watch.state if self._watch is not None else WatchState()

    def follow(self) -> None:
        """``mirror.watch`` may be another one now."""
        self._changed.set()

    async def run(self) -> None:
        """Watch, or not, until it is cancelled."""
        while True:
            mode = self._engine.config.mirror.watch
            self._watch = MirrorWatch(self._parts, mode) if mode != "off" else None
            work = [self._watch.run()] if self._watch is not None else []
            await first_of(self._until_begun_or_ended(), *work)

    async def _until_begun_or_ended(self) -> None:
        """Between ``report`` and ``restore`` the same watch goes on."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            mode = self._engine.config.mirror.watch
            if self._watch is None or mode == "off":
                return
            self._watch.mode = mode

    def _must_look(self) -> bool:
        """A watch that is wanted and does not work: each pass has to look for itself."""
        return self._watch is not None and not self._watch.state.working

    def _missed(self) -> None:
        self._daemon.unchanged.forget()

    def _tell(self, findings: Sequence[Finding]) -> None:
        """A line a run, and the repair if it is wanted."""
        restoring = self._engine.config.mirror.watch == "restore"
        new = {it.path: it for it in findings if it.path not in self._waiting}
        self._log(list(new.values()), restoring=restoring)
        self._waiting |= {it.path: it for it in findings if restoring or it.path in self._waiting}
        if restoring:
            self._restore_later(new)

    def _restore_later(self, damaged: Iterable[MirrorPath]) -> None:
        now = self._engine.clock.monotonic()
        later: dict[float, list[MirrorPath]] = {}
        for path in damaged:
            later.setdefault(self._patience.delay(path, now), []).append(path)
        for delay, paths in later.items():
            self._daemon.attend(self._restore(paths, delay))

    def _log(self, findings: Sequence[Finding], *, restoring: bool) -> None:
        told = Counter((finding.run, finding.condition) for finding in findings)
        first = {(finding.run, finding.condition): finding.path for finding in reversed(findings)}
        words = "files were taken or changed in the mirror"
        words += ", and are fetched again" if restoring else ""
        for (run, condition), count in told.items():
            repo, slug = run if run is not None else ("", "")
            path = first[run, condition]
            _log.warning(
                words, repo=str(repo), run=slug, files=count, condition=str(condition), first=path
            )

    async def _restore(self, paths: Sequence[MirrorPath], delay: float) -> None:
        """Request what is damaged, a repository at a time, and have a pass fetch it.

        After a delay in seconds: with whoever damages the same files ever again, we do not race.
        """
        if delay:
            await first_of(self._engine.clock.sleep(delay), self._daemon.stopping.wait())
        of_repo: dict[RepoName, list[Finding]] = {}
        wanted = (
            self._engine.config.mirror.watch == "restore" and not self._daemon.stopping.is_set()
        )
        for finding in [self._waiting.pop(path) for path in paths]:
            if finding.run is not None and wanted:
                of_repo.setdefault(finding.run.repo, []).append(finding)
        for repo, damage in of_repo.items():
            await self._request(repo, damage)
            if self._watch is not None:
                self._watch.attended([finding.path for finding in damage])
            self._daemon.look_again(frozenset({repo}), Why.RESTORE)

    async def _request(self, repo: RepoName, damage: Sequence[Finding]) -> None:
        try:
            await self._auditor.request(damage, self._engine.clock.now())
        except ArtifactSyncError as error:  # the pass will say more, if it finds the same
            _log.warning("damage could not be requested again", repo=str(repo), why=str(error))
