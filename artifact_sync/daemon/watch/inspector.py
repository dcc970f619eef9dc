"""Finds the damage behind what was touched in the mirror: reads ledger and disk, tells the rest.

What counts as damage is decided in ``damage``; whatever follows from it is for whoever is told.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing, suppress
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING

from artifact_sync.daemon.watch.filesystem import real
from artifact_sync.daemon.watch.rules import Touched, glance, respelled
from artifact_sync.domain.errors import ArtifactSyncError
from artifact_sync.domain.model import RepoName, State
from artifact_sync.mirror.manifest import RUN, SUMS
from artifact_sync.runtime.logs import get_logger
from artifact_sync.sync.verify import Condition, Finding, compared

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from artifact_sync.domain.model import ArtifactRow, Found, MirrorPath, RunKey
    from artifact_sync.domain.ports import Clock
    from artifact_sync.sync.verify import Auditor

_log = get_logger(__name__)

_BATCH = 1_000
"""Files that are looked at, or told of, at a time."""

_DOUBTS, _TOLD = 10_000, 20_000
"""Paths that are kept in mind, at most."""

_RECHECK = 1.0
"""Seconds between two looks at whether a repository's pass has ended."""


@dataclass(frozen=True, slots=True)
class WatchParts:
    """What a watch over a mirror works with."""

    auditor: Auditor
    clock: Clock
    root: Path
    busy: Callable[[RepoName], bool]
    """Whether a pass is over a repository: what it does there is no damage."""
    tell: Callable[[Sequence[Finding]], None]
    """Told of damage, many at a time, each once until it stands or is attended. Must not raise."""
    missed: Callable[[], None]
    """Told when changes may have gone unseen: the next passes should look for themselves."""


