"""How far a list of runs is read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from artifact_sync.discover import Reading
from artifact_sync.model import Horizon, RepoName, Run, RunKey

NOW = datetime(2026, 11, 23, tzinfo=UTC)
REPO = RepoName("org", "repo")


def page(*slugs: object, age: int = 0) -> list[Run]:
    created = NOW - timedelta(days=age)
    return [Run(RunKey(REPO, str(slug)), "success", created_at=created) for slug in slugs]


def read(reading: Reading, *pages: list[Run]) -> list[bool]:
    """Whether it was enough after each page."""
    verdicts = []
    for it in pages:
        reading.take(it)
        verdicts.append(reading.enough)
    return verdicts


def test_the_first_listing_is_read_to_its_end() -> None:
    reading = Reading(None, None)
    assert read(reading, page(5, 4), page(3, 2), page(1)) == [False, False, False]
    assert reading.horizon(to_the_end=True) == Horizon(5)


def test_with_nothing_new_one_page_is_enough() -> None:
    reading = Reading(Horizon(5), None)
    assert read(reading, page(5, 4)) == [True]
    assert reading.horizon(to_the_end=False) == Horizon(5)


def test_new_runs_are_read_until_the_known_ones_begin() -> None:
    reading = Reading(Horizon(5), None)
    assert read(reading, page(9, 8), page(7, 6), page(6, 5)) == [False, False, True]
    assert reading.horizon(to_the_end=False) == Horizon(9)


def test_a_listing_that_is_not_newest_first_is_read_to_its_end() -> None:
    for pages in ([page(1, 2, 3)], [page(3, 1, 2)], [page(2), page(3)], [page("main", 3)]):
        assert not any(read(Reading(Horizon(3), None), *pages))


def test_a_lone_old_run_does_not_prove_the_order() -> None:
    assert read(Reading(Horizon(5), None), page(1), page(2)) == [False, False]
    assert read(Reading(Horizon(5), None), page(5)) == [True]


def test_the_newest_known_run_may_have_been_removed_upstream() -> None:
    assert read(Reading(Horizon(5), None), page(4, 3)) == [True]


def test_a_run_that_moved_onto_the_next_page_meanwhile_is_no_disorder() -> None:
    assert read(Reading(Horizon(2), None), page(5, 4), page(4, 3, 2)) == [False, True]


def test_with_a_since_reading_ends_where_every_run_of_a_page_is_older() -> None:
    since = NOW - timedelta(days=7)
    reading = Reading(None, since)
    assert read(reading, page(9, 8), page(7, age=6), page(6, 5, age=8)) == [False, False, True]
    assert reading.horizon(to_the_end=False) == Horizon(9, since)


def test_a_longer_since_reads_beyond_what_a_shorter_one_had_seen() -> None:
    known = Horizon(9, NOW - timedelta(days=7))
    assert read(Reading(known, NOW - timedelta(days=30)), page(9, 8)) == [False]
    assert read(Reading(known, None), page(9, 8)) == [False]
    assert read(Reading(known, NOW - timedelta(days=6)), page(9, 8)) == [True]


def test_runs_between_the_known_ones_and_a_later_since_are_not_taken_for_known() -> None:
    known = Horizon(5, NOW - timedelta(days=30))
    since = NOW - timedelta(days=1)
    reading = Reading(known, since)
    assert read(reading, page(20, 19), page(18, 17, age=2)) == [False, True]
    assert reading.horizon(to_the_end=False) == Horizon(20, since)


def test_runs_without_a_number_leave_no_horizon() -> None:
    reading = Reading(None, None)
    assert read(reading, page("main", "dev")) == [False]
    assert reading.horizon(to_the_end=True) is None


def test_an_empty_page_says_nothing() -> None:
    assert read(Reading(Horizon(5), None), [], page(5)) == [False, True]
