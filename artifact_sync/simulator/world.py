"""Mutable state of the simulated service: repositories, runs, store.

Values are frozen and replaced as a whole, so that a request always sees one consistent state, from
whatever thread the verbs are called.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

from artifact_sync.domain.errors import ConfigError, UsageError
from artifact_sync.domain.model import FINISHED, ArtifactKey, RepoName
from artifact_sync.simulator.checks import problems_of, run_problems
from artifact_sync.simulator.content import DigestLine
from artifact_sync.simulator.storage import StoredObject, object_key
from artifact_sync.simulator.tree import ArtifactState, Copy, Grower, RunState, run_copies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from artifact_sync.simulator import scenario
    from artifact_sync.simulator.content import Content


@dataclass(slots=True)
class RepoWorld:
    """A repository with its runs by slug, oldest first."""

    name: RepoName
    description: str
    forbidden: bool
    grower: Grower
    runs: Mapping[str, RunState] = field(default_factory=dict)
    made: int = 0

    @property
    def id(self) -> str:
        """A 64-bit integer as text, made from the name."""
        return str(int.from_bytes(hashlib.sha256(str(self.name).encode()).digest()[:7]))

    def append(self, copy: Copy) -> RunState:
        """Add the newest run."""
        self.made += 1
        run = self.grower.run(copy, self.made)
        self.runs = {**self.runs, run.key.run: run}
        return run


class World:
    """State of the simulated service."""

    def __init__(self, spec: scenario.Scenario, clock: Callable[[], float]) -> None:
        if problems := problems_of(spec):
            raise ConfigError(problems)
        self._seed = spec.seed
        self._clock = clock
        self.objects: dict[str, StoredObject] = {}
        start = spec.start or self.now().replace(hour=0, minute=0, second=0, microsecond=0)
        self.repos = {repo.name: repo for repo in self._grown(spec.repos, start)}

    def now(self) -> datetime:
        """The simulated service's wall clock."""
        return datetime.fromtimestamp(self._clock(), UTC)

    def repo(self, name: str) -> RepoWorld:
        """Find a repository by ``org/repo``. ``UsageError`` when there is none."""
        found = self.repos.get(RepoName.parse(name))
        return found or _no(f"repository {name}")

    def run(self, repo: str, run: str) -> RunState:
        """Find a run by its slug."""
        return self.repo(repo).runs.get(run) or _no(f"run {run} in {repo}")

    def artifact(self, repo: str, run: str, local_path: str) -> ArtifactState:
        """Find the first artifact of a run with this path."""
        found = (a for a in self.run(repo, run).artifacts if a.key.local_path == local_path)
        return next(found, None) or _no(f"artifact {local_path!r} in run {run} of {repo}")

    def add_run(self, repo: str, spec: scenario.ScenarioRun) -> RunState:
        """Add a run (the newest of ``count``), created now unless it has an age."""
        if problems := [*run_problems(spec)]:
            raise ConfigError(problems)
        home = self.repo(repo)
        numbers = [int(slug) for slug in home.runs if slug.isascii() and slug.isdigit()]
        home.grower = replace(home.grower, start=self.now().replace(microsecond=0))
        for copy in run_copies([spec], max(numbers, default=0)):
            fresh = copy if spec.age is not None else copy._replace(age=spec.duration)
            made = home.append(fresh)
            self._store(made)
        return made

    def remove_run(self, repo: str, run: str) -> None:
        """Remove a run; its files stay in the store."""
        self.run(repo, run)
        home = self.repo(repo)
        home.runs = {slug: kept for slug, kept in home.runs.items() if slug != run}

    def set_status(self, repo: str, run: str, status: str) -> None:
        """Change a run's status; a final one is dated."""
        now = self.now()
        ended = now if status in FINISHED else None
        old = self.run(repo, run)
        cubes = tuple(
            replace(cube, status=status) if cube.status == old.status else cube
            for cube in old.cubes
        )
        new = replace(old, status=status, finished_at=ended, updated_at=now, cubes=cubes)
        self._put_run(new)

    def set_artifact_status(self, key: ArtifactKey, status: str) -> None:
        """Change an artifact's status."""
        now = self.now()
        left = now if status == "success" else None
        self._put_artifacts(
            key,
            lambda old: (
                replace(old, status=status, obtained_at=left, updated_at=now)
                if old.key == key
                else old
            ),
        )

    def set_content(self, target: ArtifactState, content: Content) -> None:
        """Replace an artifact and the digest line beside it."""
        now = self.now()

        def changed(old: ArtifactState) -> ArtifactState:
            new = _successor(old, target, content)
            left = now if old.obtained_at else None
            anew = replace(old, content=new, obtained_at=left, updated_at=now)
            return old if new is old.content else anew

        self._put_artifacts(target.key, changed)

    def remove_file(self, key: ArtifactKey) -> None:
        """Remove a file from the store; the run still lists it."""
        self.objects.pop(object_key(key), None)

    def corrupt_file(self, key: ArtifactKey, content: Content) -> None:
        """Replace a file's bytes in the store; listings stay as they are."""
        name = object_key(key)
        self.objects[name] = replace(self.objects[name], content=content)

    def generated(self, key: ArtifactKey, size: int, *, variant: str = "") -> Content:
        """Generate content of a size; another variant has other bytes."""
        grower = self.repo(str(key.run_key.repo)).grower
        return replace(grower, seed=self._seed + variant).generated(key, size)

    def _grown(self, specs: tuple[scenario.Repo, ...], start: datetime) -> Iterator[RepoWorld]:
        for spec in specs:
            name = RepoName.parse(spec.name)
            grower = Grower(name, self._seed, start)
            repo = RepoWorld(name, spec.description, spec.forbidden, grower)
            made = run_copies(spec.runs)
            runs = [grower.run(copy, ordinal) for ordinal, copy in enumerate(made, 1)]
            repo.runs, repo.made = {run.key.run: run for run in runs}, len(runs)
            for run in runs:
                self._store(run)
            yield repo

    def _put_artifacts(
        self, key: ArtifactKey, change: Callable[[ArtifactState], ArtifactState]
    ) -> None:
        run = self.run(str(key.run_key.repo), key.run)
        cubes = tuple(
            replace(cube, artifacts=tuple(map(change, cube.artifacts))) for cube in run.cubes
        )
        self._put_run(replace(run, cubes=cubes, updated_at=self.now()))

    def _put_run(self, run: RunState) -> None:
        home = self.repo(str(run.key.repo))
        before = home.runs[run.key.run]
        home.runs = {**home.runs, run.key.run: run}
        self._store(run, {a.key: a.content for a in before.artifacts if a.obtained_at})

    def _store(self, run: RunState, known: Mapping[ArtifactKey, Content] | None = None) -> None:
        """Store files of a run's artifacts that are not stored yet."""
        for artifact in run.artifacts:
            when = artifact.obtained_at
            if when and (known or {}).get(artifact.key) is not artifact.content:
                self.objects[object_key(artifact.key)] = StoredObject(
                    artifact.key, artifact.content, when, artifact.content_type
                )


def _successor(old: ArtifactState, target: ArtifactState, content: Content) -> Content:
    """The content of an artifact after ``target`` of its run has changed."""
    if old.key == target.key:
        return content
    beside = old.key.cube_key == target.key.cube_key
    if beside and isinstance(old.content, DigestLine) and old.content.of == target.content:
        return DigestLine(content, old.content.name)
    return old.content


def _no(what: str) -> NoReturn:
    msg = f"the simulated service has no {what}"
    raise UsageError(msg)
