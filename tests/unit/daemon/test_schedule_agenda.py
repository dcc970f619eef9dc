from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from artifact_sync.daemon.schedule.agenda import Agenda
from artifact_sync.daemon.schedule.turns import (
    Ended,
    Interval,
    Moment,
    PassVerdict,
    RepoFailing,
    RepoRecovered,
    RunGivenUp,
    ScheduleState,
    Turn,
    Why,
)
from artifact_sync.domain.cron import Cron
from artifact_sync.domain.model import RepoName

if TYPE_CHECKING:
    from artifact_sync.daemon.schedule.turns import Notice, Rhythm

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
A, B, C = RepoName("o", "a"), RepoName("o", "b"), RepoName("o", "c")
STAR = RepoName("o", "*")
WELL = Ended(PassVerdict.WELL)
FAILED = Ended(PassVerdict.FAILED, "no such repository")
HOURLY = Interval(3600)


class Most(random.Random):
    """Jitter that takes nothing away."""

    def uniform(self, a: float, b: float) -> float:
        return b if b == 1.0 else a


class Day:
    """An agenda and its two clocks, which go together unless told otherwise."""

    def __init__(self, *repos: RepoName, rhythm: Rhythm = HOURLY) -> None:
        self.agenda = Agenda(Most())
        self.now = 1000.0
        self.wall = NOON
        self.agenda.assign(dict.fromkeys(repos, rhythm), self.moment)

    @property
    def moment(self) -> Moment:
        return Moment(self.now, self.wall)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.wall += timedelta(seconds=seconds)

    def wait_until_due(self) -> float:
        seconds = self.next_in()
        assert seconds is not None
        self.wait(seconds)
        return round(seconds, 6)

    def take(self, room: int = 100, busy: tuple[RepoName, ...] = ()) -> list[Turn]:
        return self.agenda.take(self.moment, room, busy)

    def begun(self, room: int = 100) -> list[tuple[RepoName, Why]]:
        return [(turn.repo, turn.why) for turn in self.take(room)]

    def end(self, repo: RepoName, ended: Ended = WELL) -> tuple[Notice, ...]:
        return self.agenda.ended(repo, ended, self.moment)

    def wake(self, repo: RepoName, why: Why = Why.WEBHOOK, run: str | None = None) -> bool:
        return self.agenda.wake(repo, why, self.moment, run=run)

    def next_in(self) -> float | None:
        return self.agenda.next_in(self.moment)

    def carry_out(self, ended: Ended = WELL) -> None:
        """Begin and end all that is due."""
        for turn in self.take():
            self.end(turn.repo, ended)

    def standing(self, repo: RepoName) -> ScheduleState:
        return next(it for it in self.agenda.states(self.moment) if it.repo == repo)


def day_after_the_first_look(*repos: RepoName, rhythm: Rhythm = HOURLY) -> Day:
    day = Day(*repos, rhythm=rhythm)
    day.carry_out()
    return day


# What is looked after


def test_a_new_repository_is_due_at_once() -> None:
    day = Day(A, STAR)
    assert day.next_in() == 0
    assert day.begun() == [(A, Why.FIRST), (STAR, Why.FIRST)]
    assert day.begun() == []


def test_nothing_is_due_when_nothing_is_looked_after() -> None:
    day = Day()
    assert (day.next_in(), day.begun(), day.agenda.states(day.moment)) == (None, [], [])


def test_a_repository_that_is_taken_away_is_dropped() -> None:
    day = Day(A, B)
    day.agenda.assign({B: HOURLY}, day.moment)
    assert day.wake(A) is False
    assert day.begun() == [(B, Why.FIRST)]


def test_a_running_one_that_is_taken_away_is_dropped_when_it_ends() -> None:
    day = Day(A)
    day.take()
    day.agenda.assign({}, day.moment)
    assert day.wake(A) is False
    assert day.end(A) == ()
    assert day.next_in() is None
    assert day.end(A) == ()


def test_a_running_one_that_is_taken_away_and_comes_back_is_not_begun_twice() -> None:
    day = Day(A)
    day.take()
    day.agenda.assign({}, day.moment)
    day.agenda.assign({A: HOURLY}, day.moment)
    assert day.begun() == []
    day.end(A)
    assert day.next_in() == 3600


