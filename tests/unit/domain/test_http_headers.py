"""Length, range and validator of an answer."""

from __future__ import annotations

import pytest

from artifact_sync.domain.http_headers import content_length, content_range, validator
from artifact_sync.domain.model import Validator

EARLY = "Sun, 22 Nov 2026 23:59:59 GMT"
LATE = "Mon, 23 Nov 2026 00:00:00 GMT"


@pytest.mark.parametrize(("value", "length"), [("0", 0), ("007", 7), ("5368709120", 5368709120)])
def test_a_content_length_is_digits(value, length):
    assert content_length(value) == length


@pytest.mark.parametrize(
    "value", [None, "", " 5", "5 ", "+5", "-5", "5.0", "0x5", "5, 5", "1_0", "٣", "9" * 5000]
)
def test_any_other_content_length_is_none(value):
    assert content_length(value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes 0-4/5", (0, 4, 5)),
        ("bytes 4-4/5", (4, 4, 5)),
        ("bytes 10-19/*", (10, 19, None)),
        ("Bytes 0-0/1", (0, 0, 1)),
        ("bytes 5368709119-5368709119/5368709120", (5368709119, 5368709119, 5368709120)),
    ],
)
def test_a_content_range_is_read(value, expected):
    assert content_range(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "bytes",
        "bytes */5",
        "bytes */*",
        "bytes=0-4/5",
        "bytes 0-4",
        "bytes 0-4/",
        "bytes 0-5/5",
        "bytes 4-3/5",
        "bytes -4/5",
        "bytes 0-/5",
        "bytes 0 - 4/5",
        "bytes 0-4/5 ",
        "bytes 0-4/5, bytes 5-9/10",
        "lines 0-4/5",
        "bytes \u0660-\u0664/\u0665",
        "bytes 0-" + "9" * 5000 + "/*",
    ],
)
def test_an_impossible_or_malformed_content_range_is_none(value):
    assert content_range(value) is None


def test_a_strong_etag_is_the_validator_whatever_the_dates():
    headers = {"etag": '"abc-2"', "last-modified": EARLY, "date": LATE}
    assert validator(headers) == Validator(etag='"abc-2"')


@pytest.mark.parametrize(
    "etag", ['W/"abc"', 'w/"abc"', "abc", '"abc', '""', '"a"b"', '"a b"', '"é"', f'"{"a" * 2000}"']
)
def test_a_weak_or_malformed_etag_leaves_no_validator_not_even_the_date(etag):
    assert not validator({"etag": etag, "last-modified": EARLY, "date": LATE})


def test_last_modified_is_the_validator_when_the_answer_was_sent_a_second_later():
    headers = {"last-modified": EARLY, "date": LATE}
    assert validator(headers) == Validator(last_modified=EARLY)


@pytest.mark.parametrize(
    ("modified", "sent"),
    [
        (EARLY, None),
        (EARLY, EARLY),
        (LATE, EARLY),
        (None, LATE),
        (EARLY, "now"),
        ("yesterday", LATE),
        ("Sun, 31 Feb 2026 00:00:00 GMT", LATE),
        ("Sun, 22 Nov 2026 23:59:60 GMT", LATE),
        ("Sun, 22 Foo 2026 23:59:59 GMT", LATE),
        ("Sun, 22 Nov 2026 23:59:59 +0000", LATE),
        ("Sun Nov 22 23:59:59 2026", LATE),
        ("Sun, 22 Nov 0000 23:59:59 GMT", LATE),
        (f"{EARLY}\r\nX: y", LATE),
    ],
)
def test_a_weak_or_malformed_date_is_no_validator(modified, sent):
    named = {"last-modified": modified, "date": sent}
    assert not validator({name: text for name, text in named.items() if text is not None})


def test_an_answer_without_etag_and_date_has_no_validator():
    assert validator({}) == Validator()
