"""The simulated service's state and the verbs that change it.

A lock lets a request see one consistent state, from whatever thread the verbs are called.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Lock
from time import time
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

from artifact_sync.domain.errors import ConfigError, UsageError
from artifact_sync.domain.model import FINISHED, RepoName
from artifact_sync.simulator.content import Content, DigestLine, Literal, StoredObject, object_key
from artifact_sync.simulator.faults import AnyFault, FaultBox
from artifact_sync.simulator.links import signer
from artifact_sync.simulator.scenario import problems_of, run_problems
from artifact_sync.simulator.tree import ArtifactState, Copy, Grower, RunState, run_copies

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from artifact_sync.simulator.scenario import Repo, Scenario, ScenarioRun

BUCKET = "/artifacts"
"""The path below which the files' own origin has the objects."""

_KEPT = 20_000


@dataclass(frozen=True, slots=True)
class Seen:
    """A request, as it was when its answer began."""

    kind: str
    """``runs run workflow artifacts logs repos repo releases``, ``file``, or ``unknown``."""
    method: str
    path: str
    """Percent-encoded, as it came, with no query."""
    status: int
    range: str = ""
    local_path: str = ""
    """Of a file, where it exists."""
    caller: int | None = None
    """Which of the scenario's tokens came with it; None: none of them."""