def test_another_rhythm_counts_from_the_last_look() -> None:
    day = day_after_the_first_look(A)
    day.wait(60)
    day.agenda.assign({A: Interval(300)}, day.moment)
    assert day.next_in() == 240


def test_another_rhythm_makes_no_immediate_pass() -> None:
    day = day_after_the_first_look(A)
    day.wait(1800)
    day.agenda.assign({A: Interval(300)}, day.moment)
    assert day.next_in() == 300
    day.agenda.assign({A: Cron("0 13 * * *", UTC)}, day.moment)
    assert day.next_in() == 1800


def test_assigning_the_same_again_changes_nothing() -> None:
    day = day_after_the_first_look(A)
    day.wait(1800)
    day.agenda.assign({A: Interval(3600)}, day.moment)
    assert day.next_in() == 1800


# By rhythm


def test_an_interval_is_counted_from_begin_to_begin() -> None:
    day = Day(A)
    day.take()
    day.wait(100)
    day.end(A)
    assert day.wait_until_due() == 3500
    assert day.begun() == [(A, Why.INTERVAL)]


def test_after_a_look_longer_than_the_interval_the_next_one_follows_at_once() -> None:
    day = Day(A, rhythm=Interval(300))
    day.take()
    day.wait(1000)
    day.end(A)
    assert day.begun() == [(A, Why.INTERVAL)]


def test_cron_is_looked_at_at_its_times() -> None:
    day = day_after_the_first_look(A, rhythm=Cron("*/5 12 * * *", UTC))
    for _ in range(3):
        assert day.wait_until_due() == 300
        assert day.begun() == [(A, Why.CRON)]
        day.end(A)


def test_cron_never_begins_before_its_time_though_the_clocks_differ_a_little() -> None:
    day = day_after_the_first_look(A, rhythm=Cron("5 12 * * *", UTC))
    day.wait(60)
    day.wall -= timedelta(seconds=3)
    day.wait(240)
    assert day.begun() == []
    assert day.wait_until_due() == 3
    assert day.begun() == [(A, Why.CRON)]
    day.end(A)
    assert day.next_in() == 86400


def test_an_interval_of_nothing_does_not_spin() -> None:
    day = day_after_the_first_look(A, rhythm=Interval(0))
    assert day.wait_until_due() == 1.0


# Order and room


def test_the_woken_come_first_and_then_those_that_are_due_the_longest() -> None:
    day = Day(A, B, C)
    day.wait(5)
    day.wake(C)
    assert day.begun(room=2) == [(C, Why.WEBHOOK), (A, Why.FIRST)]
    assert day.begun(room=2) == [(B, Why.FIRST)]


def test_without_room_nothing_is_begun_and_nothing_is_lost() -> None:
    day = Day(A)
    assert day.begun(room=0) == []
    assert day.begun(room=1) == [(A, Why.FIRST)]


def test_a_busy_one_is_left_out_and_keeps_its_place() -> None:
    day = Day(A, B, C)
    assert [turn.repo for turn in day.take(1, busy=(A,))] == [B]
    assert [turn.repo for turn in day.take(2)] == [A, C]


def test_a_busy_one_that_was_woken_stays_woken() -> None:
    day = Day(A, B)
    day.wake(B)
    assert [turn.repo for turn in day.take(2, busy=(B,))] == [A]
    assert day.begun() == [(B, Why.WEBHOOK)]


# Waking


def test_a_woken_repository_is_looked_at_at_once() -> None:
    day = day_after_the_first_look(A)
    day.wait(10)
    assert day.wake(A) is True
    assert day.next_in() == 0
    assert day.begun() == [(A, Why.WEBHOOK)]


def test_an_unknown_one_cannot_be_woken() -> None:
    assert Day(A).wake(B) is False


def test_many_wakes_make_one_pass() -> None:
    day = day_after_the_first_look(A)
    day.wait(10)
    for _ in range(1000):
        day.wake(A)
    assert day.begun() == [(A, Why.WEBHOOK)]
    day.end(A)
    assert day.next_in() == 3600