class DamageInspector:
    """Looks at what was touched, until it is cancelled. ``touch`` on the event loop."""

    def __init__(self, parts: WatchParts) -> None:
        self._parts = parts
        self._auditor = parts.auditor
        self._depth = len(parts.auditor.layout.repo_folder(RepoName("x", "x")).split("/"))
        self._touched = Touched(self._depth)
        self._doubts: dict[MirrorPath, None] = {}
        """Files that look as they should and are yet to be hashed."""
        self._later: dict[RepoName, Touched] = {}
        """What looked damaged while a pass was over its repository."""
        self._told: dict[MirrorPath, Condition] = {}
        self._outbox: list[Finding] = []
        self._root, self._links = "", dict[str, str]()
        self._stir = asyncio.Event()
        self.damaged = 0
        """Files told of since the start."""
        self.restored = 0
        """Those of them that stand again."""

    def learn(self, root: str, links: Mapping[str, str]) -> None:
        """The root without symbolic links, and those below it that a watch has followed."""
        self._root, self._links = root, dict(links)

    def touch(self, path: str, *, deep: bool) -> None:
        """Look at what has this path; ``deep``: and at all below it."""
        self._touched.add(path, deep=deep)
        self._stir.set()

    def attended(self, paths: Iterable[MirrorPath]) -> None:
        """Their repair has begun: damage from now on is told again, even of the same kind."""
        self._told.update(dict.fromkeys(self._told.keys() & set(paths), Condition.OK))

    async def run(self) -> None:
        """Judge what is touched. Trouble with disk or ledger ends no more than one round."""
        while True:
            await self._wait()
            try:
                await self._round()
            except ArtifactSyncError as error:
                self._forsake(error)
            except Exception as error:  # noqa: BLE001 - logged, and the watch goes on
                _log.exception("looking at the mirror failed in a way that is a bug")
                self._forsake(error)

    def _forsake(self, error: Exception) -> None:
        """What cannot be looked at now is left to the next passes."""
        _log.debug("changes in the mirror could not be looked at", why=str(error))
        self._touched.take()
        self._doubts.clear()
        self._flush()
        self._parts.missed()

    async def _wait(self) -> None:
        """Wait until there is something to look at."""
        self._take_up()
        while not (self._touched or self._doubts):
            self._stir.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_RECHECK if self._later else None):
                    await self._stir.wait()
            self._take_up()

    def _take_up(self) -> None:
        """Look again at what was put off, where the pass is over."""
        for repo in [repo for repo in self._later if not self._parts.busy(repo)]:
            for path, deep in self._later.pop(repo).take().items():
                self._touched.add(path, deep=deep)

    async def _round(self) -> None:
        """All that is touched; else one file of those in doubt: hashing takes long."""
        touched = self._touched.take()
        told = self._told.keys() & touched.keys()
        strange, mended = await self._auditor.offload(self._sorted, touched, told)
        for path in mended:
            self._stands(path)
        for name, deep in strange.items():
            await self._look_at(name, deep=deep)
        if self._doubts and not self._touched:
            await self._hash(next(iter(self._doubts)))
        self._flush()

    def _sorted(
        self, touched: Mapping[str, bool], told: Iterable[MirrorPath]
    ) -> tuple[dict[str, bool], list[MirrorPath]]:
        """What is not our own doing, under every name it may have; and what we have put right."""
        wrote = self._auditor.mirror.wrote
        strange: dict[str, bool] = {}
        folders: dict[str, str] = {}
        for path, deep in touched.items():
            for name in {*respelled(path, self._links), self._real(path, folders)}:
                if not wrote(name):
                    strange[name] = deep or strange.get(name, False)
        find = self._auditor.mirror.find
        return strange, [path for path in told if wrote(path) and find(path) is not None]

    def _real(self, path: str, folders: dict[str, str]) -> str:
        """The path without symbolic links on its way."""
        folder, slash, name = path.rpartition("/")
        if slash and folder not in folders:
            folders[folder] = real(self._root, folder)
        return f"{folders[folder]}/{name}" if slash else path

    async def _look_at(self, path: str, *, deep: bool) -> None:
        """The mirrored files with this path or below it, and the manifests of their runs."""
        last: RunKey | None = None
        folder_of = self._auditor.layout.run_folder
        async with aclosing(self._rows(path, deep=deep)) as batches:
            async for rows in batches:
                await self._glance(rows, path)
                for run in dict.fromkeys(row.key.run_key for row in rows):
                    if run != last and f"{folder_of(run)}/".startswith(f"{path}/"):
                        await self._look_for_manifests(run)
                    last = run
        folder, _, name = path.rpartition("/")
        if name in {SUMS, RUN} and (row := await self._first(folder)) is not None:
            await self._read_manifests(row.key.run_key, path)

    async def _rows(self, path: str, *, deep: bool) -> AsyncGenerator[list[ArtifactRow]]:
        batch: list[ArtifactRow] = []
        async with aclosing(self._auditor.ledger.at(path)) as rows:
            async for row in rows:
                if row.path != path and not deep:
                    break
                batch.append(row)
                if len(batch) >= _BATCH:
                    yield batch
                    batch = []
        if batch:
            yield batch

    async def _first(self, path: str) -> ArtifactRow | None:
        async with aclosing(self._auditor.ledger.at(path)) as rows:
            return await anext(rows, None)

    async def _glance(self, rows: Sequence[ArtifactRow], path: str) -> None:
        """Sort these files into those that stand, those in doubt, and damage."""
        bad = []
        seen = await self._auditor.offload(self._seen, rows)
        for row, (ours, found) in zip(rows, seen, strict=True):
            if row.path is None:
                continue
            condition = Condition.OK if ours else glance(row, found, touched=row.path == path)
            if condition is None:
                await self._doubt(row.path)
            elif condition is not Condition.OK:
                size = found.size if found is not None else 0
                detail = f"{size:,} bytes; recorded {row.size:,}" if size else ""
                bad.append(Finding(condition, row.path, size, row, row.key.run_key, detail))
            elif found is not None:
                self._stands(row.path)
        await self._consider(bad)

    def _seen(self, rows: Sequence[ArtifactRow]) -> list[tuple[bool, Found | None]]:
        mirror = self._auditor.mirror
        return [(mirror.wrote(it.path), mirror.find(it.path)) for it in rows if it.path is not None]

    async def _doubt(self, path: MirrorPath) -> None:
        if len(self._doubts) >= _DOUBTS:
            await self._hash(next(iter(self._doubts)))
        self._doubts[path] = None

    async def _hash(self, path: MirrorPath) -> None:
        """Read a file that looks as it should."""
        self._doubts.pop(path, None)
        row = await self._first(path)
        if row is None or row.path != path:
            return
        await self._conclude(compared(row, path, await self._digest(path)))

    async def _conclude(self, finding: Finding) -> None:
        if finding.condition is Condition.OK:
            self._stands(finding.path)
        else:
            await self._consider([finding])

    async def _digest(self, path: MirrorPath) -> tuple[int, str] | None:
        """Read a file, however long that takes; but not on when cancelled."""
        offload, stop = self._auditor.offload, threading.Event()
        work = offload.start(self._auditor.mirror.digest, path, stop.is_set)
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            stop.set()
            await work
            raise
        return work.result()

    async def _look_for_manifests(self, run: RunKey) -> None:
        """Whether the manifests of a complete run are there at all."""
        mirror, paths = self._auditor.mirror, self._auditor.layout.manifests(run)
        found = await self._auditor.offload(lambda: [mirror.find(path) for path in paths])
        gone = [it is None or it.kind != "file" for it in found]
        bad = [Finding(Condition.MISSING, path, run=run) for path in compress(paths, gone)]
        await self._consider(bad)

    async def _read_manifests(self, run: RunKey, path: str) -> None:
        """Whether a complete run's manifest at this path says what the ledger says."""
        if path not in self._auditor.layout.manifests(run):
            return
        rows = (await self._auditor.ledger.artifacts(run)).values()
        mirrored = [it for it in rows if it.state is State.MIRRORED]
        for finding in await self._auditor.manifests(run, mirrored):
            if finding.path == path:
                await self._conclude(finding)

    async def _consider(self, bad: Sequence[Finding]) -> None:
        """Tell of damage that is none of our own passes'."""
        for run in {finding.run: None for finding in bad if finding.run is not None}:
            known = await self._auditor.ledger.run(run)
            rows = await self._auditor.ledger.artifacts(run)
            for finding in (it for it in bad if it.run == run):
                row = finding.row
                if self._parts.busy(run.repo):
                    later = self._later.setdefault(run.repo, Touched(self._depth))
                    later.add(finding.path, deep=False)
                elif row is not None and rows.get(row.key) != row:
                    self.touch(finding.path, deep=False)  # a pass has come and gone meanwhile
                elif row is not None or (known is not None and known.complete):
                    self._tell(finding)

    def _tell(self, finding: Finding) -> None:
        known = self._told.pop(finding.path, None)
        if known is not finding.condition:
            self._outbox.append(finding)
            self.damaged += known is None
        self._told[finding.path] = finding.condition
        if len(self._told) > _TOLD:
            del self._told[next(iter(self._told))]
        if len(self._outbox) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        told, self._outbox = self._outbox, []
        if told:
            self._parts.tell(told)

    def _stands(self, path: MirrorPath) -> None:
        if self._told.pop(path, None) is not None:
            self.restored += 1
