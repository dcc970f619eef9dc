"""What stands in the way in the mirror: nothing is followed, overwritten or lost."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trial import Trial

CONTENT = b"built at night"
STRANGER = b"somebody else's"


links = pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need a privilege there")


@links
@pytest.mark.parametrize("depth", range(6))
def test_a_planted_link_to_a_folder_is_not_followed(
    trial: Trial, tmp_path: Path, depth: int
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    trial.service.file(CONTENT)
    planted = trial.root.joinpath(*trial.place().relative_to(trial.root).parts[: depth + 1])
    planted.parent.mkdir(parents=True)
    planted.symlink_to(outside)
    outcome = trial.sync()
    assert list(outside.rglob("*")) == []
    assert (outcome.exit_code, outcome.failures) == (0, [])
    assert trial.has(CONTENT)
    assert not planted.is_symlink()


@links
@pytest.mark.parametrize("target", ["there", "not-there"])
def test_a_planted_link_in_the_place_of_a_file_is_not_written_through(
    trial: Trial, tmp_path: Path, target: str
) -> None:
    outside = tmp_path / "there"
    outside.write_bytes(STRANGER)
    trial.service.file(CONTENT)
    trial.place().parent.mkdir(parents=True)
    trial.place().symlink_to(tmp_path / target)
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)
    assert not trial.place().is_symlink()
    assert outside.read_bytes() == STRANGER
    assert not (tmp_path / "not-there").exists()


@links
def test_a_link_planted_after_a_pass_is_found_out(trial: Trial, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(CONTENT)
    trial.service.file(CONTENT)
    assert trial.sync().exit_code == 0
    trial.place().unlink()
    trial.place().symlink_to(outside)
    assert trial.sync().counts == (1, 1, 0, 0)
    assert not trial.place().is_symlink()
    assert trial.has(CONTENT)


@links
@pytest.mark.parametrize("name", ["staging", "displaced"])
def test_a_link_planted_in_our_own_folder_is_not_written_through(
    trial: Trial, tmp_path: Path, name: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    trial.service.file(CONTENT * 200_000)
    trial.place().parent.mkdir(parents=True)
    trial.place().write_bytes(STRANGER)
    (trial.root / ".artifact-sync").mkdir()
    (trial.root / ".artifact-sync" / name).symlink_to(outside)
    trial.also_right = {STRANGER}
    outcome = trial.sync()
    assert list(outside.rglob("*")) == []
    assert trial.has(CONTENT * 200_000) == (outcome.exit_code == 0)


@links
def test_a_root_that_is_a_link_is_the_users_choice(trial: Trial, tmp_path: Path) -> None:
    elsewhere = tmp_path / "big-disk"
    elsewhere.mkdir()
    trial.root.symlink_to(elsewhere)
    trial.service.file(CONTENT)
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


def _file_in_the_way(place: Path) -> None:
    place.parent.mkdir(parents=True)
    place.write_bytes(STRANGER)


def _file_for_a_folder(place: Path) -> None:
    place.parents[2].mkdir(parents=True)
    place.parents[1].write_bytes(STRANGER)


def _folder_for_a_file(place: Path) -> None:
    place.mkdir(parents=True)
    (place / "notes.txt").write_bytes(STRANGER)


@pytest.mark.parametrize("plant", [_file_in_the_way, _file_for_a_folder, _folder_for_a_file])
def test_a_stranger_in_the_way_is_moved_aside_whole(
    trial: Trial, plant: Callable[[Path], None]
) -> None:
    plant(trial.place())
    trial.service.file(CONTENT)
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)
    assert trial.displaced() == [STRANGER]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_named_pipe_in_the_way_hangs_nothing(trial: Trial) -> None:
    trial.place().parent.mkdir(parents=True)
    os.mkfifo(trial.place())
    trial.service.file(CONTENT)
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


def test_the_same_content_in_the_way_is_no_stranger(trial: Trial) -> None:
    trial.place().parent.mkdir(parents=True)
    trial.place().write_bytes(CONTENT)
    trial.service.file(CONTENT)
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)
    assert trial.displaced() == []


def test_a_file_that_somebody_changed_is_fetched_again_and_kept_aside(trial: Trial) -> None:
    trial.service.file(CONTENT)
    assert trial.sync().exit_code == 0
    trial.place().write_bytes(STRANGER)
    assert trial.sync().counts == (1, 1, 0, 0)
    assert trial.has(CONTENT)
    assert trial.displaced() == [STRANGER]