def test_wakes_while_it_runs_make_exactly_one_more_pass() -> None:
    day = Day(A)
    day.take()
    for _ in range(1000):
        day.wake(A, Why.RESTORE)
    assert day.begun() == []
    day.wait(10)
    day.end(A)
    assert day.begun() == [(A, Why.RESTORE)]
    day.end(A)
    assert day.next_in() == 3600


def test_two_passes_over_one_repository_never_begin_closely_after_each_other() -> None:
    day = Day(A)
    for _ in range(10):
        assert day.wait_until_due() in {0, 0.9}
        assert len(day.take()) == 1
        day.wait(0.1)
        day.wake(A)
        day.end(A)


def test_what_was_asked_for_eagerly_stays_so_until_it_was_looked_at() -> None:
    day = day_after_the_first_look(A)
    day.wait(1)
    day.agenda.wake(A, Why.RESTORE, day.moment, eager=True)
    day.wake(A)
    assert day.take() == [Turn(A, Why.RESTORE, eager=True)]
    day.end(A, FAILED)
    day.wait(60)
    assert day.take() == [Turn(A, Why.RETRY, eager=True)]
    day.end(A)
    day.wait(3600)
    assert day.take() == [Turn(A, Why.INTERVAL, eager=False)]


def test_all_can_be_woken_together() -> None:
    day = day_after_the_first_look(A, B)
    day.wait(1)
    day.agenda.wake_all(Why.AGAIN, day.moment, eager=True)
    assert day.take() == [Turn(A, Why.AGAIN, eager=True), Turn(B, Why.AGAIN, eager=True)]


# Failing


def test_a_failing_repository_is_looked_at_less_and_less_often_up_to_an_hour() -> None:
    day = Day(A, rhythm=Interval(300))
    day.carry_out(FAILED)
    delays = []
    for _ in range(8):
        delays.append(day.wait_until_due())
        assert day.begun() == [(A, Why.RETRY)]
        day.end(A, FAILED)
    assert delays == [60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_a_woken_one_is_looked_at_at_once_and_its_delay_begins_anew() -> None:
    day = Day(A)
    for _ in range(5):
        day.carry_out(FAILED)
        day.wait_until_due()
    day.carry_out(FAILED)
    day.wait(1)
    day.wake(A)
    assert day.begun() == [(A, Why.WEBHOOK)]
    day.end(A, FAILED)
    assert day.next_in() == 60


def test_after_one_good_look_the_rhythm_holds_again() -> None:
    day = Day(A, rhythm=Interval(300))
    day.carry_out(FAILED)
    day.wait(60)
    day.carry_out()
    assert day.next_in() == 300


def test_failing_is_said_once_and_recovering_once() -> None:
    day = Day(A)
    day.take()
    assert day.end(A, FAILED) == (RepoFailing(A, "no such repository"),)
    for _ in range(3):
        day.wait(1)
        day.wake(A)
        day.take()
        assert day.end(A, FAILED) == ()
    day.wait(60)
    day.take()
    assert day.end(A) == (RepoRecovered(A, 63.0),)
    day.wait(3600)
    day.take()
    assert day.end(A) == ()


# What is outstanding


def test_something_outstanding_is_looked_at_when_it_is_due() -> None:
    day = Day(A)
    day.take()
    day.end(A, Ended(PassVerdict.WELL, again_at=day.wall + timedelta(seconds=20)))
    assert day.wait_until_due() == 20
    assert day.begun() == [(A, Why.OUTSTANDING)]


def test_something_outstanding_never_delays_the_rhythm() -> None:
    day = Day(A)
    day.take()
    day.end(A, Ended(PassVerdict.WELL, again_at=day.wall + timedelta(hours=2)))
    assert day.wait_until_due() == 3600
    assert day.begun() == [(A, Why.INTERVAL)]


def test_what_is_outstanding_since_long_ago_waits_for_a_second() -> None:
    day = Day(A)
    day.take()
    day.end(A, Ended(PassVerdict.WELL, again_at=day.wall - timedelta(days=1)))
    assert day.next_in() == 1


def test_an_announced_run_is_looked_for_until_it_is_finished() -> None:
    day = day_after_the_first_look(A)
    day.wait(1)
    day.wake(A, run="7")
    delays = []
    for _ in range(4):
        assert day.take() == [Turn(A, Why.WEBHOOK, announced=("7",))]
        day.end(A)
        delays.append(day.wait_until_due())
    assert delays == [1, 2, 4, 8]
    day.take()
    assert day.end(A, Ended(PassVerdict.WELL, finished=("7",))) == ()
    assert day.next_in() == 3600


def test_an_announced_run_is_given_up_after_a_quarter_of_an_hour() -> None:
    day = day_after_the_first_look(A)
    day.wait(1)
    day.wake(A, run="7")
    day.take()
    day.end(A)
    delays: list[float] = []
    notices: tuple[Notice, ...] = ()
    while not notices:
        delays.append(day.wait_until_due())
        assert day.take() == [Turn(A, Why.WEBHOOK, announced=("7",))]
        notices = day.end(A)
    assert notices == (RunGivenUp(A, "7"),)
    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 89]
    assert day.next_in() == 3600


