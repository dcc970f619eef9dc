"""Anything that befalls a mirror and its origin, in any order, beside a plain model of both."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from keeping import APP, LOG, ORG, Keeping, Named, small_organisation

from artifact_sync.domain.model import RepoName
from artifact_sync.simulator import Simulator, running_in_thread
from artifact_sync.simulator.content import content_chunks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keeping import Story

    from artifact_sync.simulator.content import StoredObject
    from artifact_sync.simulator.tree import RunState
    from artifact_sync.simulator.world import RepoWorld

REPOS = (f"{ORG}/rocket", f"{ORG}/tool")
RUNS = ("1", "2")
NAMES = tuple(Named(repo, run, path) for repo in REPOS for run in RUNS for path in (APP, LOG))
names = st.sampled_from(NAMES)
runs = st.sampled_from([(repo, run) for repo in REPOS for run in RUNS])
repos = st.sampled_from(REPOS)


class Ruled(Keeping):
    """A mirror with rules of what stays."""

    rules: Mapping[str, int] = MappingProxyType({})

    @property
    def environ(self) -> dict[str, str]:
        keep = {f"ARTIFACT_SYNC_KEEP__{key}": str(value) for key, value in self.rules.items()}
        return {**super().environ, **keep}


class Origin:
    """A service of which anything can be taken away and put back."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._keys = {
            Named(str(it.key.run_key.repo), it.key.run, it.key.local_path): key
            for key, it in simulator.objects.items()
        }
        self._objects: dict[str, StoredObject] = dict(simulator.objects)
        self._repos: dict[RepoName, RepoWorld] = dict(simulator.repos)
        self._runs: dict[RepoName, dict[str, RunState]] = {
            name: dict(repo.runs) for name, repo in simulator.repos.items()
        }
        self.contents = {
            name: b"".join(content_chunks(self._objects[key].content))
            for name, key in self._keys.items()
        }

    def has(self, name: Named) -> bool:
        """Whether a file can be had."""
        repo = self._simulator.repos.get(RepoName.parse(name.repo))
        is_listed = repo is not None and name.run in repo.runs
        return bool(is_listed and self._keys[name] in self._simulator.objects)

    def take_file(self, name: Named) -> None:
        self._simulator.objects.pop(self._keys[name], None)

    def put_file(self, name: Named) -> None:
        key = self._keys[name]
        self._simulator.objects[key] = self._objects[key]

    def set_runs(self, repo: str, runs: set[str]) -> None:
        """Have these runs of a repository, in their order."""
        name = RepoName.parse(repo)
        kept = {slug: run for slug, run in self._runs[name].items() if slug in runs}
        self._repos[name].runs = kept

    def runs(self, repo: str) -> set[str]:
        return set(self._repos[RepoName.parse(repo)].runs)

    def take_repository(self, repo: str) -> None:
        self._simulator.repos.pop(RepoName.parse(repo), None)

    def put_repository(self, repo: str) -> None:
        name = RepoName.parse(repo)
        self._simulator.repos[name] = self._repos[name]


