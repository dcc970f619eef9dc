from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from artifact_sync.domain.cron import Cron, check_cron, local_zone, time_zone

if TYPE_CHECKING:
    from collections.abc import Iterator

BERLIN = time_zone("Europe/Berlin")
JANUARY, JULY = datetime(2026, 1, 15, 12, tzinfo=UTC), datetime(2026, 7, 15, 12, tzinfo=UTC)
POSIX_BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"

needs_tzset = pytest.mark.skipif(not hasattr(time, "tzset"), reason="no tzset on this platform")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def times(expression: str, begin: str, count: int) -> list[str]:
    cron, moment, found = Cron(expression, BERLIN), utc(begin), []
    for _ in range(count):
        moment = cron.next_after(moment)
        found.append(moment.strftime("%m-%d %H:%M"))
    return found


@pytest.mark.parametrize(
    "expression",
    [
        "* * * * *",
        "*/5 8-18 * * MON-FRI",
        "30 2 * * *",
        "0 0 29 2 *",
        "0 0 LW * *",
        "0 0 * * 5L",
        "0 0 * 2 MON#5",
        "0 0 31 2 MON",
        " 0  0 1 jan *",
    ],
)
def test_an_expression_that_comes_is_taken(expression: str) -> None:
    assert check_cron(expression) is None


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("61 * * * *", "'61' is no minute (0-59) in a cron expression"),
        ("0 24 * * *", "'24' is no hour (0-23) in a cron expression"),
        ("0 0 0 * *", "'0' is no day of the month (1-31, L or LW) in a cron expression"),
        ("0 0 * FOO *", "'FOO' is no month (1-12 or JAN-DEC) in a cron expression"),
        ("* * * * 5-1", "'5-1' is no day of the week (0-7 or SUN-SAT, 0 and 7 are Sunday) in a"),
        ("*/0 * * * *", "'*/0' is no minute"),
        ("٣ * * * *", "'٣' is no minute"),
        ("9" * 5000 + " * * * *", "'" + "9" * 60 + "' is no minute"),
        ("\x1b[2J * * * *", "'\\x1b[2J' is no minute"),
        ("0 0 31 2 *", "no day ever comes that fits the cron expression '0 0 31 2 *'"),
        ("0 0 31 4,6 *", "no day ever comes that fits the cron expression '0 0 31 4,6 *'"),
    ],
)
def test_what_is_wrong_with_an_expression_is_named(expression: str, wrong: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the text is compared below
        check_cron(expression)
    assert str(error.value).startswith(wrong)


@pytest.mark.parametrize(("expression", "count"), [("@daily", 1), ("0 0 * * * *", 6), ("", 0)])
def test_an_expression_has_five_fields(expression: str, count: int) -> None:
    with pytest.raises(ValueError, match=f"expected the five fields .* and there are {count}$"):
        check_cron(expression)


def test_the_next_time_is_strictly_later_and_in_utc() -> None:
    cron = Cron("30 2 * * *", BERLIN)
    assert cron.next_after(utc("2026-01-10 01:29:59.9")) == utc("2026-01-10 01:30")
    assert cron.next_after(utc("2026-01-10 01:30")) == utc("2026-01-11 01:30")
    assert cron.next_after(utc("2026-01-10 01:30")).tzinfo is UTC


def test_the_moment_may_be_given_in_any_zone() -> None:
    cron = Cron("30 2 * * *", BERLIN)
    moment = utc("2026-01-10 01:00").astimezone(time_zone("Asia/Tokyo"))
    assert cron.next_after(moment) == utc("2026-01-10 01:30")


def test_a_time_that_the_clocks_leave_out_comes_when_they_go_on() -> None:
    spring = times("30 2 * * *", "2026-03-28 00:00", 3)
    assert spring == ["03-28 01:30", "03-29 01:00", "03-30 00:30"]


def test_a_time_that_the_clocks_show_twice_comes_once() -> None:
    autumn = times("30 2 * * *", "2026-10-24 00:00", 3)
    assert autumn == ["10-24 00:30", "10-25 00:30", "10-26 01:30"]


def test_from_within_an_hour_shown_twice_the_next_time_is_still_later() -> None:
    second_showing_of_ten_past_two = utc("2026-10-25 01:10")
    cron = Cron("30 2 * * *", BERLIN)
    assert cron.next_after(second_showing_of_ten_past_two) == utc("2026-10-26 01:30")


def test_every_hour_means_every_hour_that_passes() -> None:
    autumn = times("0 * * * *", "2026-10-24 23:30", 4)
    assert autumn == ["10-25 00:00", "10-25 01:00", "10-25 02:00", "10-25 03:00"]
    spring = times("0 * * * *", "2026-03-29 00:30", 3)
    assert spring == ["03-29 01:00", "03-29 02:00", "03-29 03:00"]


@pytest.mark.parametrize(
    "name",
    [
        "Mars/Phobos",
        "../../etc/passwd",
        "/etc/passwd",
        "",
        ".",
        "America",
        "\0",
        "\udc80",
        "a" * 999,
    ],
)
def test_an_unknown_or_hostile_zone_is_refused_in_a_sentence(name: str) -> None:
    with pytest.raises(ValueError, match=r"^there is no time zone '.*'; expected a name such as"):
        time_zone(name)


@pytest.fixture
def _zone_restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield
    monkeypatch.undo()
    time.tzset()


def offset_hours(moment: datetime) -> float:
    offset = moment.astimezone(local_zone()).utcoffset()
    assert offset is not None
    return offset / timedelta(hours=1)


@needs_tzset
@pytest.mark.usefixtures("_zone_restored")
@pytest.mark.parametrize(
    "name",
    ["Europe/Berlin", ":Europe/Berlin", "/usr/share/zoneinfo/Europe/Berlin", POSIX_BERLIN],
)
def test_the_machines_zone_follows_daylight_saving(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", name)
    time.tzset()
    assert (offset_hours(JANUARY), offset_hours(JULY)) == (1.0, 2.0)


@pytest.mark.parametrize("name", [":Europe/Berlin", "/var/db/timezone/zoneinfo/Europe/Berlin"])
def test_a_named_zone_works_without_the_systems_help(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", name)
    assert local_zone() is BERLIN


@needs_tzset
@pytest.mark.usefixtures("_zone_restored")
def test_cron_goes_by_the_machines_own_rule_where_it_has_no_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", POSIX_BERLIN)
    time.tzset()
    cron = Cron("30 2 * * *", local_zone())
    assert cron == Cron("30 2 * * *", local_zone())
    assert cron.next_after(utc("2026-03-28 12:00")) == utc("2026-03-29 01:00")
    assert cron.next_after(utc("2026-10-25 00:30")) == utc("2026-10-26 01:30")
    assert utc("2026-10-25 01:30").astimezone(cron.zone).fold == 1


@needs_tzset
@pytest.mark.usefixtures("_zone_restored")
@pytest.mark.parametrize("name", ["", "Nowhere/AtAll", None])
def test_without_a_usable_name_the_zone_is_the_systems(
    name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TZ", raising=False)
    if name is not None:
        monkeypatch.setenv("TZ", name)
    time.tzset()
    for moment in (JANUARY, JULY):
        assert moment.astimezone(local_zone()).utcoffset() == moment.astimezone().utcoffset()
