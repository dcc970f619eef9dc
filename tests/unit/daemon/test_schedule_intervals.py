from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from artifact_sync.daemon.schedule.turns import (
    Interval,
    Moment,
    Why,
    due_after,
    jittered,
    retry_delay,
    rhythm_of,
)
from artifact_sync.domain.cron import Cron, local_zone, time_zone
from artifact_sync.domain.settings import DaemonSettings, RepoSettings

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Least(random.Random):
    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002
        return a


class Most(random.Random):
    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002
        return b


def at(seconds: float) -> Moment:
    return Moment(seconds, NOON + timedelta(seconds=seconds))


def test_a_repositorys_own_interval_goes_before_the_daemons() -> None:
    daemon = DaemonSettings(interval=120)
    assert rhythm_of(RepoSettings(name="o/r"), daemon) == Interval(120)
    assert rhythm_of(RepoSettings(name="o/r", interval=7), daemon) == Interval(7)


@pytest.mark.parametrize(
    ("own", "daemons", "zone"),
    [
        ("Asia/Tokyo", "Europe/Berlin", time_zone("Asia/Tokyo")),
        (None, "Europe/Berlin", time_zone("Europe/Berlin")),
        (None, None, local_zone()),
    ],
)
def test_cron_goes_by_the_repositorys_zone_then_the_daemons_then_the_machines(
    own: str | None, daemons: str | None, zone: object
) -> None:
    settings = RepoSettings(name="o/r", cron="0 3 * * *", time_zone=own)
    rhythm = rhythm_of(settings, DaemonSettings(time_zone=daemons))
    assert isinstance(rhythm, Cron)
    assert (rhythm.expression, rhythm.zone) == ("0 3 * * *", zone)


def test_an_interval_is_counted_from_the_begin_and_jitter_only_shortens_it() -> None:
    latest = due_after(Interval(100), at(10), at(60), Most())
    assert (latest.at, latest.why) == (110.0, Why.INTERVAL)
    assert due_after(Interval(100), at(10), at(60), Least()).at == 100.0


def test_a_look_that_took_longer_than_the_interval_leaves_the_next_one_overdue() -> None:
    assert due_after(Interval(100), at(10), at(500), Most()).at == 110.0


def test_cron_is_due_at_its_time_and_half_a_second_of_jitter_at_most() -> None:
    cron = Cron("5 12 * * *", UTC)
    exact = due_after(cron, at(0), at(60), Least())
    assert (exact.at, exact.why, exact.wall) == (300.0, Why.CRON, NOON + timedelta(minutes=5))
    assert due_after(cron, at(0), at(60), Most()).at == 300.5


def test_a_time_of_cron_that_passed_during_a_look_is_due_after_it() -> None:
    assert due_after(Cron("5 12 * * *", UTC), at(299), at(400), Least()).at == 300.0


def test_a_look_that_began_in_a_wrong_future_does_not_put_cron_off() -> None:
    began = Moment(0.0, NOON + timedelta(days=3650))
    assert due_after(Cron("5 12 * * *", UTC), began, at(10), Least()).at == 300.0


def test_cron_at_the_end_of_the_calendar_is_asked_again_in_an_hour() -> None:
    end = Moment(50.0, datetime(9999, 12, 31, 23, 59, tzinfo=UTC))
    assert due_after(Cron("0 0 1 1 *", UTC), end, end, Least()).at == 3650.0


@pytest.mark.parametrize(
    ("interval", "delays"),
    [
        (300, [60, 120, 240, 480, 960, 1920, 3600, 3600]),
        (10, [10, 20, 40, 80, 160, 320, 640, 1280]),
        (0, [1, 2, 4, 8, 16, 32, 64, 128]),
    ],
)
def test_a_failing_repository_is_looked_at_less_and_less_often_up_to_an_hour(
    interval: float, delays: list[float]
) -> None:
    rhythm = Interval(interval)
    assert [retry_delay(rhythm, failures, Most()) for failures in range(1, 9)] == delays


def test_the_delay_after_thousands_of_failures_is_still_an_hour() -> None:
    assert retry_delay(Cron("0 3 * * *", UTC), 100_000, Most()) == 3600.0
    assert retry_delay(Cron("0 3 * * *", UTC), 1, Least()) == 54.0


def test_jitter_spreads_over_a_tenth() -> None:
    rng = random.Random(1)  # noqa: S311
    delays = [jittered(100.0, rng) for _ in range(1000)]
    assert 90.0 <= min(delays) < 90.5
    assert 99.5 < max(delays) <= 100.0
