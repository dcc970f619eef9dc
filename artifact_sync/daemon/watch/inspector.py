"""Compares changed paths with the ledger and reports damage."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing, suppress
from itertools import compress
from typing import TYPE_CHECKING

from artifact_sync.daemon.watch.filesystem import real
from artifact_sync.domain.errors import ArtifactSyncError, RepositoryBusy
from artifact_sync.domain.model import RepoName
from artifact_sync.mirror.manifest import RUN, SUMS
from artifact_sync.runtime.logs import get_logger
from artifact_sync.sync.context import leased
from artifact_sync.sync.failures import explained
from artifact_sync.sync.verify import Condition, Finding, by_their_run, compared

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        Collection,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )

    from artifact_sync.daemon.watch.repair import DamageRepair
    from artifact_sync.domain.model import ArtifactRow, Found, MirrorPath, RunKey
    from artifact_sync.sync.verify import Auditor

_log = get_logger(__name__)

_BATCH = 1_000
"""Files that are inspected, or reported, at a time."""

_MOST_UNHASHED, _MOST_REPORTED = 10_000, 20_000
"""Paths that are remembered, at most."""

_RECHECK = 1.0
"""Seconds between two checks whether a repository's pass has ended."""

_HASHING = 1.0
"""Seconds of hashing after which damage that was found is reported."""

_SLACK = 60.0
"""Seconds by which a file may be newer than the ledger says it was mirrored."""


class Touched:
    """A bounded set of paths to inspect, each alone or with everything below it.

    When there are too many, only the first ``depth`` components of each are kept: the folder of its
    repository, which is then inspected as a whole.
    """

    def __init__(self, depth: int, most: int = 10_000) -> None:
        self._depth = depth
        self._most = most
        self._paths: dict[str, bool] = {}

    def __len__(self) -> int:
        return len(self._paths)

    def add(self, path: str, *, deep: bool) -> None:
        """Add a path; ``deep``: with everything below it."""
        self._paths[path] = deep or self._paths.get(path, False)
        if len(self._paths) > self._most:
            short = ("/".join(it.split("/")[: self._depth]) for it in self._paths)
            self._paths = dict.fromkeys(short, True)

    def take(self) -> Mapping[str, bool]:
        """Return all paths and empty the set."""
        paths, self._paths = self._paths, {}
        return paths


def compare_metadata(row: ArtifactRow, found: Found | None, *, touched: bool) -> Condition | None:
    """The condition of a mirrored file by its metadata; None: it must be hashed.

    ``touched``: the file itself was changed, and not only a folder above it. Otherwise a file not
    modified since it was mirrored need not be hashed.
    """
    if found is None or found.kind != "file":
        return Condition.MISSING
    if found.size != row.size:
        return Condition.CHANGED
    if touched or row.mirrored_at is None:
        return None
    return Condition.OK if found.changed <= row.mirrored_at.timestamp() + _SLACK else None


def resolved_names(path: str, links: Mapping[str, str]) -> set[str]:
    """A path, and its names with symbolic links on the way resolved.

    The system reports a folder by one of its names only, which may go through a link.
    """
    parts = path.split("/")
    above = {"/".join(parts[:depth]) for depth in range(1, len(parts))}
    return {path} | {(links[link] + path[len(link) :]).lstrip("/") for link in above & links.keys()}


def outermost(touched: Mapping[str, bool]) -> dict[str, bool]:
    """Touched paths without those that are inspected with a folder above them.

    Manifests stay: with a folder, only whether they are there is looked at.
    """
    deep = {path for path, is_deep in touched.items() if is_deep}
    return {
        path: is_deep
        for path, is_deep in touched.items()
        if path.rpartition("/")[2] in {SUMS, RUN} or deep.isdisjoint(_above(path))
    }