def test_a_run_announced_while_the_repository_runs_is_looked_for_by_the_next_pass() -> None:
    day = Day(A)
    assert day.take() == [Turn(A, Why.FIRST)]
    day.wake(A, run="7")
    day.wait(1)
    day.end(A)
    assert day.take() == [Turn(A, Why.WEBHOOK, announced=("7",))]


def test_the_first_look_for_a_run_is_the_first_that_was_given_it() -> None:
    day = Day(A)
    day.take()
    day.wake(A, run="7")
    day.wait(1)
    day.end(A)
    day.take()
    day.wait(5)
    day.end(A)
    assert day.next_in() == 1


def test_a_look_for_one_run_does_not_put_off_another() -> None:
    day = day_after_the_first_look(A)
    day.wait(1)
    day.wake(A, run="7")
    for _ in range(3):
        day.wait_until_due()
        day.carry_out()
    assert day.next_in() == 4
    day.wait(1)
    day.wake(A, run="8")
    assert day.take()[0].announced == ("7", "8")
    day.end(A, Ended(PassVerdict.WELL, finished=("8",)))
    assert day.next_in() == 3


def test_a_run_is_not_given_up_while_its_repository_cannot_be_looked_at() -> None:
    day = day_after_the_first_look(A)
    day.wait(1)
    day.wake(A, run="7")
    for _ in range(7):
        day.wait_until_due()
        assert day.take()[0].announced == ("7",)
        assert RunGivenUp(A, "7") not in day.end(A, FAILED)
    assert day.now > 1000 + 900
    day.wait_until_due()
    assert day.take()[0].announced == ("7",)
    assert day.end(A) == (RepoRecovered(A, 7380.0),)
    assert day.next_in() == 1


def test_a_flood_of_announced_runs_is_bounded() -> None:
    day = day_after_the_first_look(A)
    day.wait(1)
    for number in range(10_000):
        day.wake(A, run=str(number))
    assert len(day.take()[0].announced) == 256


# Clocks


def test_after_sleep_there_is_one_catch_up_pass_of_each() -> None:
    day = day_after_the_first_look(A, B)
    day.wait(60)
    day.wall += timedelta(days=2)
    assert day.next_in() == 0
    assert day.begun() == [(A, Why.CATCH_UP), (B, Why.CATCH_UP)]
    day.end(A)
    day.end(B)
    assert day.next_in() == 3600


def test_after_sleep_cron_is_caught_up_with_once() -> None:
    day = day_after_the_first_look(A, rhythm=Cron("*/5 * * * *", UTC))
    day.wall += timedelta(hours=10, seconds=30)
    assert day.begun() == [(A, Why.CATCH_UP)]
    day.end(A)
    assert day.next_in() == 270


def test_a_sleep_that_ends_before_anything_was_due_makes_it_due_the_sooner() -> None:
    day = day_after_the_first_look(A)
    day.wall += timedelta(minutes=50)
    assert day.wait_until_due() == 600
    assert day.begun() == [(A, Why.INTERVAL)]


def test_a_sleep_during_a_look_counts_for_the_next_one() -> None:
    day = Day(A)
    day.take()
    day.wall += timedelta(minutes=50)
    day.end(A)
    assert day.next_in() == 600


def test_where_the_monotonic_clock_goes_on_during_sleep_there_is_one_pass_too() -> None:
    day = day_after_the_first_look(A)
    day.wait(86_400)
    assert day.begun() == [(A, Why.INTERVAL)]
    day.end(A)
    assert day.next_in() == 3600


