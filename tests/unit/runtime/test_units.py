from __future__ import annotations

import pytest

from artifact_sync.runtime.units import (
    counted,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("2h", 7_200),
        ("7d", 604_800),
        ("1w", 604_800),
        ("250ms", 0.25),
        ("1h30m", 5_400),
        ("1d 12h", 129_600),
        (" 10 s ", 10),
        ("1.5h", 5_400),
        ("0", 0),
        ("90", 90),
        ("0.1", 0.1),
        # Guards against: durations as people say them that are refused
        ("7 days", 604_800),
        ("1 day", 86_400),
        ("2 Weeks", 1_209_600),
        ("90 minutes", 5_400),
        ("1 hour 30 min", 5_400),
        ("1 hour, 30 secs", 3_630),
        ("250 milliseconds", 0.25),
        ("36 HRS", 129_600),
    ],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s",
        "5 apples",
        "-5s",
        "5M",
        "1e3",
        "inf",
        "nan",
        "30s!",
        "٣s",
        "1h30",
        "s30",
        "7 dayss",
        "3 months",
        "1 hand",
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration such as 30s, 5m, 2h, 7d or 1w"):
        parse_duration(text)


def test_a_duration_that_would_leave_the_calendar_is_refused() -> None:
    assert parse_duration("36525d") == 3_155_760_000
    with pytest.raises(ValueError, match="a hundred years"):
        parse_duration("36526d")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("512B", 512),
        ("1kB", 1_000),
        ("1KB", 1_000),
        ("1KiB", 1_024),
        ("100MiB", 104_857_600),
        ("1GB", 1_000_000_000),
        ("1.5 GiB", 1_610_612_736),
        ("2tib", 2_199_023_255_552),
        ("1PB", 10**15),
    ],
)
def test_a_size_is_read_in_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "B", "1G", "1.5", "-1", "10 Gigs", "1e9", "\uff11GB", "0x10"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size such as 512, 100MiB or 1GB"):
        parse_size(text)


def test_a_size_that_no_disk_can_count_is_refused() -> None:
    with pytest.raises(ValueError, match="8 EiB"):
        parse_size("100000PiB")


@pytest.mark.parametrize(
    ("seconds", "text"), [(60.0, "1m"), (90.0, "90s"), (604_800.0, "7d"), (0.25, "0.25s")]
)
def test_a_duration_is_shown_in_its_largest_whole_unit(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0"), (1_234, "1234"), (104_857_600, "100MiB"), (10**9, "1GB")]
)
def test_a_size_is_shown_in_its_largest_whole_unit(size: int, text: str) -> None:
    assert format_size(size) == text


def test_one_thing_is_not_things() -> None:
    """Guards against: ``1 files``."""
    assert [counted(n, "file") for n in (0, 1, 2_000)] == ["0 files", "1 file", "2,000 files"]