def _above(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


class DamageInspector:
    """Compares changed paths with the ledger and reports damage, until cancelled."""

    def __init__(self, auditor: Auditor, listener: DamageRepair) -> None:
        self._auditor = auditor
        self._listener = listener
        self._depth = len(auditor.layout.repo_folder(RepoName("x", "x")).split("/"))
        self._touched = Touched(self._depth)
        self._unhashed: dict[MirrorPath, None] = {}
        """Files whose metadata is right and whose content is yet to be hashed."""
        self._deferred: dict[RepoName, Touched] = {}
        """What looked damaged while a pass was over its repository."""
        self._suspected: dict[MirrorPath, Finding] = {}
        """What looked damaged, to be looked at run by run: each run is read once for many files."""
        self._reported: dict[MirrorPath, Condition] = {}
        self._outbox: list[Finding] = []
        self._root, self._links = "", dict[str, str]()
        self._wake_up = asyncio.Event()
        self.damaged = 0
        """Files reported since the start."""
        self.restored = 0
        """Those of them that are right again."""

    def set_root(self, root: str, links: Mapping[str, str]) -> None:
        """Set the root, with links resolved, and the symbolic links below it."""
        self._root, self._links = root, dict(links)

    def touch(self, path: str, *, deep: bool) -> None:
        """Have a path inspected; ``deep``: and everything below it. On the event loop."""
        self._touched.add(path, deep=deep)
        self._wake_up.set()

    def repair_began(self, paths: Iterable[MirrorPath]) -> None:
        """Report these files again when they are damaged from now on."""
        began = self._reported.keys() & set(paths)
        self._reported.update(dict.fromkeys(began, Condition.OK))

    async def run(self) -> None:
        """Inspect touched paths. An error of disk or ledger ends one round only."""
        while True:
            await self._wait()
            try:
                await self._round()
            except ArtifactSyncError as error:
                self._give_up(error)
            except Exception as error:  # noqa: BLE001 - logged, and the watch goes on
                _log.error("looking at the mirror has failed", **explained(error))
                self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """Leave what cannot be inspected now to the next passes."""
        _log.debug("changes in the mirror could not be looked at", why=str(error))
        self._touched.take()
        self._unhashed.clear()
        self._suspected.clear()
        self._flush()
        self._listener.may_have_missed()

    async def _wait(self) -> None:
        self._resume_deferred()
        while not (self._touched or self._unhashed):
            self._wake_up.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_RECHECK if self._deferred else None):
                    await self._wake_up.wait()
            self._resume_deferred()

    def _resume_deferred(self) -> None:
        for repo in [repo for repo in self._deferred if not self._listener.is_busy(repo)]:
            for path, deep in self._deferred.pop(repo).take().items():
                self._touched.add(path, deep=deep)

    async def _round(self) -> None:
        """Inspect all touched paths; while there are none, hash for a moment, which takes long."""
        touched = self._touched.take()
        reported = self._reported.keys() & touched.keys()
        foreign, restored = await self._auditor.offload(self._sorted, touched, reported)
        for path in restored:
            self._is_right(path)
        for name, deep in outermost(foreign).items():
            await self._inspect(name, foreign, deep=deep)
        end = asyncio.get_running_loop().time() + _HASHING
        while self._unhashed and not self._touched:
            await self._hash(next(iter(self._unhashed)))
            if asyncio.get_running_loop().time() >= end:
                break
        await self._report_suspected()
        self._flush()

    def _sorted(
        self, touched: Mapping[str, bool], reported: Iterable[MirrorPath]
    ) -> tuple[dict[str, bool], list[MirrorPath]]:
        """What others have changed, under every name; and reported files that we have restored."""
        wrote = self._auditor.mirror.wrote
        foreign: dict[str, bool] = {}
        folders: dict[str, str] = {}
        for path, deep in touched.items():
            for name in {*resolved_names(path, self._links), self._real(path, folders)}:
                if not wrote(name):
                    foreign[name] = deep or foreign.get(name, False)
        find = self._auditor.mirror.find
        return foreign, [path for path in reported if wrote(path) and find(path) is not None]

    def _real(self, path: str, folders: dict[str, str]) -> str:
        """The path with symbolic links on its way resolved."""
        folder, slash, name = path.rpartition("/")
        if slash and folder not in folders:
            folders[folder] = real(self._root, folder)
        return f"{folders[folder]}/{name}" if slash else path

    async def _inspect(self, path: str, touched: Collection[str], *, deep: bool) -> None:
        """Inspect the mirrored files at or below a path, and the manifests of their runs.

        ``touched``: what was changed itself, and not only a folder above it.
        """
        last: RunKey | None = None
        folder_of = self._auditor.layout.run_folder
        async with aclosing(self._rows(path, deep=deep)) as batches:
            async for rows in batches:
                await self._compare(rows, touched)
                for run in dict.fromkeys(row.key.run_key for row in rows):
                    if run != last and f"{folder_of(run)}/".startswith(f"{path}/"):
                        await self._find_manifests(run)
                    last = run
        await self._take_back(path)
        folder, _, name = path.rpartition("/")
        if name in {SUMS, RUN} and (row := await self._first(folder)) is not None:
            await self._read_manifests(row.key.run_key, path)

    async def _take_back(self, path: str) -> None:
        """Adopt lost files that were put back at or below a path."""
        auditor = self._auditor
        async with aclosing(auditor.ledger.missing_at(path)) as rows:
            async for row in rows:
                if row.path is None or self._listener.is_busy(row.key.run_key.repo):
                    continue  # the pass adopts it
                found = await auditor.offload(auditor.mirror.find, row.path)
                if found is None or found.size != row.size:
                    continue
                finding = compared(row, row.path, await self._digest(row.path))
                if finding.condition is Condition.OK:
                    await self._listener.put_back(finding)
                    self._is_right(row.path)

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

    async def _compare(self, rows: Sequence[ArtifactRow], touched: Collection[str]) -> None:
        """Sort files into those that are right, those to be hashed, and damaged ones."""
        bad = []
        seen = await self._auditor.offload(self._seen, rows)
        for row, (ours, found) in zip(rows, seen, strict=True):
            if row.path is None:
                continue
            condition = (
                Condition.OK if ours else compare_metadata(row, found, touched=row.path in touched)
            )
            if condition is None:
                await self._hash_later(row.path)
            elif condition is not Condition.OK:
                size = found.size if found is not None else 0
                detail = f"{size:,} bytes; recorded {row.size:,}" if size else ""
                bad.append(Finding(condition, row.path, size, row, row.key.run_key, detail))
            elif found is not None:
                self._is_right(row.path)
        await self._suspect(bad)

    def _seen(self, rows: Sequence[ArtifactRow]) -> list[tuple[bool, Found | None]]:
        mirror = self._auditor.mirror
        return [(mirror.wrote(it.path), mirror.find(it.path)) for it in rows if it.path is not None]

    async def _hash_later(self, path: MirrorPath) -> None:
        if len(self._unhashed) >= _MOST_UNHASHED:
            await self._hash(next(iter(self._unhashed)))
        self._unhashed[path] = None

    async def _hash(self, path: MirrorPath) -> None:
        self._unhashed.pop(path, None)
        row = await self._first(path)
        if row is None or row.path != path:
            return
        await self._conclude(compared(row, path, await self._digest(path)))

    async def _conclude(self, finding: Finding) -> None:
        if finding.condition is Condition.OK:
            self._is_right(finding.path)
        else:
            await self._suspect([finding])

    async def _digest(self, path: MirrorPath) -> tuple[int, str] | None:
        """Size and SHA-256 of a file; stops reading when cancelled."""
        offload, stop = self._auditor.offload, threading.Event()
        work = offload.start(self._auditor.mirror.digest, path, stop.is_set)
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            stop.set()
            await work
            raise
        return work.result()

    async def _find_manifests(self, run: RunKey) -> None:
        """Report missing manifests of a complete run."""
        mirror, layout = self._auditor.mirror, self._auditor.layout
        signs = mirror.signer is not None and mirror.signer.signs
        paths: tuple[MirrorPath, ...] = (layout.beside if signs else layout.manifests)(run)
        found = await self._auditor.offload(lambda: [mirror.find(path) for path in paths])
        gone = [it is None or it.kind != "file" for it in found]
        bad = [Finding(Condition.MISSING, path, run=run) for path in compress(paths, gone)]
        await self._suspect(bad)

    async def _read_manifests(self, run: RunKey, path: str) -> None:
        """Compare a complete run's manifest at this path with the ledger."""
        if path not in self._auditor.layout.beside(run):
            return
        rows = await self._auditor.ledger.artifacts(run)
        for finding in await self._auditor.manifests(run, rows.values()):
            if finding.path == path:
                await self._conclude(finding)

    async def _suspect(self, bad: Iterable[Finding]) -> None:
        """Have what looks damaged reported soon, if it is."""
        self._suspected.update((finding.path, finding) for finding in bad)
        if len(self._suspected) >= _BATCH:
            await self._report_suspected()

    async def _report_suspected(self) -> None:
        """Report damage that no pass has caused, of this process or of another."""
        suspected, self._suspected = self._suspected, {}
        for run, some in by_their_run(suspected.values()).items():
            try:
                async with leased(self._auditor.lock, run.repo, wait=False):
                    await self._report_still(run, some)
            except RepositoryBusy:
                deferred = self._deferred.setdefault(run.repo, Touched(self._depth))
                for finding in some:
                    deferred.add(finding.path, deep=False)

    async def _report_still(self, run: RunKey, bad: Sequence[Finding]) -> None:
        """Report what of a run is damaged still, while nobody works on its repository."""
        known = await self._auditor.ledger.run(run)
        rows = await self._auditor.ledger.artifacts(run)
        for finding in bad:
            row = finding.row
            if row is not None and rows.get(row.key) != row:
                self.touch(finding.path, deep=False)  # a pass has run in the meantime
            elif await self._auditor.stands(finding, rows):
                self._is_right(finding.path)
            elif row is not None or (known is not None and known.complete):
                await self._touch_others(finding)
                self._report(finding)

    async def _touch_others(self, finding: Finding) -> None:
        """Have the other names of a damaged file inspected, which the system tells nothing of."""
        if self._reported.get(finding.path) is not finding.condition:
            for row in await self._auditor.sharing(finding):
                if row.path is not None:
                    self.touch(row.path, deep=False)

    def _report(self, finding: Finding) -> None:
        known = self._reported.pop(finding.path, None)
        if known is not finding.condition:
            self._outbox.append(finding)
            self.damaged += known is None
        self._reported[finding.path] = finding.condition
        if len(self._reported) > _MOST_REPORTED:
            del self._reported[next(iter(self._reported))]
        if len(self._outbox) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        findings, self._outbox = self._outbox, []
        if findings:
            self._listener.damaged(findings)

    def _is_right(self, path: MirrorPath) -> None:
        if self._reported.pop(path, None) is not None:
            self.restored += 1
