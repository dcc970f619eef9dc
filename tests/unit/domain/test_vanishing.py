"""When artifacts vanish, by any clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from artifact_sync.domain.vanishing import CreationWindow, vanishing_time

MOMENTS = st.datetimes(datetime(1, 1, 2), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds it
SECONDS = st.floats(1, 400 * 365 * 86_400.0)
DAY = 86_400.0
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@given(now=MOMENTS, created=MOMENTS, retention=SECONDS, within=SECONDS)
def test_a_window_holds_what_vanishes_from_now_on_until_its_end(
    now: datetime, created: datetime, retention: float, within: float
) -> None:
    window = CreationWindow.of(now, retention, within)
    left = (created - now).total_seconds() + retention
    is_in = window.after < created <= window.until
    slack = 1e-3  # of a float over thousands of years
    if slack < left < within - slack:
        assert is_in
    if left < -slack or left > within + slack:
        assert not is_in


def test_a_clock_that_was_set_back_makes_nothing_urgent_and_nothing_vanished() -> None:
    window = CreationWindow.of(NOW - timedelta(days=365), 14 * DAY, 2 * DAY)
    assert window.until < NOW - timedelta(days=14)


def test_beyond_the_calendar_nobody_knows_when() -> None:
    assert vanishing_time(datetime.max.replace(tzinfo=UTC), DAY) is None
    assert vanishing_time(None, DAY) is None
    assert vanishing_time(NOW, DAY) == NOW + timedelta(days=1)
