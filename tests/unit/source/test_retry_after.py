from __future__ import annotations

from artifact_sync.source.api.rate_limit import RetryAfterHolds

A, B, C = ("repos", "o", "a"), ("repos", "o", "b"), ("orgs", "o", "repos")


def told(*tellings: tuple[tuple[str, ...], float, float]) -> RetryAfterHolds:
    holds = RetryAfterHolds()
    for subject, seconds, now in tellings:
        holds.add(subject, seconds, now)
    return holds


def test_a_long_rest_is_its_own_and_half_a_minute_of_it_everybodys() -> None:
    holds = told((A, 600.0, 1000.0))
    assert (holds.until(A), holds.until(B)) == (1600.0, 1030.0)


def test_a_short_rest_is_everybodys() -> None:
    holds = told((A, 9.0, 1000.0))
    assert (holds.until(A), holds.until(B)) == (1009.0, 1009.0)


def test_no_rest_is_longer_than_an_hour() -> None:
    holds = told((A, 1e9, 1000.0), (B, 1e9, 1000.0))
    assert holds.until(A) == holds.until(C) == 4600.0


def test_two_that_are_told_within_a_minute_make_all_wait_as_long_as_both() -> None:
    assert told((A, 600.0, 1000.0), (B, 300.0, 1060.0)).until(C) == 1360.0
    assert told((B, 300.0, 1000.0), (A, 600.0, 1060.0)).until(C) == 1300.0


def test_two_that_are_told_more_than_a_minute_apart_keep_theirs_for_themselves() -> None:
    holds = told((A, 600.0, 1000.0), (B, 300.0, 1060.5))
    assert (holds.until(A), holds.until(B), holds.until(C)) == (1600.0, 1360.5, 1090.5)


def test_one_that_is_told_so_again_and_again_makes_nobody_wait_longer() -> None:
    holds = told(*((A, 25.0, 1000.0 + 25 * time) for time in range(12)))
    assert (holds.until(A), holds.until(B)) == (1300.0, 1030.0)
    holds.add(A, 25.0, 1300.0)
    assert holds.until(B) == 1325.0


def test_a_shorter_rest_does_not_end_a_longer_one() -> None:
    holds = told((A, 600.0, 1000.0), (A, 1.0, 1001.0))
    assert holds.until(A) == 1600.0
