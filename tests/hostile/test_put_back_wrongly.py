"""What is put back in a lost file's place, and is not the file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from keeper import ALL_WELL, APP, Keeper, forget_repository

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RIGHT = APP + b"1"


def other_bytes(place: Path, _: Path) -> None:
    place.write_bytes(bytes(len(RIGHT)))


def bigger(place: Path, _: Path) -> None:
    place.write_bytes(RIGHT + b"and more")


def symbolic_link(place: Path, right: Path) -> None:
    place.symlink_to(right)


@pytest.mark.parametrize("put", [other_bytes, bigger, symbolic_link], ids=lambda it: it.__name__)
def test_a_wrong_file_is_not_taken_back_and_is_left_for_the_right_one(
    keeper: Keeper, tmp_path: Path, put: Callable[[Path, Path], None]
) -> None:
    forget_repository(keeper.trial.service)
    place, right = keeper.trial.place(), tmp_path / "backup"
    right.write_bytes(RIGHT)
    place.unlink()
    assert keeper.sync()[0] == 1
    put(place, right)
    code, report, _ = keeper.sync()
    assert (code, report["lost"]) == (1, 1)
    code, found, _ = keeper.run("verify")
    assert code in {1, 5}
    assert found["missing"] + found["changed"] == [str(place.relative_to(keeper.trial.root))]
    assert keeper.states()["1/app.bin"] == "lost"
    place.unlink()
    os.link(right, place)  # a hard link is the file
    assert keeper.story() == ALL_WELL