def test_intervals_go_on_when_the_clock_is_set_back() -> None:
    day = day_after_the_first_look(A)
    day.wait(600)
    day.wall -= timedelta(days=30)
    assert day.next_in() == 3000


def test_cron_goes_by_the_new_time_when_the_clock_is_set_back() -> None:
    day = day_after_the_first_look(A, rhythm=Cron("30 12 * * *", UTC))
    day.wait(600)
    day.wall -= timedelta(minutes=5)
    assert day.next_in() == 1500


def test_what_was_due_by_cron_stays_due_when_the_clock_is_set_back() -> None:
    day = day_after_the_first_look(A, rhythm=Cron("30 12 * * *", UTC))
    day.wait(1801)
    day.wall -= timedelta(hours=1)
    assert day.begun() == [(A, Why.CRON)]


@pytest.mark.parametrize("rhythm", [HOURLY, Cron("0 * * * *", UTC)])
def test_nothing_waits_for_a_moment_in_a_wrong_future(rhythm: Rhythm) -> None:
    day = day_after_the_first_look(A, rhythm=rhythm)
    day.wall += timedelta(days=3650)
    assert day.begun() == [(A, Why.CATCH_UP)]
    day.end(A, Ended(PassVerdict.WELL, again_at=day.wall + timedelta(hours=5)))
    day.wall -= timedelta(days=3650)
    assert day.next_in() == 3600


def test_a_look_that_began_in_a_wrong_future_does_not_put_cron_off() -> None:
    day = day_after_the_first_look(A, rhythm=Cron("0 * * * *", UTC))
    day.wall += timedelta(days=3650)
    day.take()
    day.wall -= timedelta(days=3650)
    day.end(A)
    assert day.next_in() == 3600


def test_small_differences_of_the_clocks_do_nothing() -> None:
    day = day_after_the_first_look(A)
    day.wait(600)
    day.wall += timedelta(seconds=4)
    assert day.next_in() == 3000


def test_many_small_differences_count_together_in_the_end() -> None:
    day = day_after_the_first_look(A, rhythm=Cron("30 12 * * *", UTC))
    for _ in range(10):
        day.wait(60)
        day.wall += timedelta(seconds=2)
        day.take()
    assert day.next_in() == pytest.approx(1180, abs=5)


# How it stands


def test_it_can_be_seen_how_each_repository_stands() -> None:
    day = Day(A, B)
    day.take(1)
    day.wait(10)
    day.wake(A, run="7")
    assert day.agenda.queue(day.moment) == 1
    assert day.standing(A) == ScheduleState(A, True, Why.FIRST, None, 0, 0, "")  # noqa: FBT003
    assert day.standing(B) == ScheduleState(B, False, Why.FIRST, 0, 10, 0, "")  # noqa: FBT003
    day.end(A, FAILED)
    assert day.standing(A).why is Why.WEBHOOK
    day.take()
    day.end(A, FAILED)
    assert day.standing(A) == ScheduleState(
        A, False, Why.RETRY, 60, 0, 2, "no such repository"  # noqa: FBT003
    )  # fmt: skip
    assert day.agenda.queue(day.moment) == 0


def test_the_end_of_what_was_not_begun_is_ignored() -> None:
    day = day_after_the_first_look(A)
    assert day.end(A, FAILED) == ()
    assert day.next_in() == 3600


def test_being_woken_for_months_leaves_nothing_behind() -> None:
    day = day_after_the_first_look(A, B)
    for _ in range(1000):
        day.wait(1)
        day.wake(A)
        day.carry_out()
    assert len(day.agenda._timed._heap) <= 68
    assert day.wait_until_due() == 2600
    assert day.begun() == [(B, Why.INTERVAL)]


def test_five_thousand_repositories_cost_next_to_nothing() -> None:
    names = [RepoName("o", str(number)) for number in range(5000)]
    day = day_after_the_first_look(*names)
    day.wait(10)
    begin = time.process_time()
    for number in range(2000):
        day.wake(names[number])
        for turn in day.take(16):
            day.end(turn.repo)
        day.next_in()
    assert time.process_time() - begin < 1.0  # a millisecond for each of 2,000: 0.05 s are usual
