"""Mounts in the way: below the root, of our own folder, of an overlay's layers, without a size.

Guards against: whatever cannot be renamed is fetched in every pass, and never gets its place.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from trial import Trial, noise

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BIG = noise(12, 3 << 20)
SMALL = b"built at night"

Mount = Callable[..., None]

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        sys.platform != "linux" or shutil.which("mount") is None, reason="mounts, as Linux does"
    ),
]


@pytest.fixture
def mount() -> Iterator[Mount]:
    """Mounts something over a folder, which it makes."""
    mounted: list[Path] = []

    def over(folder: Path, *arguments: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        command = ["mount", *arguments, str(folder)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            pytest.skip(f"this cannot be mounted here: {result.stderr.strip()}")
        mounted.append(folder)

    yield over
    for folder in reversed(mounted):
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def own_disk(mount: Mount, folder: Path) -> None:
    mount(folder, "-t", "tmpfs", "tmpfs")


@pytest.mark.parametrize("place", ["org", "org/repo/1/build", ".artifact-sync"])
@pytest.mark.parametrize("durability", ["full", "fast"])
def test_files_reach_a_disk_of_its_own_below_the_root(
    trial: Trial, mount: Mount, place: str, durability: str
) -> None:
    own_disk(mount, trial.root / place)
    trial.env["MIRROR__DURABILITY"] = durability
    trial.service.run({"app.bin": BIG, "notes.txt": SMALL})
    assert trial.sync().exit_code == 0
    assert trial.has(BIG)
    assert trial.has(SMALL, "notes.txt")
    assert (trial.root / "org" / "repo" / "latest").resolve() == trial.manifest().parent
    assert list((trial.root / ".artifact-sync" / "staging").iterdir()) == []
    assert trial.place().stat().st_mode & 0o777 == trial.place("notes.txt").stat().st_mode & 0o777


def test_files_reach_a_folder_that_is_bound_below_the_root(
    trial: Trial, mount: Mount, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    mount(trial.root / "org" / "repo", "--bind", str(elsewhere))
    trial.service.run({"app.bin": BIG, "notes.txt": SMALL})
    assert trial.sync().exit_code == 0
    assert trial.has(BIG)
    assert trial.has(SMALL, "notes.txt")


def test_what_is_in_the_way_on_another_disk_is_displaced_all_the_same(
    trial: Trial, mount: Mount
) -> None:
    own_disk(mount, trial.root / "org")
    trial.place().mkdir(parents=True)
    (trial.place() / "mine.txt").write_bytes(b"mine")
    (trial.place() / "deep").mkdir()
    (trial.place() / "deep" / "link").symlink_to("../mine.txt")
    trial.place("notes.txt").write_bytes(b"my notes")
    trial.service.run({"app.bin": BIG, "notes.txt": SMALL})
    assert trial.sync().exit_code == 0
    assert trial.has(BIG)
    assert trial.has(SMALL, "notes.txt")
    assert [path.read_bytes() for path in displaced(trial, "mine.txt")] == [b"mine"]
    assert [path.read_bytes() for path in displaced(trial, "notes.txt")] == [b"my notes"]
    assert [str(path.readlink()) for path in displaced(trial, "link")] == ["../mine.txt"]


def displaced(trial: Trial, name: str) -> list[Path]:
    return list((trial.root / ".artifact-sync" / "displaced").rglob(name))


def test_an_overlays_lower_folder_in_the_way_is_displaced(
    trial: Trial, mount: Mount, tmp_path: Path
) -> None:
    layers = tmp_path / "layers"
    own_disk(mount, layers)
    lower, upper, work = (layers / name for name in ("lower", "upper", "work"))
    for folder in (lower, upper, work):
        folder.mkdir()
    in_the_way = lower / trial.place().relative_to(trial.root)
    (in_the_way / "deep").mkdir(parents=True)
    (in_the_way / "deep" / "mine.txt").write_bytes(b"mine")
    options = f"lowerdir={lower},upperdir={upper},workdir={work},redirect_dir=off"
    mount(trial.root, "-t", "overlay", "-o", options, "overlay")
    trial.service.run({"app.bin": BIG})
    assert trial.sync().exit_code == 0
    assert trial.has(BIG)
    assert [path.read_bytes() for path in displaced(trial, "mine.txt")] == [b"mine"]


def test_a_full_disk_below_the_root_is_named(trial: Trial, mount: Mount) -> None:
    mount(trial.root / "org", "-t", "tmpfs", "-o", "size=1m", "tmpfs")
    trial.service.run({"app.bin": BIG})
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (6, ["no_space"])
    (failure,) = outcome.failures
    assert f"no space left in {trial.root / 'org'} (" in failure["message"]
    assert trial.has_nothing()
    subprocess.run(["mount", "-o", "remount,size=64m", str(trial.root / "org")], check=True)
    assert trial.sync().exit_code == 0
    assert trial.has(BIG)


def test_a_mount_that_is_read_only_is_found_before_anything_is_fetched(
    trial: Trial, mount: Mount
) -> None:
    own_disk(mount, trial.root / "org")
    subprocess.run(["mount", "-o", "remount,ro", str(trial.root / "org")], check=True)
    trial.service.run({"app.bin": BIG})
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (6, ["disk"])
    (failure,) = outcome.failures
    assert "org/repo/1" in failure["message"]
    assert "mount it read-write" in failure["message"]
    assert trial.service.origin.requests == []
    subprocess.run(["mount", "-o", "remount,rw", str(trial.root / "org")], check=True)
    assert trial.sync().exit_code == 0
    assert trial.has(BIG)


def test_a_mount_in_a_files_own_place_is_named(trial: Trial, mount: Mount) -> None:
    own_disk(mount, trial.place())
    trial.service.run({"app.bin": BIG})
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (6, ["disk"])
    (failure,) = outcome.failures
    assert "app.bin" in failure["message"]
    assert "something is mounted there" in failure["message"]


# Guards against: a file system that does not tell its size, taken for a full one.
def test_a_file_system_that_does_not_tell_its_size_is_written_to(
    trial: Trial, mount: Mount
) -> None:
    mount(trial.root, "-t", "ramfs", "ramfs")
    trial.service.run({"app.bin": BIG, "notes.txt": SMALL})
    assert trial.sync().exit_code == 0
    assert trial.has(BIG)
    assert trial.has(SMALL, "notes.txt")


@pytest.mark.parametrize("place", ["org/repo/1", "org"])
def test_files_of_the_same_bytes_share_nothing_with_another_disk(
    trial: Trial, mount: Mount, place: str
) -> None:
    """Neither across two disks, nor on one below the root, where staging is not."""
    own_disk(mount, trial.root / place)
    trial.env["MIRROR__DEDUPE"] = "hardlink"
    for run in ("1", "2"):
        trial.service.run({"app.bin": BIG}, run)
    assert trial.sync().exit_code == 0
    assert [trial.has(BIG, run=run) for run in ("1", "2")] == [True, True]
    assert [trial.place(run=run).stat().st_nlink for run in ("1", "2")] == [1, 1]
    assert trial.staged() == 0
