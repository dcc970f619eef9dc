"""The service's side of the soak: an organisation that changes, and all that it ever held."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from artifact_sync.domain.model import FINISHED, RepoName
from artifact_sync.simulator import (
    Cube,
    Files,
    Repo,
    Scenario,
    ScenarioApi,
    ScenarioArtifact,
    ScenarioRun,
)
from artifact_sync.simulator.content import Content, content_chunks
from artifact_sync.transfer.staging import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from artifact_sync.simulator import Simulator
    from artifact_sync.simulator.faults import AnyFault
    from artifact_sync.simulator.tree import ArtifactState, RunState
    from artifact_sync.simulator.world import RepoWorld

NAMED = "acme/rocket", "acme/website"
ORGANISATION = "forge"
FORGE = tuple(f"{ORGANISATION}/{name}" for name in ("anvil", "bellows", "clamp"))
PAGES_WANT = frozenset({"success", "failed"})
"""``run_statuses`` of acme/website."""
ENDS = ("success", "success", "success", "failed", "canceled", "timeout", "skipped", "rejected")
SIZES = (0, 1, 700, 5_000, 90_000, 400_000, 1_048_576, 1_500_001, 3_200_000)
NAMES = ("dist/app", "report/junit.xml", "sité/ünï", "logs/a b", "deep/er/and/deeper/x.bin")


def scenario(token: str) -> Scenario:
    """Where the story begins."""
    return Scenario(
        api=ScenarioApi(tokens=(token,), page_size=7),
        files=Files(lifetime=8, digests=("repr-digest",)),
        repos=tuple(Repo(name) for name in (*NAMED, *FORGE)),
    )


@dataclass
class World:
    """A simulator whose repositories come and go. Paths are those of the mirror."""

    simulator: Simulator
    rng: Random
    versions: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """SHA-256 of everything that a path's artifact ever held."""
    unfinished: list[tuple[str, str]] = field(default_factory=list)
    late: list[tuple[str, str, str]] = field(default_factory=list)
    """Registered artifacts that will be there one day."""
    anew: set[tuple[str, str]] = field(default_factory=set)
    """Finished runs of which something was replaced: what was settled is not looked at again."""
    away: list[RepoWorld] = field(default_factory=list)
    """Repositories that are not listed now."""
    faults: dict[int, AnyFault] = field(default_factory=dict)
    made: int = 0
    _digests: dict[str, str] = field(default_factory=dict)

    @property
    def repos(self) -> list[str]:
        return [str(name) for name in self.simulator.repos]

    # runs

    def new_run(self) -> tuple[str, str]:
        repo = self.rng.choice(self.repos)
        cubes = tuple(self._cube(n) for n in range(self.rng.choice((1, 1, 2))))
        slug = self.simulator.add_run(repo, ScenarioRun(status="processing", cubes=cubes))
        self.made += 1
        self.unfinished.append((repo, slug))
        for artifact in self._run(repo, slug).artifacts:
            if artifact.status == "registered":
                self.late.append((repo, slug, artifact.key.local_path))
        self.note(repo, slug)
        return repo, slug

    def _cube(self, n: int) -> Cube:
        artifacts = [self._artifact(at) for at in range(self.rng.randint(1, 5))]
        if artifacts[0].status == "success" and self.rng.random() < 0.5:
            of = artifacts[0].path
            artifacts.append(ScenarioArtifact(f"{of}.sha256", sha256_of=of))
        if self.rng.random() < 0.2:
            artifacts.append(ScenarioArtifact("./scratch.tmp", size=300))
        return Cube(f"cube{n}", ("ci", "docs")[n], "build", artifacts=tuple(artifacts))

    def _artifact(self, at: int) -> ScenarioArtifact:
        status = "registered" if self.rng.random() < 0.1 else "success"
        name = f"./{self.rng.choice(NAMES)}-{at}"
        return ScenarioArtifact(name, size=self.rng.choice(SIZES), status=status)

    def finish(self, at: int) -> tuple[str, str]:
        repo, slug = self.unfinished.pop(at)
        if repo in self.repos:
            self.simulator.set_status(repo, slug, self.rng.choice(ENDS))
        else:
            self.unfinished.append((repo, slug))
        return repo, slug

    def arrive(self, at: int) -> tuple[str, str, str]:
        """A registered artifact is there."""
        repo, slug, path = self.late.pop(at)
        if repo in self.repos:
            self.simulator.set_artifact_status(repo, slug, path, "success")
            self.note(repo, slug)
        else:
            self.late.append((repo, slug, path))
        return repo, slug, path

    def replace(self) -> str | None:
        """Something is left anew, with other bytes."""
        there = [it for it in self._artifacts() if it.status == "success" and it.content.size]
        there = [it for it in there if not it.key.local_path.endswith(".sha256")]
        if not there:
            return None
        key = self.rng.choice(there).key
        repo = str(key.run_key.repo)
        variant = f"v{self.rng.random()}"
        self.simulator.change_content(repo, key.run, key.local_path, variant)
        self.note(repo, key.run)
        if self._run(repo, key.run).status in FINISHED:
            self.anew.add((repo, key.run))
        return str(key)

    def vanish(self) -> str:
        """A repository of the organisation is not listed any more."""
        world = self.simulator
        name = self.rng.choice([it for it in world.repos if it.org == ORGANISATION])
        self.away.append(world.repos[name])
        world.repos = {it: state for it, state in world.repos.items() if it != name}
        return str(name)

    def come_back(self) -> str:
        world, state = self.simulator, self.away.pop()
        world.repos = {**world.repos, state.name: state}
        return str(state.name)

    def appear(self) -> str:
        """A repository is new."""
        world = self.simulator
        name = f"{ORGANISATION}/new{self.made}"
        (state,) = world._grown((Repo(name),), world.now())
        world.repos = {**world.repos, RepoName.parse(name): state}
        return name

    # tokens and faults

    def let_in(self, *tokens: str) -> None:
        """These tokens count from now on, and no other."""
        service = self.simulator
        api = msgspec.structs.replace(service.scenario.api, tokens=tokens)
        service.scenario = msgspec.structs.replace(service.scenario, api=api)

    def break_(self, number: int, fault: AnyFault) -> None:
        self.faults[number] = fault
        self.simulator.add_fault(fault)

    def mend(self, number: int) -> None:
        self.faults.pop(number, None)
        self.simulator.clear_faults()
        for fault in self.faults.values():
            self.simulator.add_fault(fault)

    def mend_all(self) -> None:
        self.faults.clear()
        self.simulator.clear_faults()

    # what must be in the mirror

    def note(self, repo: str, slug: str) -> None:
        for artifact in self._run(repo, slug).artifacts:
            self.versions[path_of(artifact)].add(self._digest(artifact.content))

    def expected(self) -> dict[str, str]:
        """SHA-256 by path of all that a complete mirror of what is there holds."""
        return {
            path_of(it): self._digest(it.content)
            for it in self._artifacts()
            if it.status == "success" and _is_wanted(self._run_of(it), it)
        }

    def left_behind(self) -> set[str]:
        """Names in staging of beginnings of what cannot be had any more."""
        runs = [run for repo in self.away for run in repo.runs.values()]
        return {name_of(artifact.key) for run in runs for artifact in run.artifacts}

    def runs_anew(self) -> set[tuple[str, str]]:
        """Of those that are wanted."""
        there = {(repo, slug) for repo, slug in self.anew if repo in self.repos}
        return {(repo, slug) for repo, slug in there if _is_wanted_run(self._run(repo, slug))}

    def _run(self, repo: str, slug: str) -> RunState:
        return self.simulator.run(repo, slug)

    def _run_of(self, artifact: ArtifactState) -> RunState:
        return self._run(str(artifact.key.run_key.repo), artifact.key.run)

    def _artifacts(self) -> Iterator[ArtifactState]:
        for repo in self.simulator.repos.values():
            for run in repo.runs.values():
                yield from run.artifacts

    def _digest(self, content: Content) -> str:
        if content.identity not in self._digests:
            sha256 = hashlib.sha256()
            for piece in content_chunks(content):
                sha256.update(piece)
            self._digests[content.identity] = sha256.hexdigest()
        return self._digests[content.identity]


def path_of(artifact: ArtifactState) -> str:
    """Where it goes by the default layout."""
    return "/".join([*artifact.key[:6], artifact.key.local_path.removeprefix("./")])


def _is_wanted_run(run: RunState) -> bool:
    return run.status in (PAGES_WANT if str(run.key.repo) == NAMED[1] else FINISHED)


def _is_wanted(run: RunState, artifact: ArtifactState) -> bool:
    excluded = str(run.key.repo) == NAMED[0] and artifact.key.local_path.endswith(".tmp")
    return _is_wanted_run(run) and not excluded
