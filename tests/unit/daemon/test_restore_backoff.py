"""A file that somebody damages over and over is restored ever later."""

from __future__ import annotations

from artifact_sync.daemon.watch.repair import RestoreBackoff
from artifact_sync.domain.model import MirrorPath

FILE, OTHER = MirrorPath("a/b/1/x"), MirrorPath("a/b/1/y")


def test_the_first_restoration_is_at_once_and_each_further_one_waits_twice_as_long() -> None:
    patience = RestoreBackoff()
    delays = [patience.delay(FILE, float(now)) for now in range(12)]
    assert delays == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert patience.delay(OTHER, 12.0) == 0


def test_an_hour_of_peace_is_a_new_beginning() -> None:
    patience = RestoreBackoff()
    assert [patience.delay(FILE, now) for now in (0.0, 3599.0, 7200.5)] == [0, 1, 0]
    assert [patience.delay(FILE, now) for now in (7201.0, 10_801.5, 14_404.0)] == [1, 2, 0]


def test_what_is_remembered_is_bounded() -> None:
    patience = RestoreBackoff()
    for number in range(20_001):
        patience.delay(MirrorPath(str(number)), 0.0)
    assert (patience.delay(MirrorPath("1"), 1.0), patience.delay(MirrorPath("0"), 1.0)) == (1, 0)
