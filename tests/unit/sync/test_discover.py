"""How far a list of runs is read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from artifact_sync.domain.model import Horizon, RepoName, Run, RunKey
from artifact_sync.sync.discover import Reading

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


def known(high: int, since: datetime | None = None) -> Horizon:
    """A horizon of a list whose order was seen before."""
    return Horizon(high, since, falling=True)


def test_the_first_listing_is_read_to_its_end_and_shows_the_order() -> None:
    reading = Reading(None, None)
    assert read(reading, page(5, 4), page(3, 2), page(1)) == [False, False, False]
    assert reading.horizon(to_the_end=True) == known(5)


def test_with_nothing_new_one_page_is_enough() -> None:
    reading = Reading(known(5), None)
    assert read(reading, page(5, 4)) == [True]
    assert reading.horizon(to_the_end=False) == known(5)
    assert read(Reading(known(5), None), page(5)) == [True]


def test_new_runs_are_read_until_the_known_ones_begin() -> None:
    reading = Reading(known(5), None)
    assert read(reading, page(9, 8), page(7, 6), page(6, 5)) == [False, False, True]
    assert reading.horizon(to_the_end=False) == known(9)


@pytest.mark.parametrize(
    "pages",
    [
        [page(1, 2, 3)],
        [page(3, 1, 2)],
        [page(2), page(3)],
        [page("main", 3)],
        [page(1), page(2), page(3)],
        [page(2, 1), page(5, 4)],
    ],
)
def test_a_listing_that_is_not_newest_first_is_read_to_its_end_and_not_trusted_again(
    pages: list[list[Run]],
) -> None:
    for before in (known(3), Horizon(3)):
        reading = Reading(before, None)
        assert not any(read(reading, *pages))
        end = reading.horizon(to_the_end=True)
        assert end is not None
        assert not end.falling


def test_a_first_page_that_falls_proves_no_order_of_the_pages() -> None:
    reading = Reading(Horizon(4), None)
    assert read(reading, page(4, 3), page(6, 5)) == [False, False]
    assert reading.horizon(to_the_end=True) == Horizon(6)


def test_oldest_first_with_one_run_a_page_is_read_on_from_the_known_one() -> None:
    assert read(Reading(Horizon(1), None), page(1), page(2), page(3)) == [False, False, False]


def test_less_than_two_runs_prove_no_order() -> None:
    for pages in ([page(5)], [page(5), page(5)], [[]]):
        reading = Reading(Horizon(5), None)
        assert not any(read(reading, *pages))
        assert reading.horizon(to_the_end=True) == Horizon(5)


def test_a_listing_that_begins_below_the_newest_known_run_is_read_to_its_end() -> None:
    assert read(Reading(known(5), None), page(4, 3), page(2)) == [False, False]


def test_a_run_that_moved_onto_the_next_page_meanwhile_is_no_disorder() -> None:
    assert read(Reading(known(2), None), page(5, 4), page(4, 3, 2)) == [False, True]


def test_with_a_since_reading_ends_where_every_run_of_a_page_is_older() -> None:
    since = NOW - timedelta(days=7)
    reading = Reading(known(1), since)
    assert read(reading, page(9, 8), page(7, age=6), page(6, 5, age=8)) == [False, False, True]
    assert reading.horizon(to_the_end=False) == known(9, since)


def test_with_a_since_and_an_order_that_nobody_knows_it_is_read_to_its_end() -> None:
    reading = Reading(None, NOW - timedelta(days=7))
    assert read(reading, page(2, 1, age=8), page(4, 3)) == [False, False]
    assert reading.horizon(to_the_end=True) == Horizon(4)


def test_a_longer_since_reads_beyond_what_a_shorter_one_had_seen() -> None:
    before = known(9, NOW - timedelta(days=7))
    assert read(Reading(before, NOW - timedelta(days=30)), page(9, 8)) == [False]
    assert read(Reading(before, None), page(9, 8)) == [False]
    assert read(Reading(before, NOW - timedelta(days=6)), page(9, 8)) == [True]


def test_runs_between_the_known_ones_and_a_later_since_are_not_taken_for_known() -> None:
    since = NOW - timedelta(days=1)
    reading = Reading(known(5, NOW - timedelta(days=30)), since)
    assert read(reading, page(20, 19), page(18, 17, age=2)) == [False, True]
    assert reading.horizon(to_the_end=False) == known(20, since)


def test_runs_without_a_number_leave_no_horizon() -> None:
    reading = Reading(None, None)
    assert read(reading, page("main", "dev")) == [False]
    assert reading.horizon(to_the_end=True) is None


def test_an_empty_page_says_nothing() -> None:
    assert read(Reading(known(5), None), [], page(5)) == [False, True]
