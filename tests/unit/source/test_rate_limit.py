"""The spacing of requests to the API."""

from __future__ import annotations

from artifact_sync.source.api.rate_limit import EvenRate


def test_callers_who_come_together_are_evenly_spaced() -> None:
    rate = EvenRate(4.0)
    assert [rate.take(100.0) for _ in range(4)] == [0.0, 0.25, 0.5, 0.75]
    assert rate.take(100.5) == 0.5


def test_who_comes_late_need_not_wait_and_saves_nothing_up() -> None:
    rate = EvenRate(1.0)
    assert [rate.take(now) for now in (100.0, 110.0, 110.0, 110.25)] == [0.0, 0.0, 1.0, 1.75]