class KeepingMachine(RuleBasedStateMachine):
    """A mirror of two repositories with two runs of two files each."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        service = self._stack.enter_context(running_in_thread(small_organisation("rocket", "tool")))
        self.keeping = Ruled(folder, service, REPOS)
        self.origin = Origin(service.simulator)
        self.left_out: str | None = None
        self.forgotten: set[Named] = set()
        self.recorded: set[Named] = set()
        """What was here at the end of a pass, once."""
        self.pruned: set[tuple[str, str]] = set()
        self.pinned: set[tuple[str, str]] = set()
        self.sync()

    def teardown(self) -> None:
        with self._stack:
            self.sync()

    # -- upstream

    @rule(name=names)
    def take_file(self, name: Named) -> None:
        self.origin.take_file(name)

    @rule(name=names)
    def put_file(self, name: Named) -> None:
        self.origin.put_file(name)

    @rule(which=runs)
    def take_run(self, which: tuple[str, str]) -> None:
        self.origin.set_runs(which[0], self.origin.runs(which[0]) - {which[1]})

    @rule(which=runs)
    def put_run(self, which: tuple[str, str]) -> None:
        self.origin.set_runs(which[0], self.origin.runs(which[0]) | {which[1]})

    @rule(repo=repos)
    def take_repository(self, repo: str) -> None:
        self.origin.take_repository(repo)

    @rule(repo=repos)
    def put_repository(self, repo: str) -> None:
        self.origin.put_repository(repo)

    # -- the mirror

    @rule(name=names)
    def lose(self, name: Named) -> None:
        self.keeping.place(name).unlink(missing_ok=True)

    @rule(name=names)
    def damage(self, name: Named) -> None:
        if self.keeping.place(name).exists():
            self.keeping.place(name).write_bytes(b"damaged")

    @rule(name=names)
    def damage_within(self, name: Named) -> None:
        """Of the same size: only who reads it can tell."""
        if self.keeping.place(name).exists():
            size = self.keeping.place(name).stat().st_size
            self.keeping.place(name).write_bytes(b"?" * size)
            self.keeping.run("verify")

    @rule(name=names)
    def put_back(self, name: Named) -> None:
        if name in self.recorded:
            self.keeping.place(name).parent.mkdir(parents=True, exist_ok=True)
            self.keeping.place(name).write_bytes(self.origin.contents[name])

    # -- what is wanted

    @rule(path=st.sampled_from([None, APP, LOG]))
    def leave_out(self, path: str | None) -> None:
        self.left_out = path

    @rule(name=names)
    def forget(self, name: Named) -> None:
        if name in self.keeping.states():
            assert self.keeping.run("forget", *name)[0] == 0
            self.forgotten.add(name)

    @precondition(lambda self: self.forgotten)
    @rule(data=st.data())
    def remember(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.forgotten)))
        assert self.keeping.run("remember", *name)[0] == 0
        self.forgotten.remove(name)

    # -- what stays

    @rule(which=runs)
    def pin(self, which: tuple[str, str]) -> None:
        known = which in {(it.repo, it.run) for it in self.keeping.states()}
        if self.keeping.run("pin", *which)[0] == 0:
            self.pinned.add(which)
        else:
            assert which in self.pruned or not known
        assert self.pins() == self.pinned

    @rule(which=runs)
    def unpin(self, which: tuple[str, str]) -> None:
        assert (self.keeping.run("unpin", *which)[0] == 0) is (which in self.pinned)
        self.pinned.discard(which)

    def pins(self) -> set[tuple[str, str]]:
        return {(it["repo"], it["run"]) for it in self.keeping.run("pins")[1]["pins"]}

    @rule(rules=st.sampled_from([{"LAST": 1}, {"LAST_SUCCESS": 2}, {"MAX_SIZE": 6000}, {}]))
    def prune(self, rules: dict[str, int]) -> None:
        """What goes is what was said to go, and nothing that is held."""
        self.keeping.rules = rules
        _, planned, _ = self.keeping.run("prune", "--dry-run")
        code, done, _ = self.keeping.run("prune")
        self.keeping.rules = {}
        gone = {(it["repo"], it["run"]) for it in done["runs"] if it["action"] == "prune"}
        assert gone == {
            (it["repo"], it["run"]) for it in planned["runs"] if it["action"] == "prune"
        }
        assert not gone & (self.pinned | self.pruned)
        assert code == (1 if done["refused"] else 0)
        assert not gone & {(it.repo, it.run) for it in (self.keeping.states() if gone else ())}
        for name in [it for it in NAMES if (it.repo, it.run) in gone]:
            self.recorded.discard(name)
            self.forgotten.discard(name)
        for repo in REPOS:
            for link in (self.keeping.root / repo).glob("latest*"):
                assert (link / "SHA256SUMS").is_file()
        self.pruned |= gone

    @precondition(lambda self: self.pruned)
    @rule(data=st.data())
    def remember_pruned(self, data: st.DataObject) -> None:
        which = data.draw(st.sampled_from(sorted(self.pruned)))
        assert self.keeping.run("remember", *which)[0] == 0
        self.pruned.remove(which)

    # -- the ledger

    @rule()
    def adopt(self) -> None:
        """Lose the ledger, and make it again from the files."""
        for path in (self.keeping.root / ".artifact-sync").glob("ledger.sqlite*"):
            path.unlink()
        self.keeping.run("adopt")
        known = self.keeping.states() if self.has_ledger else {}
        self.recorded &= set(known)
        let_go = {name for name, state in known.items() if state == "forgotten"}
        assert let_go <= self.forgotten  # no more than that is in a manifest
        self.forgotten = let_go
        self.pruned.clear()  # a lost ledger has no tombstones
        pins = self.pins() if self.has_ledger else set()
        assert pins <= self.pinned  # a pin of what was not complete stood in no run.json
        self.pinned = pins
        self.recorded -= let_go  # nobody vouches for them: a manifest has no hash of theirs

    @property
    def has_ledger(self) -> bool:
        return (self.keeping.root / ".artifact-sync" / "ledger.sqlite").exists()

    @rule()
    def sync_twice(self) -> None:
        """The second pass has nothing to do."""
        self.sync()
        assert self.sync().report["downloaded"] == 0

    @rule()
    def sync_once(self) -> None:
        self.sync()

    def sync(self) -> Story:
        """All commands tell one story, and it is the model's."""
        excluded = ("--exclude", self.left_out) if self.left_out is not None else ()
        story = self.keeping.story(*excluded)
        for name in NAMES:
            self._check(name, story.states.get(name))
        self.recorded |= story.named("mirrored")
        is_well = not story.named("lost", "gone", "failed")
        gone = [it for it in story.report["failures"] if it["local_path"] is None]
        assert (story.sync == 0) is (is_well and not gone), story
        return story

    def _check(self, name: Named, state: str | None) -> None:
        is_whole = self._is_whole(name)
        if (name.repo, name.run) in self.pruned:
            assert state is None, (name, state)
        elif name in self.forgotten:
            assert state == "forgotten", (name, state)
        elif name.path == self.left_out:
            assert state in {"unwanted", "mirrored", None}, (name, state)
        elif self.origin.has(name):
            assert (state, is_whole) == ("mirrored", True), (name, state)
        elif name in self.recorded:
            assert state == ("mirrored" if is_whole else "lost"), (name, state)
        else:
            assert state in {None, "gone", "expired"}, (name, state)

    def _is_whole(self, name: Named) -> bool:
        place = self.keeping.place(name)
        return bool(place.is_file() and place.read_bytes() == self.origin.contents[name])
