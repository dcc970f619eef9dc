"""Mirrors that know many artifacts already, written by artifact-sync's own ledger. Not timed.

What a pass will look at is really there: the files of the newest runs and their manifests (decision
0007). The first pass over such a mirror has to find nothing new; ``passes`` makes sure of that.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from artifact_sync.domain.model import Horizon, Mirrored, RepoName, RunKey, Strength
from artifact_sync.domain.settings import DEFAULT_LAYOUT, RepoSettings
from artifact_sync.ledger import open_ledger
from artifact_sync.mirror.layout import Layout
from artifact_sync.mirror.local.own_folder import prepare
from artifact_sync.mirror.manifest import Manifest
from artifact_sync.source.api.decode import run_of
from artifact_sync.source.api.response_body import Payload
from artifact_sync.sync.rules import Rules
from benchmarks.catalog import ORG, PAGE, publish, run_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from artifact_sync.domain.model import Artifact, Run
    from artifact_sync.domain.ports import Ledger

    Writer = Callable[[Path], tuple[int, str]]
    """Makes a file; its size and SHA-256."""

RUN_FILES = 20
"""Artifacts of a run."""
_LOOKED_AT = 2_200
"""Newest files that are really there; a pass looks at 2,000."""
_AT_ONCE = 200
"""Runs that are written together."""
_NOW = datetime.now(UTC) - timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Known:
    """What a mirror is to know: so many runs of so many artifacts."""

    root: Path
    repo: str
    runs: int
    per_run: int = RUN_FILES
    ledger: str = ""
    """The URL of a ledger on a server; empty: in the mirror."""

    @property
    def artifacts(self) -> int:
        """All of them."""
        return self.runs * self.per_run

    def answer(self, number: int) -> dict[str, object]:
        """A run as the service shows it; none of its links leads anywhere."""
        first = (number - 1) * self.per_run
        names = [f"{first + each:07}.bin" for each in range(self.per_run)]
        return run_answer(number, {name: f"http://127.0.0.1:9/{name}" for name in names})


def build(known: Known, served: Path, writer: Writer) -> None:
    """Make the mirror, and the service's answers for its newest runs."""
    newest = range(known.runs, max(0, known.runs - PAGE), -1)
    answers = [known.answer(number) for number in newest]
    publish(served, known.repo, answers, more=known.runs > PAGE)
    asyncio.run(_Builder(known, writer).build())


def claim(root: Path) -> Path:
    """Say that this folder is the mirror of a ledger on a server; where its own files go."""
    own = prepare(root)
    (own / "id").touch()
    return own


class _Builder:
    def __init__(self, known: Known, writer: Writer) -> None:
        self._known = known
        self._writer = writer
        self._repo = RepoName(ORG, known.repo)
        self._layout = Layout(DEFAULT_LAYOUT)
        self._selection = Rules.of(RepoSettings(name=str(self._repo)), DEFAULT_LAYOUT).fingerprint

    async def build(self) -> None:
        own = claim(self._known.root) if self._known.ledger else prepare(self._known.root)
        place = self._known.ledger or own / "ledger.sqlite"
        ledger = await open_ledger(place, durability="fast")
        try:
            await ledger.claim_layout(DEFAULT_LAYOUT)
            for numbers in self._portions():
                await self._write(ledger, [self._run(number) for number in numbers])
            await ledger.raise_horizon(self._repo, Horizon(self._known.runs, falling=True))
        finally:
            await ledger.aclose()

    def _portions(self) -> Iterator[range]:
        for first in range(1, self._known.runs + 1, _AT_ONCE):
            yield range(first, min(first + _AT_ONCE, self._known.runs + 1))

    def _run(self, number: int) -> Run:
        body = json.dumps(self._known.answer(number)).encode()
        return run_of(RunKey(self._repo, str(number)), Payload.parse(body))

    async def _write(self, ledger: Ledger, runs: Sequence[Run]) -> None:
        await ledger.note_runs([replace(run, artifacts=()) for run in runs], _NOW)
        files = {run.key: [self._mirrored(run, it) for it in run.artifacts] for run in runs}
        everything = [mirrored for some in files.values() for mirrored in some]
        await asyncio.gather(*map(ledger.record_mirrored, everything))
        for run in runs:
            if self._is_there(run):
                await self._manifests(ledger, run)
        await asyncio.gather(*(self._settle(ledger, run) for run in runs))

    async def _settle(self, ledger: Ledger, run: Run) -> None:
        await ledger.mark_complete(run.key, complete=True)
        await ledger.settle(run.key, self._selection, len(run.artifacts))

    def _is_there(self, run: Run) -> bool:
        return (run.key.number or 0) > self._known.runs - _LOOKED_AT / self._known.per_run

    def _mirrored(self, run: Run, artifact: Artifact) -> Mirrored:
        place = self._layout.place(artifact.key)
        if self._is_there(run):
            path = self._known.root / place
            path.parent.mkdir(parents=True, exist_ok=True)
            size, sha256 = self._writer(path)
        else:
            size, sha256 = 1000, hashlib.sha256(place.encode()).hexdigest()
        return Mirrored(
            key=artifact.key,
            path=place,
            size=size,
            sha256=sha256,
            strength=Strength.LENGTH,
            evidence=("content-length",),
            version=artifact.version,
            etag='"6925b0d1-3e8"',
            fetched_at=_NOW,
        )

    async def _manifests(self, ledger: Ledger, run: Run) -> None:
        manifest = Manifest(run, self._layout.run_folder(run.key), "127.0.0.1")
        rows = (await ledger.artifacts(run.key)).values()
        for row in sorted(rows, key=lambda row: row.path or ""):
            manifest.add(row)
        sums, about = self._layout.manifests(run.key)
        (self._known.root / sums).write_bytes(manifest.sums())
        (self._known.root / about).write_bytes(manifest.about())


def write_small(path: Path) -> tuple[int, str]:
    """A file whose content is its own name."""
    content = path.name.encode()
    path.write_bytes(content)
    return len(content), hashlib.sha256(content).hexdigest()


def publish_new(served: Path, repo: str, hashes: Mapping[str, str], folder: str) -> None:
    """The service's answers for runs of ``RUN_FILES`` served files each, all of them new."""
    names = list(hashes)
    portions = [names[first : first + RUN_FILES] for first in range(0, len(names), RUN_FILES)]
    runs = [
        run_answer(number, {name: f"{folder}/{name}" for name in some})
        for number, some in enumerate(portions, 1)
    ]
    publish(served, repo, runs[::-1])
