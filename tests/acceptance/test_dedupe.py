"""``mirror.dedupe``: the same bytes lie on the disk once, and stay right whatever happens."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from keeping import ORG, Keeping, small_organisation

from artifact_sync.simulator import (
    Cube,
    Files,
    Repo,
    Scenario,
    ScenarioArtifact,
    ScenarioRun,
    running_in_thread,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

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

    def evidence(self, run: str, name: str) -> list[str]:
        (row,) = (it for key, it in self.listed().items() if key[1:] == (run, name))
        evidence: list[str] = row["evidence"]
        return evidence

    def saved(self) -> dict[str, int]:
        _, answer, _ = self.run("status")
        return {it["repo"]: it["shared_bytes"] for it in answer["repositories"]}


def same_runs(*slugs: str, claimed: bool = False) -> tuple[ScenarioRun, ...]:
    files = tuple(ScenarioArtifact(name, data=it) for name, it in CONTENT.items())
    sums = (ScenarioArtifact(f"{BIG}.sha256", sha256_of=BIG),) if claimed else ()
    return tuple(ScenarioRun(it, cubes=(Cube(artifacts=files + sums),)) for it in slugs)


RUNS = [(ONE, "1"), (ONE, "2"), (TWO, "1")]


@contextmanager
def serving(
    folder: Path, *, claimed: bool = False, files: Files | None = None, **more: str
) -> Iterator[Sharing]:
    repos = Repo(ONE, runs=same_runs("1", "2", claimed=claimed)), Repo(TWO, runs=same_runs("1"))
    files = files or Files()
    scenario = Scenario(api=small_organisation().api, files=files, repos=repos)
    with running_in_thread(scenario) as service:
        sharing = Sharing(folder, service)
        sharing.more = more
        yield sharing


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


def test_pruned_names_leave_the_others_and_free_nothing_until_the_last(tmp_path: Path) -> None:
    with serving(tmp_path, ARTIFACT_SYNC_KEEP__LAST="1") as sharing:
        assert sharing.run("sync", *sharing.selected)[0] == 0
        code, planned, _ = sharing.run("prune", ONE, "--dry-run", "--yes")
        assert (code, planned["freed_bytes"]) == (0, 0)
        code, done, _ = sharing.run("prune", ONE, "--yes")
        assert (code, done["freed_bytes"], done["runs"][1]["action"]) == (0, 0, "prune")
        assert not sharing.file(ONE, "1", BIG).exists()
        assert len({*sharing.inodes(BIG, *RUNS[1:])}) == 1
        saved = sum(map(len, CONTENT.values()))
        assert sum(sharing.saved().values()) == saved
        code, removed, _ = sharing.run("forget", TWO, "--delete", "--yes")
        assert (code, len(removed["removed"])) == (0, len(CONTENT))
        assert sharing.inodes(BIG, (ONE, "2"))
        assert sum(sharing.saved().values()) == 0
        assert sharing.run("verify")[0] == 0


def test_a_damaged_file_is_not_shared_and_the_key_concerns_what_comes(tmp_path: Path) -> None:
    with serving(tmp_path) as sharing:
        assert sharing.run("sync", ONE, "--run", "1")[0] == 0
        sharing.file(ONE, "1", BIG).write_bytes(CONTENT[BIG][:-1] + b"!")
        code, _, words = sharing.run("sync", ONE, "--run", "2")
        assert (code, words.count("a mirrored file shares nothing: it is damaged")) == (0, 1)
        assert sharing.inodes(BIG, (ONE, "2"))
        # what is damaged by itself: repaired, it shares with the sound one
        assert sharing.run("verify", ONE, "--repair")[0] == 0
        assert len({*sharing.inodes(BIG, *RUNS[:2])}) == 1
        sharing.more["ARTIFACT_SYNC_MIRROR__DEDUPE"] = "off"
        assert sharing.run("sync", TWO)[0] == 0
        assert len({*sharing.inodes(BIG, *RUNS)}) == 2
        assert sharing.saved() == {ONE: sum(map(len, CONTENT.values())), TWO: 0}


BEFORE = {"ARTIFACT_SYNC_MIRROR__DEDUPE_BEFORE_DOWNLOAD": "true"}


def test_what_a_checksum_file_says_is_here_is_not_downloaded(tmp_path: Path) -> None:
    with serving(tmp_path, claimed=True, **BEFORE) as sharing:
        assert sharing.run("sync", ONE, "--run", "1")[0] == 0
        code, report, _ = sharing.run("sync", ONE, "--run", "2")
        received = len(CONTENT[SMALL]) + sharing.file(ONE, "2", f"{BIG}.sha256").stat().st_size
        assert (code, report["downloaded"], report["bytes"]) == (0, 3, received)
        assert len({*sharing.inodes(BIG, *RUNS[:2])}) == 1
        assert sharing.evidence("2", BIG) == ["sidecar:sha-256", "mirror:sha-256"]
        assert sharing.run("verify")[0] == 0


def test_what_the_servers_digest_says_is_here_is_not_downloaded(tmp_path: Path) -> None:
    digests = Files(digests=("repr-digest",))
    with serving(tmp_path, files=digests, **BEFORE) as sharing:
        assert sharing.run("sync", ONE, "--run", "1")[0] == 0
        sharing.file(ONE, "1", SMALL).write_bytes(b"1.1, as in every build\n")  # it is fetched
        code, report, _ = sharing.run("sync", ONE, "--run", "2")
        assert (code, report["downloaded"], report["bytes"]) == (0, 2, len(CONTENT[SMALL]))
        assert len({*sharing.inodes(BIG, *RUNS[:2])}) == 1
        assert sharing.inodes(SMALL, (ONE, "2"))
        assert sharing.evidence("2", BIG) == ["repr-digest:sha-256", "mirror:sha-256", "length"]


def test_verify_of_one_repository_tells_the_names_in_another(tmp_path: Path) -> None:
    with serving(tmp_path) as sharing:
        assert sharing.run("sync", *sharing.selected)[0] == 0
        sharing.file(TWO, "1", BIG).write_bytes(b"edited in place")
        code, found, _ = sharing.run("verify", TWO, "--repair")
        assert (code, len(found["changed"])) == (0, 3)
        assert len({*sharing.inodes(BIG, *RUNS)}) == 1


def test_a_bounded_verification_tells_all_names_of_what_it_finds(tmp_path: Path) -> None:
    with serving(tmp_path) as sharing:
        assert sharing.run("sync", *sharing.selected)[0] == 0
        sharing.file(TWO, "1", BIG).write_bytes(b"edited in place")
        sharing.file(TWO, "1", SMALL).write_bytes(b"edited in place")
        _, found, _ = sharing.run("verify", "--max-bytes", "1")
        (name,) = {path.rpartition("/")[2] for path in found["changed"]}
        assert sorted(found["changed"]) == sorted(
            str(sharing.file(*run, name).relative_to(sharing.root)) for run in RUNS
        )


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="a tmpfs, which has no reflinks")
def test_where_the_disk_has_no_reflinks_config_check_says_so(tmp_path: Path) -> None:
    with serving(tmp_path) as sharing:
        settings = {"ROOT": "/dev/shm/artifact-sync-none/mirror", "DEDUPE": "reflink"}
        sharing.more |= {f"ARTIFACT_SYNC_MIRROR__{name}": it for name, it in settings.items()}
        _, said, _ = sharing.run("config", "check")
        assert [it for it in said["warnings"] if "no reflinks" in it]
        sharing.more |= {"ARTIFACT_SYNC_MIRROR__DEDUPE": "off", **BEFORE}
        _, said, _ = sharing.run("config", "check")
        assert [it for it in said["warnings"] if "does nothing while mirror.dedupe is off" in it]
        assert not Path(settings["ROOT"]).parent.exists()
