"""States of runs, made from a scenario."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from artifact_sync.domain.model import FINISHED, ArtifactKey, CubeKey, RepoName, RunKey
from artifact_sync.simulator.content import Content, DigestLine, Generated, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from artifact_sync.simulator import scenario

_HOUR = 3600.0
_DEFAULT_SIZE = 1024


@dataclass(slots=True, eq=False)
class ArtifactState:
    """An artifact and the content of its file."""

    key: ArtifactKey
    status: str
    content: Content
    registered_at: datetime
    obtained_at: datetime | None
    updated_at: datetime
    content_type: str = ""


@dataclass(slots=True, eq=False)
class CubeState:
    """A cube."""

    key: CubeKey
    spec: scenario.Cube
    status: str
    artifacts: Sequence[ArtifactState]


@dataclass(slots=True, eq=False)
class RunState:
    """A run. ``ordinal`` grows in the order in which runs were made."""

    key: RunKey
    spec: scenario.ScenarioRun
    ordinal: int
    status: str
    created_at: datetime
    finished_at: datetime | None
    updated_at: datetime
    cubes: Sequence[CubeState] = ()

    @property
    def artifacts(self) -> Iterator[ArtifactState]:
        """All artifacts, in the order of the tree."""
        return (artifact for cube in self.cubes for artifact in cube.artifacts)


class Copy(NamedTuple):
    """One of the runs that a scenario's ``Run`` stands for."""

    spec: scenario.ScenarioRun
    n: int
    slug: str
    age: float


def run_copies(runs: Iterable[scenario.ScenarioRun], last_slug: int = 0) -> list[Copy]:
    """Every run of a scenario, oldest first, with slugs and ages."""
    made: list[Copy] = []
    for spec in runs:
        for n in range(1, spec.count + 1):
            slug = numbered(spec.slug, n) if spec.slug is not None else str(last_slug + 1)
            last_slug = int(slug) if slug.isascii() and slug.isdigit() else last_slug
            made.append(Copy(spec, n, slug, (spec.age or 0.0) + (spec.count - n) * spec.every))
    hours = range(len(made), 0, -1)
    return [
        copy if copy.spec.age is not None else copy._replace(age=hour * _HOUR)
        for copy, hour in zip(made, hours, strict=True)
    ]


def numbered(text: str, n: int) -> str:
    """Fill in ``{n}``. Other braces stay: remote names may hold them."""
    return text.replace("{n}", str(n))


@dataclass(frozen=True)
class Grower:
    """Makes the states of one repository's runs."""

    repo: RepoName
    seed: str
    start: datetime

    def run(self, copy: Copy, ordinal: int) -> RunState:
        """Make a run with everything below it."""
        spec = copy.spec
        status = spec.statuses[(copy.n - 1) % len(spec.statuses)] if spec.statuses else spec.status
        created = self.start - timedelta(seconds=copy.age)
        ended = created + timedelta(seconds=spec.duration)
        run = RunState(RunKey(self.repo, copy.slug), spec, ordinal, status, created, ended, ended)
        run.cubes = list(self._cubes(run))
        if status not in FINISHED:
            run.finished_at, run.updated_at = None, created
        return run

    def _cubes(self, run: RunState) -> Iterator[CubeState]:
        for spec in run.spec.cubes:
            for n in range(1, spec.count + 1):
                workflow, task = numbered(spec.workflow, n), numbered(spec.task, n)
                key = CubeKey(run.key, workflow, task, numbered(spec.slug, n))
                artifacts = list(self._artifacts(run, key, spec.artifacts))
                yield CubeState(key, spec, spec.status or run.status, artifacts)

    def _artifacts(
        self, run: RunState, cube: CubeKey, specs: tuple[scenario.ScenarioArtifact, ...]
    ) -> Iterator[ArtifactState]:
        by_path = {spec.path: spec for spec in specs}
        begun, ended = run.created_at, run.updated_at
        for spec in specs:
            left = ended if spec.status == "success" else None
            for n in range(1, spec.count + 1):
                key = cube.artifact(numbered(spec.path, n))
                content = self._content(spec, n, cube, by_path)
                dates = begun, left, left or begun
                yield ArtifactState(key, spec.status, content, *dates, spec.content_type)

    def _content(
        self,
        spec: scenario.ScenarioArtifact,
        n: int,
        cube: CubeKey,
        by_path: Mapping[str, scenario.ScenarioArtifact],
    ) -> Content:
        if spec.sha256_of is not None:
            name = numbered(spec.sha256_of, n).rstrip("/").rpartition("/")[2]
            return DigestLine(self._content(by_path[spec.sha256_of], n, cube, by_path), name)
        if spec.text is not None:
            return Literal(spec.text.encode("utf-8", "surrogatepass"))
        if spec.data is not None:
            return Literal(spec.data)
        return self.generated(cube.artifact(numbered(spec.path, n)), _size(spec, n))

    def generated(self, key: ArtifactKey, size: int) -> Generated:
        """Generate content; the same for the same key and size."""
        return Generated(self.seed, str(key), size)


def _size(spec: scenario.ScenarioArtifact, n: int) -> int:
    low = _DEFAULT_SIZE if spec.size is None else spec.size
    if spec.max_size is None:
        return low
    chance = hashlib.sha256(f"{spec.path}\0{n}".encode("utf-8", "surrogatepass")).digest()
    return low + int.from_bytes(chance[:8]) % max(1, spec.max_size - low + 1)
