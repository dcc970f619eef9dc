"""``mirror.dedupe``: the same bytes lie on the disk once, and stay right whatever happens."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from keeping import ORG, Keeping, small_organisation

from artifact_sync.simulator import (
    Cube,
    Repo,
    Scenario,
    ScenarioArtifact,
    ScenarioRun,
    running_in_thread,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from artifact_sync.simulator import Running

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="calls fork")

SMALL, BIG = "version.txt", "app.tar"
CONTENT = {SMALL: b"1.0, as in every build\n", BIG: bytes(range(256)) * 2000}
ONE, TWO = f"{ORG}/one", f"{ORG}/two"


class Sharing(Keeping):
    """A mirror that shares blocks."""

    more: dict[str, str]

    @property
    def environ(self) -> dict[str, str]:
        return {**super().environ, "ARTIFACT_SYNC_MIRROR__DEDUPE": "hardlink", **self.more}

    def file(self, repo: str, run: str, name: str) -> Path:
        return self.root / repo / run / "ci" / "build" / "build" / name

    def inodes(self, name: str, *runs: tuple[str, str]) -> list[int]:
        """The inodes of a file in these runs; each has its right bytes."""
        files = [self.file(*run, name) for run in runs]
        assert all(it.read_bytes() == CONTENT[name] for it in files)
        return [it.stat().st_ino for it in files]

    def saved(self) -> dict[str, int]:
        _, answer, _ = self.run("status")
        return {it["repo"]: it["shared_bytes"] for it in answer["repositories"]}


def same_runs(*slugs: str, claimed: bool = False) -> tuple[ScenarioRun, ...]:
    files = tuple(ScenarioArtifact(name, data=it) for name, it in CONTENT.items())
    sums = (ScenarioArtifact(f"{BIG}.sha256", sha256_of=BIG),) if claimed else ()
    return tuple(ScenarioRun(it, cubes=(Cube(artifacts=files + sums),)) for it in slugs)


RUNS = [(ONE, "1"), (ONE, "2"), (TWO, "1")]


@contextmanager
def serving(folder: Path, *, claimed: bool = False, **more: str) -> Iterator[Sharing]:
    repos = Repo(ONE, runs=same_runs("1", "2", claimed=claimed)), Repo(TWO, runs=same_runs("1"))
    with running_in_thread(Scenario(api=small_organisation().api, repos=repos)) as service:
        sharing = Sharing(folder, service)
        sharing.more = more
        yield sharing


def requests(service: Running, name: str) -> int:
    return sum(it.path.endswith(f"/{name}") for it in service.simulator.requests)


def test_the_same_bytes_of_several_runs_are_one_file(tmp_path: Path) -> None:
    with serving(tmp_path) as sharing:
        story = sharing.story()
        assert story.codes == (0, 0)
        for name in CONTENT:
            assert len({*sharing.inodes(name, *RUNS)}) == 1
            assert sharing.file(*RUNS[0], name).stat().st_nlink == 3
        saved = sum(map(len, CONTENT.values()))
        assert sum(sharing.saved().values()) == 2 * saved
        assert not [*sharing.root.glob(".artifact-sync/staging/*")]
        # whoever edits one has edited all: each is told, and each is mended
        sharing.file(*RUNS[0], BIG).write_bytes(b"edited in place")
        code, found, _ = sharing.run("verify")
        assert (code, len(found["changed"])) == (5, 3)
        assert sum(sharing.saved().values()) == 2 * len(CONTENT[SMALL])
        code, found, _ = sharing.run("verify", "--repair")
        assert code == 0, found
        assert len({*sharing.inodes(BIG, *RUNS)}) == 1
        assert sum(sharing.saved().values()) == 2 * saved
        assert sharing.run("verify")[0] == 0
