"""When files are due to be read again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from artifact_sync.daemon.scrub.timing import due_window, pause
from artifact_sync.domain.settings import VerifySettings

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
DAY = 86_400.0
TIB = 2**40

settings = st.builds(
    VerifySettings,
    every=st.floats(1.0, 3660 * DAY),
    rate=st.one_of(st.just(0), st.integers(1024, 2**40)),
)
sizes = st.integers(0, 2**60)
moments = st.datetimes(timezones=st.just(UTC))


def days_old(days: float) -> datetime:
    return NOW - timedelta(days=days)


def test_a_small_mirror_is_due_when_it_is_as_old_as_every() -> None:
    window = due_window(NOW, VerifySettings(), 2**30)
    assert [window.holds(days_old(days)) for days in (0, 29, 29.9, 31)] == [False] * 3 + [True]


def test_a_large_mirror_is_begun_so_early_that_nothing_gets_older_than_every() -> None:
    """10 TiB at 20 MiB a second take six days."""
    window = due_window(NOW, VerifySettings(), 10 * TIB)
    assert [window.holds(days_old(days)) for days in (0, 20, 24, 30)] == [False, False, True, True]


def test_a_mirror_too_large_for_the_rate_is_read_all_the_time() -> None:
    assert due_window(NOW, VerifySettings(), 100 * TIB).holds(NOW - timedelta(seconds=1))


@given(moments, settings, sizes)
def test_what_is_just_verified_is_not_due_and_what_nobody_ever_verified_is(now, how, size) -> None:
    window = due_window(now, how, size)
    assert not window.holds(now)
    assert window.holds(None)


@given(moments, moments, settings)
def test_no_clock_makes_a_file_due_for_ever_or_never_again(verified, now, how) -> None:
    """Whatever was written by whatever clock, it is due or gets due within ``every``."""
    window = due_window(now, how, 0)
    try:
        later = now + timedelta(seconds=how.every + 2 * DAY)
    except OverflowError:
        return
    assert window.holds(verified) or due_window(later, how, 0).holds(verified)


@given(settings)
def test_what_is_due_is_looked_for_now_and_then(how) -> None:
    assert 1.0 <= pause(how) <= 60.0
