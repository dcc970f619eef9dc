"""Which rate holds at a minute of the day."""

from __future__ import annotations

import pytest

from artifact_sync.domain.timetable import format_time, parse_time, rate_at, timetable_of

DAY_AND_NIGHT = ((0, None), (480, 5), (1380, None))
"""Slow from eight in the morning to eleven at night."""


@pytest.mark.parametrize(
    ("text", "minute"), [("00:00", 0), ("8:30", 510), ("08:30", 510), ("23:59", 1439)]
)
def test_a_time_is_read_as_a_minute_of_the_day(text: str, minute: int) -> None:
    assert parse_time(text) == minute


@pytest.mark.parametrize(
    "text", ["", "8", "24:00", "8:60", "8:3", "-1:00", "08:30:00", "\u0668:\u0660\u0660"]
)
def test_what_is_no_time_of_a_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a time of the day from 00:00 to 23:59"):
        parse_time(text)


def test_a_time_is_shown_with_four_digits() -> None:
    assert [format_time(minute) for minute in (0, 485, 1439)] == ["00:00", "08:05", "23:59"]


def test_without_a_timetable_there_is_no_limit() -> None:
    assert rate_at((), 700) is None


@pytest.mark.parametrize(
    ("minute", "rate"), [(0, None), (479, None), (480, 5), (1379, 5), (1380, None), (1439, None)]
)
def test_a_rate_holds_from_its_minute_on(minute: int, rate: int | None) -> None:
    assert rate_at(DAY_AND_NIGHT, minute) == rate


def test_before_the_first_time_the_last_of_the_day_before_holds() -> None:
    assert timetable_of({480: 5, 1380: None}) == DAY_AND_NIGHT
    assert timetable_of({480: 5}) == ((0, 5),)


def test_where_nothing_changes_nothing_stands() -> None:
    assert timetable_of({}) == ()
    assert timetable_of({0: None}) == ()
    assert timetable_of({480: None, 720: None}) == ()
    assert timetable_of({0: 5, 480: 5, 720: 6, 900: 6}) == ((0, 5), (720, 6))
    assert timetable_of({0: 5, 480: None}) == ((0, 5), (480, None))
