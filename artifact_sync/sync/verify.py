"""Is the mirror what the ledger says? Every file hashed again, and every file nobody recorded.

Finds and, for a repair, makes room; fetching damaged files again is a pass of ``sync``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from artifact_sync.domain.model import MirrorPath, State
from artifact_sync.mirror import manifest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from artifact_sync.domain.model import ArtifactRow, RepoName, RunKey
    from artifact_sync.domain.ports import Ledger, Mirror
    from artifact_sync.mirror.layout import Layout
    from artifact_sync.runtime.threads import Offload

_AHEAD = 64
"""Files that are waiting to be hashed; bounds the memory."""


class Condition(StrEnum):
    """What a file of the mirror was found to be."""

    OK = "ok"
    MISSING = "missing"
    CHANGED = "changed"
    EXTRA = "extra"
    """Nobody recorded it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One file and its condition."""

    condition: Condition
    path: MirrorPath
    size: int = 0
    row: ArtifactRow | None = None
    """The artifact; None for a manifest and for a file that nobody recorded."""
    run: RunKey | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Auditor:
    """Looks a mirror through."""

    mirror: Mirror
    ledger: Ledger
    layout: Layout
    offload: Offload

    async def look(self, repos: Sequence[RepoName]) -> AsyncGenerator[Finding]:
        """Every finding about these repositories, run by run."""
        for repo in repos:
            async with aclosing(self._repository(repo)) as findings:
                async for finding in findings:
                    yield finding

    async def outside(self, repos: Sequence[RepoName]) -> Sequence[Finding]:
        """Files that are in no repository's folder."""
        folders = frozenset(self.layout.repo_folder(repo) for repo in repos)
        return await self._strays(MirrorPath(""), folders)

    async def stands(self, finding: Finding) -> bool:
        """Whether a file that was damaged is now what the ledger says; a manifest: is there."""
        row = finding.row
        if row is None:
            return await self.offload(self.mirror.read_own, finding.path) is not None
        if row.path is None or finding.run is None:
            return False
        known = (await self.ledger.artifacts(finding.run)).get(row.key)
        found = await self.offload(self.mirror.digest, row.path)
        return known is not None and found == (known.size, known.sha256)

    async def make_room(self, damage: Sequence[Finding]) -> Mapping[MirrorPath, str]:
        """Move changed files away, and have the runs of all damaged ones looked at again.

        Where each has been moved to. What this process has put there itself meanwhile stays.
        """
        moved: dict[MirrorPath, str] = {}
        for finding in damage:
            if finding.condition is Condition.CHANGED:
                place = await self.offload(self._displace, finding.path)
                moved |= {finding.path: place} if place is not None else {}
        for run in dict.fromkeys(finding.run for finding in damage):
            if run is not None:
                await self.ledger.unsettle(run)
        return moved

    def _displace(self, path: MirrorPath) -> str | None:
        return None if self.mirror.wrote(path) else self.mirror.displace(path)

    async def _strays(self, below: MirrorPath, known: frozenset[MirrorPath]) -> Sequence[Finding]:
        found = await self.offload(lambda: list(self.mirror.files(below, skip=known)))
        return [Finding(Condition.EXTRA, path) for path in found]

    async def _repository(self, repo: RepoName) -> AsyncGenerator[Finding]:
        folders: set[MirrorPath] = set()
        async with aclosing(self._runs(repo)) as runs:
            async for run, rows in runs:
                folders.add(self.layout.run_folder(run))
                async with aclosing(self._run(run, rows)) as findings:
                    async for finding in findings:
                        yield finding
        ours = self.layout.latest(repo)
        for finding in await self._strays(self.layout.repo_folder(repo), frozenset(folders)):
            if finding.path not in ours:
                yield finding

    async def _runs(self, repo: RepoName) -> AsyncGenerator[tuple[RunKey, list[ArtifactRow]]]:
        """What was mirrored, by run: rows of one run follow each other.

        Also what could not be fetched again since: it is missed as long as the ledger knows of it.
        """
        run: RunKey | None = None
        rows: list[ArtifactRow] = []
        async for row in self.ledger.listing(repo):
            if row.path is None or not row.sha256:
                continue
            if run is not None and row.key.run_key != run:
                yield run, rows
                rows = []
            run = row.key.run_key
            rows.append(row)
        if run is not None:
            yield run, rows

    async def _run(self, run: RunKey, rows: list[ArtifactRow]) -> AsyncGenerator[Finding]:
        waiting: deque[asyncio.Task[Finding]] = deque()
        try:
            for row in rows:
                waiting.append(asyncio.create_task(self._file(row)))
                if len(waiting) >= _AHEAD:
                    yield await waiting.popleft()
            while waiting:
                yield await waiting.popleft()
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        for finding in await self._beside(run, rows):
            yield finding

    async def _file(self, row: ArtifactRow) -> Finding:
        if row.path is None:
            raise ValueError("a mirrored artifact without a path")
        return compared(row, row.path, await self.offload(self.mirror.digest, row.path))

    async def _beside(self, run: RunKey, rows: list[ArtifactRow]) -> list[Finding]:
        """The run's manifests, and files in its folder that nobody recorded."""
        folder = self.layout.run_folder(run)
        manifests = self.layout.manifests(run)
        recorded = {row.path for row in rows} | set(manifests)
        there = await self.offload(lambda: list(self.mirror.files(folder)))
        extras = [Finding(Condition.EXTRA, path, run=run) for path in there if path not in recorded]
        known = await self.ledger.run(run)
        if known is None or not known.complete:
            return extras
        mirrored = [row for row in rows if row.state is State.MIRRORED]
        return [*await self.manifests(run, mirrored), *extras]

    async def manifests(self, run: RunKey, rows: Sequence[ArtifactRow]) -> list[Finding]:
        """Whether the manifests of a complete run say what the ledger says of these artifacts."""
        folder, found = self.layout.run_folder(run), []
        checks = zip(
            self.layout.manifests(run), (manifest.sums_say, manifest.run_json_says), strict=True
        )
        for path, says in checks:
            content = await self.offload(self.mirror.read_own, path)
            if content is None:
                found.append(Finding(Condition.MISSING, path, run=run))
                continue
            right = await self.offload(says, content, rows, folder)
            condition = Condition.OK if right else Condition.CHANGED
            found.append(Finding(condition, path, len(content), run=run))
        return found


def compared(row: ArtifactRow, path: MirrorPath, found: tuple[int, str] | None) -> Finding:
    """What has become of a file that was mirrored there, by its size and SHA-256 as found now."""
    if found is None:
        return Finding(Condition.MISSING, path, 0, row, row.key.run_key)
    size, sha256 = found
    if (size, sha256) == (row.size, row.sha256):
        return Finding(Condition.OK, path, size, row, row.key.run_key)
    detail = f"{size:,} bytes, SHA-256 {sha256[:12]}…; recorded {row.size:,}, {row.sha256[:12]}…"
    return Finding(Condition.CHANGED, path, size, row, row.key.run_key, detail)
