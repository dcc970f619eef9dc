from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifact_sync.runtime.backoff import RetryPolicy, delay, parse_retry_after

NOW = datetime(2026, 11, 23, 20, 0, 0, tzinfo=UTC)


class Most(Random):
    """Draws the upper end, so that bounds show."""

    def uniform(self, a: float, b: float) -> float:
        del a
        return b


class Least(Random):
    def uniform(self, a: float, b: float) -> float:
        del b
        return a


def test_the_bound_of_the_delay_doubles_up_to_the_cap():
    policy = RetryPolicy(attempts=10, base=0.5, cap=4.0)
    delays = [delay(policy, failures, None, Most()) for failures in range(1, 7)]
    assert delays == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]


def test_the_last_attempt_is_followed_by_none():
    policy = RetryPolicy(attempts=3)
    assert delay(policy, 2, None, Most()) is not None
    assert delay(policy, 3, None, Most()) is None
    assert delay(policy, 4, None, Most()) is None
    assert delay(RetryPolicy(attempts=1), 1, None, Most()) is None


def test_retry_after_is_a_minimum_with_a_little_jitter():
    assert delay(RetryPolicy(), 1, 7.0, Least()) == 7.0
    assert delay(RetryPolicy(base=0.5), 1, 7.0, Most()) == 7.5


def test_a_retry_after_of_nothing_does_not_shorten_our_own_delay():
    assert delay(RetryPolicy(base=0.5), 4, 0.0, Most()) == 4.0


def test_a_retry_after_beyond_our_patience_ends_it():
    policy = RetryPolicy(patience=120.0)
    assert delay(policy, 1, 120.0, Least()) == 120.0
    assert delay(policy, 1, 120.5, Least()) is None
    assert delay(policy, 1, float("inf"), Least()) is None


@given(
    st.integers(min_value=-3, max_value=10**6),
    st.none() | st.floats(),
    st.integers(min_value=0, max_value=2**32),
)
def test_a_delay_is_never_negative_nor_longer_than_the_policy_allows(failures, after, seed):
    policy = RetryPolicy(attempts=10**7)
    wait = delay(policy, failures, after, Random(seed))  # noqa: S311 - jitter
    assert wait is None or 0.0 <= wait <= policy.patience + policy.base


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("-5", 0.0),
        ("Mon, 23 Nov 2026 20:01:30 GMT", 90.0),
        ("Monday, 23-Nov-26 20:01:30 GMT", 90.0),
        ("Mon Nov 23 20:01:30 2026", 90.0),
        ("Mon, 23 Nov 2026 19:00:00 GMT", 0.0),
        ("9" * 5000, float("inf")),
        ("", None),
        ("soon", None),
        ("12 monkeys", None),
        ("١٢", None),
        ("1e3", None),
        ("nan", None),
        ("Mon, 99 Nov 2026 20:01:30 GMT", None),
        ("Mon, 23 Nov 99999 20:01:30 GMT", None),
    ],
)
def test_retry_after_is_read_in_both_its_forms(value, seconds):
    assert parse_retry_after(value, NOW) == seconds


@given(st.text())
def test_no_retry_after_crashes(value):
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or seconds >= 0.0


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=3000)))
def test_a_date_in_the_future_is_as_far_off_as_it_says(ahead):
    moment = (NOW + ahead).replace(microsecond=0)
    text = moment.strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert parse_retry_after(text, NOW) == (moment - NOW).total_seconds()
