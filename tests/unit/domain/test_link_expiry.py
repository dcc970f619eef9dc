from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifact_sync.domain.link_expiry import UNKNOWN_LIFETIME, is_cleartext, link_of

NOW = datetime(2026, 11, 23, 20, 0, 0, tzinfo=UTC)
EPOCH_NOW = int(NOW.timestamp())
S3 = (
    "https://store.test/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date={date}&X-Amz-Expires={life}"
)


def life(url: str, now: datetime = NOW, server: datetime | None = None) -> float:
    return link_of(url, 1000.0, now, server).lapses_at - 1000.0


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        ("X-Amz-Date=20261123T195950Z&X-Amz-Expires=60", 50.0),
        ("x-amz-expires=60&x-amz-date=20261123T200000Z", 60.0),
        ("X-Goog-Date=20261123T200000Z&X-Goog-Expires=900", 900.0),
        (f"AWSAccessKeyId=A&Expires={EPOCH_NOW + 30}&Signature=x", 30.0),
        (f"md5=abc&expires={EPOCH_NOW + 5}", 5.0),
        ("sv=2024&se=2026-11-23T20%3A02%3A00Z&sig=x", 120.0),
        ("se=2026-11-23T23:02:00%2B03:00", 120.0),
        (f"Expires={EPOCH_NOW + 30}&se=2026-11-23T20:00:10Z", 10.0),
        (f"Expires={EPOCH_NOW + 30}&Expires={EPOCH_NOW + 3000}", 30.0),
    ],
)
def test_the_expiry_is_read_off_the_link(query, seconds):
    assert life(f"https://store.test/b/k?{query}") == seconds


@pytest.mark.parametrize(
    "query",
    [
        "",
        "X-Amz-Date=20261123T200000Z",
        "X-Amz-Expires=60",
        "X-Amz-Date=20261323T200000Z&X-Amz-Expires=60",
        "X-Amz-Date=20261123T200000Z&X-Amz-Expires=-60",
        "X-Amz-Date=20261123T200000Z&X-Amz-Expires=999999999999",
        "Expires=Mon,+23+Nov+2026+20:01:30+GMT",
        f"Expires={EPOCH_NOW}",
        f"Expires={EPOCH_NOW - 1}",
        f"Expires={EPOCH_NOW * 1000}",
        "Expires=" + "9" * 5000,
        "se=0001-01-01T00:00:00%2B14:00",
        "se=x&expires=&X-Amz-Date",
    ],
)
def test_a_link_that_does_not_say_or_makes_no_sense_lives_for_45_seconds(query):
    assert life(f"https://store.test/b/k?{query}") == UNKNOWN_LIFETIME == 45.0


def test_the_service_clock_counts_where_ours_is_wrong():
    url = S3.format(date="20261123T200000Z", life=600)
    assert life(url, now=NOW + timedelta(hours=3), server=NOW + timedelta(seconds=10)) == 590.0


def test_our_clock_helps_where_the_service_one_makes_no_sense():
    url = S3.format(date="20261123T200000Z", life=600)
    assert life(url, now=NOW, server=NOW + timedelta(hours=3)) == 600.0


def test_a_slow_clock_of_ours_does_not_make_a_link_live_longer_than_it_was_signed_for():
    url = S3.format(date="20261123T200000Z", life=600)
    assert life(url, now=NOW - timedelta(hours=3)) == 600.0


def test_a_fragment_is_no_query():
    assert life(f"https://store.test/k#?Expires={EPOCH_NOW + 7}") == 45.0


def test_the_link_is_kept_byte_for_byte():
    url = "https://store.test/a%2fb/../c?X=%e2&=&&a"
    assert link_of(url, 0.0, NOW, None).url == url


def test_cleartext_links_are_told():
    assert [is_cleartext(url) for url in ("http://h/x", "HTTP://h/x", "https://h/x", "")] == [
        True,
        True,
        False,
        False,
    ]


NAMES = ["X-Amz-Date", "X-Amz-Expires", "x-goog-date", "x-goog-expires", "Expires", "se", "q"]
QUERIES = st.lists(st.tuples(st.sampled_from(NAMES), st.text(max_size=30))).map(
    lambda pairs: "&".join("=".join(pair) for pair in pairs)
)
DATES = st.datetimes(timezones=st.just(UTC))


@given(QUERIES | st.text(), DATES, st.none() | DATES)
def test_no_query_crashes_and_every_life_is_positive(query, now, server):
    assert 0.0 < link_of(f"https://h/x?{query}", 0.0, now, server).lapses_at <= 366 * 86400


@given(
    st.integers(min_value=1, max_value=604800), st.integers(min_value=0, max_value=604799), DATES
)
def test_what_is_left_is_the_lifetime_less_the_age(lifetime, age, begun):
    begun = begun.replace(microsecond=0)
    if age >= lifetime or begun.year < 1000 or begun.year > 9990:
        return
    date = f"{begun:%Y%m%dT%H%M%SZ}"
    url = S3.format(date=date, life=lifetime)
    assert life(url, now=begun + timedelta(seconds=age)) == lifetime - age