class Traffic:
    """Counts every request and keeps the latest 20,000."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._latest: deque[Seen] = deque(maxlen=_KEPT)

    def note(self, seen: Seen) -> None:
        """Count a request."""
        self._counts[seen.kind] += 1
        self._latest.append(seen)

    def __getitem__(self, kind: str) -> int:
        """Number of requests of a kind."""
        return self._counts[kind]

    def __iter__(self) -> Iterator[Seen]:
        return iter(tuple(self._latest))

    @property
    def api(self) -> int:
        """Number of requests to the API."""
        return self._counts.total() - self._counts["file"]

    def clear(self) -> None:
        """Reset the counts."""
        self._counts.clear()
        self._latest.clear()


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
    """A simulated service, to be changed from any thread while it answers.

    Repositories are ``org/repo``, runs their slugs, artifacts their ``local_path`` (the first of a
    run with this path). ``UsageError`` for what is not there, ``ConfigError`` for a scenario that
    makes no sense.
    """

    def __init__(self, scenario: Scenario) -> None:
        if problems := problems_of(scenario):
            raise ConfigError(problems)
        self.scenario = scenario
        self.requests = Traffic()
        """Requests so far: ``requests["run"]`` counts; iteration yields each one."""
        self.faults = FaultBox(scenario.faults)
        self.signer = signer(scenario.files)
        self.base_url = self.files_url = ""
        """The origins of API and files, once they are served."""
        self.objects: dict[str, StoredObject] = {}
        self.lock = Lock()
        """Held while the state changes or is read."""
        self._ahead = 0.0
        start = scenario.start or self.now().replace(hour=0, minute=0, second=0, microsecond=0)
        self.repos = {repo.name: repo for repo in self._grown(scenario.repos, start)}

    def time(self) -> float:
        """The service's clock, UNIX time."""
        return time() + self._ahead

    def now(self) -> datetime:
        """The service's clock."""
        return datetime.fromtimestamp(self.time(), UTC)

    def advance(self, seconds: float) -> None:
        """Advance the service's clock, so that existing links age."""
        self._ahead += seconds

    def lapse_links(self) -> None:
        """Expire every existing link by advancing the clock."""
        self.advance(self.scenario.files.lifetime + 1)

    def add_fault(self, fault: AnyFault) -> None:
        """Add a fault, counted from now."""
        self.faults.add(fault)

    def clear_faults(self) -> None:
        """Remove all faults."""
        self.faults.clear()

    def repo(self, name: str) -> RepoWorld:
        """Find a repository."""
        return self.repos.get(RepoName.parse(name)) or _no(f"repository {name}")

    def run(self, repo: str, run: str) -> RunState:
        """Find a run."""
        return self.repo(repo).runs.get(run) or _no(f"run {run} in {repo}")

    def artifact(self, repo: str, run: str, local_path: str) -> ArtifactState:
        """Find an artifact."""
        found = (a for a in self.run(repo, run).artifacts if a.key.local_path == local_path)
        return next(found, None) or _no(f"artifact {local_path!r} in run {run} of {repo}")

    def file(self, repo: str, run: str, local_path: str) -> StoredObject:
        """An artifact's stored file: what a mirror must hold."""
        return self.objects[object_key(self.artifact(repo, run, local_path).key)]

    def link(self, repo: str, run: str, local_path: str) -> str:
        """Make a fresh link; empty for an artifact that is not ``success``."""
        return self.link_to(self.artifact(repo, run, local_path))

    def link_to(self, artifact: ArtifactState) -> str:
        """Make a fresh link; empty for an artifact that is not ``success``."""
        if artifact.status != "success":
            return ""
        base = self.scenario.files.base_url.rstrip("/") or self.files_url + BUCKET
        key = object_key(artifact.key)
        query = self.signer.query(f"{urlsplit(base).path}/{key}", self.time())
        return f"{base}/{key}?{query}" if query else f"{base}/{key}"

    def add_run(self, repo: str, run: ScenarioRun) -> str:
        """Add a run, created now unless it has an age; return the newest slug."""
        if problems := [*run_problems(run)]:
            raise ConfigError(problems)
        home = self.repo(repo)
        numbers = [int(slug) for slug in home.runs if slug.isascii() and slug.isdigit()]
        with self.lock:
            home.grower = replace(home.grower, start=self.now().replace(microsecond=0))
            for copy in run_copies([run], max(numbers, default=0)):
                fresh = copy if run.age is not None else copy._replace(age=run.duration)
                made = home.append(fresh)
                self._store(made.artifacts)
        return made.key.run

    def remove_run(self, repo: str, run: str) -> None:
        """Remove a run; its files stay in the store."""
        self.run(repo, run)
        home = self.repo(repo)
        home.runs = {slug: kept for slug, kept in home.runs.items() if slug != run}

    def set_status(self, repo: str, run: str, status: str) -> None:
        """Change the status of a run and of its cubes with the same one."""
        state, now = self.run(repo, run), self.now()
        with self.lock:
            for cube in state.cubes:
                cube.status = status if cube.status == state.status else cube.status
            state.status, state.updated_at = status, now
            state.finished_at = now if status in FINISHED else None

    def set_artifact_status(self, repo: str, run: str, local_path: str, status: str) -> None:
        """Change the status of an artifact."""
        artifact, now = self.artifact(repo, run, local_path), self.now()
        with self.lock:
            is_new = artifact.obtained_at is None
            artifact.status = status
            artifact.obtained_at = now if status == "success" else None
            artifact.updated_at = self.run(repo, run).updated_at = now
            self._store([artifact] if is_new else [])

    def set_content(self, repo: str, run: str, local_path: str, data: bytes) -> None:
        """Replace an artifact by these bytes; its ``sha256_of`` follows."""
        self._set_content(self.artifact(repo, run, local_path), Literal(data))

    def change_content(
        self, repo: str, run: str, local_path: str, variant: str = "changed"
    ) -> None:
        """Replace an artifact by other generated bytes of the same size."""
        old = self.artifact(repo, run, local_path)
        grower = replace(self.repo(repo).grower, seed=self.scenario.seed + variant)
        self._set_content(old, grower.generated(old.key, old.content.size))

    def remove_file(self, repo: str, run: str, local_path: str) -> None:
        """Remove an artifact's file: the run still lists it, its link answers 404."""
        self.objects.pop(object_key(self.artifact(repo, run, local_path).key), None)

    def corrupt_file(self, repo: str, run: str, local_path: str, data: bytes) -> None:
        """Replace the stored bytes of an artifact that is listed as before."""
        name = object_key(self.artifact(repo, run, local_path).key)
        self.objects[name] = replace(self.objects[name], content=Literal(data))

    def _grown(self, specs: tuple[Repo, ...], start: datetime) -> Iterator[RepoWorld]:
        for spec in specs:
            name = RepoName.parse(spec.name)
            grower = Grower(name, self.scenario.seed, start)
            repo = RepoWorld(name, spec.description, spec.forbidden, grower)
            made = run_copies(spec.runs)
            runs = [grower.run(copy, ordinal) for ordinal, copy in enumerate(made, 1)]
            repo.runs, repo.made = {run.key.run: run for run in runs}, len(runs)
            for run in runs:
                self._store(run.artifacts)
            yield repo

    def _set_content(self, target: ArtifactState, content: Content) -> None:
        run = self.run(str(target.key.run_key.repo), target.key.run)
        old, now = target.content, self.now()
        beside = [it for it in run.artifacts if it.key.cube_key == target.key.cube_key]
        with self.lock:
            target.content = content
            changed = [target]
            for it in beside:
                if isinstance(it.content, DigestLine) and it.content.of == old:
                    it.content = DigestLine(content, it.content.name)
                    changed.append(it)
            for it in changed:
                it.obtained_at = now if it.obtained_at else None
                it.updated_at = now
            run.updated_at = now
            self._store(changed)

    def _store(self, artifacts: Iterable[ArtifactState]) -> None:
        """Store the files of artifacts that were left."""
        for it in artifacts:
            if it.obtained_at:
                stored = StoredObject(it.key, it.content, it.obtained_at, it.content_type)
                self.objects[object_key(it.key)] = stored


def _no(what: str) -> NoReturn:
    raise UsageError(f"the simulated service has no {what}")
