from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from artifact_sync.daemon.schedule.agenda import Agenda
from artifact_sync.daemon.schedule.turns import (
    Ended,
    Interval,
    Moment,
    OutageBegan,
    OutageEnded,
    PassVerdict,
    RepoFailing,
    RepoRecovered,
    Turn,
    Why,
)
from artifact_sync.domain.model import RepoName

if TYPE_CHECKING:
    from artifact_sync.daemon.schedule.turns import Notice

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
A, B, C, D = (RepoName("o", name) for name in "abcd")
WELL = Ended(PassVerdict.WELL)
FAILED = Ended(PassVerdict.FAILED, "no such repository")
UNREACHABLE = Ended(PassVerdict.UNREACHABLE, "no answer")
REFUSED = Ended(PassVerdict.REFUSED, "the token is refused")
BEGAN = OutageBegan(PassVerdict.UNREACHABLE, "no answer")


class Most(random.Random):
    """Jitter that takes nothing away."""

    def uniform(self, a: float, b: float) -> float:
        return b if b == 1.0 else a


class Day:
    """An agenda and its two clocks."""

    def __init__(self, *repos: RepoName) -> None:
        self.agenda = Agenda(Most())
        self.now = 1000.0
        self.wall = NOON
        self.agenda.assign(dict.fromkeys(repos, Interval(3600)), self.moment)

    @property
    def moment(self) -> Moment:
        return Moment(self.now, self.wall)

    @property
    def reachable(self) -> bool:
        return self.agenda.outage.reachable

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.wall += timedelta(seconds=seconds)

    def wait_until_due(self) -> float:
        seconds = self.next_in()
        assert seconds is not None
        self.wait(seconds)
        return seconds

    def next_in(self) -> float | None:
        return self.agenda.next_in(self.moment)

    def take(self, room: int = 100) -> list[RepoName]:
        return [turn.repo for turn in self.agenda.take(self.moment, room)]

    def end(self, repo: RepoName, ended: Ended) -> tuple[Notice, ...]:
        return self.agenda.ended(repo, ended, self.moment)

    def wake(self, repo: RepoName) -> None:
        self.agenda.wake(repo, Why.WEBHOOK, self.moment)

    def probe(self, ended: Ended) -> tuple[RepoName, tuple[Notice, ...]]:
        (repo,) = self.take()
        return repo, self.end(repo, ended)


def day_of_an_outage(*repos: RepoName, ended: Ended = UNREACHABLE) -> Day:
    """All of them tried at once, all in vain."""
    day = Day(*repos)
    for repo in day.take():
        day.end(repo, ended)
    assert not day.reachable
    return day


# How it begins


def test_two_repositories_in_a_row_that_reach_nothing_make_an_outage() -> None:
    day = Day(A, B)
    day.take()
    assert day.end(A, UNREACHABLE) == ()
    assert day.reachable
    assert day.end(B, UNREACHABLE) == (BEGAN,)
    outage = day.agenda.outage
    assert (outage.reachable, outage.kind) == (False, PassVerdict.UNREACHABLE)
    assert (outage.since, outage.why) == (day.wall, "no answer")


def test_a_pass_that_was_broken_off_says_nothing_and_begins_again() -> None:
    busy = Ended(PassVerdict.BUSY, "its lock was lost")
    day = Day(A)
    day.take()
    assert day.end(A, busy) == ()
    assert day.reachable
    assert day.wait_until_due() == 1
    assert day.take() == [A]
    day.end(A, UNREACHABLE)
    assert day.wait_until_due() == 5
    assert day.take() == [A]
    assert day.end(A, busy) == ()  # the probe
    assert day.wait_until_due() == 5
    assert [type(it) for it in day.probe(WELL)[1]] == [OutageEnded]


def test_the_only_repository_makes_an_outage_alone() -> None:
    day = Day(A)
    day.take()
    assert day.end(A, UNREACHABLE) == (BEGAN,)


def test_the_same_repository_twice_makes_none_where_there_are_others() -> None:
    day = Day(A, B)
    day.take()
    day.end(A, UNREACHABLE)
    day.wait(60)
    assert day.take() == [A]
    assert day.end(A, UNREACHABLE) == (RepoFailing(A, "no answer"),)
    assert day.reachable


def test_an_answer_between_keeps_two_from_making_an_outage() -> None:
    day = Day(A, B, C)
    day.take()
    assert day.end(A, UNREACHABLE) == ()
    assert day.end(B, FAILED) == (RepoFailing(B, "no such repository"), RepoFailing(A, "no answer"))
    assert day.end(C, UNREACHABLE) == ()
    assert day.reachable


def test_one_that_reaches_nothing_among_good_ones_is_failing_for_itself() -> None:
    day = Day(A, B)
    day.take()
    assert day.end(A, UNREACHABLE) == ()
    assert day.end(B, WELL) == (RepoFailing(A, "no answer"),)
    assert day.wait_until_due() == 60
    assert day.take() == [A]
    assert day.end(A, WELL) == (RepoRecovered(A, 60.0),)


def test_a_single_blip_is_not_spoken_of() -> None:
    day = Day(A, B)
    day.take(1)
    assert day.end(A, UNREACHABLE) == ()
    day.wake(A)
    day.wait(1)
    assert day.take(2) == [B, A]
    assert day.end(A, WELL) == ()
    assert day.end(B, WELL) == ()


def test_a_token_that_is_refused_to_two_or_to_the_only_one_makes_an_outage() -> None:
    day = Day(A, B, C)
    day.take()
    assert day.end(A, REFUSED) == ()
    assert day.end(B, REFUSED) == (OutageBegan(PassVerdict.REFUSED, "the token is refused"),)
    assert day.end(C, REFUSED) == ()
    alone = Day(A)
    alone.take()
    assert alone.end(A, REFUSED) == (OutageBegan(PassVerdict.REFUSED, "the token is refused"),)


def test_one_that_is_refused_and_one_that_reaches_nothing_make_no_outage_together() -> None:
    day = Day(A, B, C)
    day.take()
    assert day.end(A, REFUSED) == ()
    assert day.end(B, UNREACHABLE) == ()
    assert day.end(C, UNREACHABLE) == (BEGAN,)


# While it is only suspected


def rested(*repos: RepoName) -> Day:
    """All of them were looked at a minute ago, one a second, and nothing is due for long."""
    day = Day(*repos)
    day.take()
    for repo in repos:
        day.end(repo, WELL)
        day.wait(1)
    day.wait(60)
    return day


def begin(day: Day, repo: RepoName) -> None:
    day.wake(repo)
    assert day.take() == [repo]


@pytest.mark.parametrize("ended", [UNREACHABLE, REFUSED])
def test_a_suspicion_is_looked_into_at_once_by_the_one_that_was_well_last(ended: Ended) -> None:
    day = rested(A, B, C)
    begin(day, A)
    assert day.end(A, ended) == ()
    assert day.next_in() == 0
    assert day.take() == [C]
    assert day.take() == []
    assert day.end(C, ended) == (OutageBegan(ended.verdict, ended.error),)
    assert day.next_in() == 5


@pytest.mark.parametrize("ended", [UNREACHABLE, REFUSED])
def test_a_suspicion_that_is_not_borne_out_is_the_repositorys_own_trouble(ended: Ended) -> None:
    day = rested(A, B, C)
    begin(day, A)
    day.end(A, ended)
    assert day.take() == [C]
    assert day.end(C, WELL) == (RepoFailing(A, ended.error),)
    for delay in (60, 120, 240):
        assert day.wait_until_due() == delay
        assert day.take() == [A]
        assert day.end(A, ended) == ()
        assert day.take() == []
    assert day.reachable


def test_the_list_that_the_one_sent_has_read_is_enough_though_it_goes_on_for_hours() -> None:
    day = rested(A, B)
    begin(day, A)
    day.end(A, REFUSED)
    assert day.take() == [B]
    assert day.agenda.answered(B, day.moment) == (RepoFailing(A, "the token is refused"),)
    assert day.agenda.answered(B, day.moment) == ()


def test_an_answer_to_a_pass_from_before_the_suspicion_does_not_clear_it() -> None:
    day = rested(A, B, C)
    begin(day, B)
    day.wait(1)
    begin(day, A)
    day.wait(1)
    day.end(A, REFUSED)
    assert day.end(B, WELL) == ()
    assert day.take() == [B]
    assert day.end(B, REFUSED) == (OutageBegan(PassVerdict.REFUSED, "the token is refused"),)


def test_without_room_a_suspicion_has_to_wait() -> None:
    day = rested(A, B)
    begin(day, A)
    day.end(A, REFUSED)
    assert day.take(room=0) == []
    assert day.take(room=1) == [B]


def test_a_suspect_that_is_taken_away_is_suspected_of_nothing() -> None:
    day = rested(A, B, C)
    begin(day, A)
    day.end(A, REFUSED)
    day.agenda.assign(dict.fromkeys((B, C), Interval(3600)), day.moment)
    assert day.take() == []


def test_one_whose_trouble_is_known_as_its_own_bears_no_witness() -> None:
    day = rested(A, B, C)
    begin(day, A)
    day.end(A, REFUSED)
    assert day.take() == [C]
    day.end(C, WELL)
    day.wait_until_due()
    assert day.take() == [A]
    day.wake(B)
    assert day.take() == [B]
    assert day.end(B, REFUSED) == ()
    assert day.end(A, REFUSED) == ()
    assert day.take() == [C]
    assert day.end(C, WELL) == (RepoFailing(B, "the token is refused"),)


def test_where_all_others_have_troubles_of_their_own_the_last_one_makes_an_outage() -> None:
    day = rested(A, B)
    begin(day, A)
    day.end(A, REFUSED)
    assert day.take() == [B]
    day.end(B, WELL)
    day.wait(1)
    begin(day, B)
    assert day.end(B, REFUSED) == (OutageBegan(PassVerdict.REFUSED, "the token is refused"),)


def test_however_many_reach_nothing_it_is_said_once() -> None:
    day = Day(A, B, C, D)
    day.take()
    notices = [notice for repo in (A, B, C, D) for notice in day.end(repo, UNREACHABLE)]
    assert notices == [BEGAN]


# While it lasts


def test_one_probe_at_a_time_goes_out_after_growing_delays() -> None:
    day = day_of_an_outage(A, B, C)
    delays = []
    for _ in range(6):
        delays.append(day.wait_until_due())
        (repo,) = day.take()
        assert day.take() == []
        assert day.next_in() is None
        day.end(repo, UNREACHABLE)
    assert delays == [5, 10, 20, 40, 60, 60]


def test_a_refused_token_is_tried_more_seldom() -> None:
    day = day_of_an_outage(A, B, ended=REFUSED)
    delays = []
    for _ in range(8):
        delays.append(day.wait_until_due())
        day.probe(REFUSED)
    assert delays == [5, 10, 20, 40, 80, 160, 300, 300]


def test_probes_take_turns_among_the_repositories() -> None:
    day = day_of_an_outage(A, B, C)
    probed = []
    for _ in range(6):
        day.wait_until_due()
        probed.append(day.probe(UNREACHABLE)[0])
    assert probed == [A, B, C, A, B, C]


def test_a_probe_goes_out_though_nothing_is_due() -> None:
    day = Day(A, B)
    day.take()
    day.end(A, UNREACHABLE)
    day.wait(1)
    assert day.end(B, UNREACHABLE) == (BEGAN,)
    day.wait(5)
    assert day.take() == [A]
    day.end(A, UNREACHABLE)
    day.wake(A)
    day.agenda.assign({B: Interval(3600)}, day.moment)
    day.wait(10)
    assert day.take() == [B]


def test_probes_go_to_those_that_were_well_before_those_that_were_not() -> None:
    day = rested(A, B, C, D)
    for repo in (A, B):
        day.wake(repo)
    day.take()
    day.end(A, UNREACHABLE)
    day.wait(1)
    assert day.end(B, UNREACHABLE) == (BEGAN,)
    probed = []
    for _ in range(6):
        day.wake(A)
        day.wait_until_due()
        probed.append(day.probe(UNREACHABLE)[0])
    assert probed == [D, C, A, B, D, C]


def test_one_that_is_refused_for_itself_does_not_turn_an_outage_into_a_refused_token() -> None:
    day = rested(A, B)
    begin(day, A)
    day.end(A, REFUSED)
    assert day.take() == [B]
    day.end(B, WELL)
    day.wait(1)
    begin(day, B)
    assert day.end(B, UNREACHABLE) == (BEGAN,)
    day.wait(5)
    assert day.probe(REFUSED) == (A, ())
    assert day.agenda.outage.kind is PassVerdict.UNREACHABLE


def test_a_probe_by_one_that_fails_for_itself_puts_off_the_next_for_no_longer() -> None:
    day = rested(A, B)
    begin(day, A)
    day.end(A, REFUSED)
    assert day.take() == [B]
    day.end(B, WELL)
    day.wait(1)
    begin(day, B)
    day.end(B, UNREACHABLE)
    probes = []
    for _ in range(8):
        delay = day.wait_until_due()
        probes.append((delay, day.probe(UNREACHABLE)[0]))
    assert probes == [(5, A), (5, B), (10, A), (5, B), (20, A), (5, B), (40, A), (5, B)]


def test_without_room_no_probe_goes_out() -> None:
    day = day_of_an_outage(A)
    day.wait(5)
    assert day.take(room=0) == []
    assert day.take(room=1) == [A]


def test_a_woken_repository_probes_at_once_but_not_more_often_than_once_a_second() -> None:
    day = day_of_an_outage(A, B)
    day.wait(0.5)
    day.wake(A)
    assert day.wait_until_due() == 0.5
    assert day.probe(UNREACHABLE) == (A, ())
    for _ in range(100):
        day.wake(B)
    assert day.wait_until_due() == 1
    assert day.probe(UNREACHABLE) == (B, ())
    assert day.next_in() == 20


def test_waking_all_makes_one_probe_and_not_one_of_each() -> None:
    day = day_of_an_outage(A, B, C)
    day.wait(2)
    day.agenda.wake_all(Why.AGAIN, day.moment, eager=True)
    assert day.agenda.take(day.moment, 9) == [Turn(A, Why.AGAIN, eager=True)]
    day.end(A, UNREACHABLE)
    assert day.next_in() == 10


def test_an_outage_does_not_count_as_the_repositories_own_failing() -> None:
    day = day_of_an_outage(A, B)
    day.wait(5)
    day.probe(UNREACHABLE)
    assert [it.failing for it in day.agenda.states(day.moment)] == [0, 0]
    assert [it.overdue for it in day.agenda.states(day.moment)] == [5, 5]


def test_an_unanswered_call_that_turns_into_a_refused_token_is_said() -> None:
    day = day_of_an_outage(A, B)
    day.wait(5)
    assert day.probe(REFUSED)[1] == (
        OutageEnded(PassVerdict.UNREACHABLE, 5.0),
        OutageBegan(PassVerdict.REFUSED, "the token is refused"),
    )
    assert day.wait_until_due() == 5
    assert day.probe(UNREACHABLE)[1] == ()
    assert day.agenda.outage.kind is PassVerdict.REFUSED


def test_after_sleep_a_probe_goes_out_at_once() -> None:
    day = day_of_an_outage(A, B)
    for _ in range(5):
        day.wait_until_due()
        day.probe(UNREACHABLE)
    day.wait(1)
    day.wall += timedelta(hours=1)
    assert day.next_in() == 0


# How it ends


def test_the_first_answer_ends_it_and_all_that_is_overdue_is_due() -> None:
    day = day_of_an_outage(A, B, C)
    day.wait(5)
    assert day.probe(WELL) == (A, (OutageEnded(PassVerdict.UNREACHABLE, 5.0),))
    assert day.take() == [B, C]
    outage = day.agenda.outage
    assert (outage.reachable, outage.since, outage.why) == (True, None, "")


def test_an_answer_that_is_no_good_one_ends_it_too() -> None:
    day = day_of_an_outage(A, B)
    day.wait(5)
    assert day.probe(FAILED)[1] == (
        OutageEnded(PassVerdict.UNREACHABLE, 5.0),
        RepoFailing(A, "no such repository"),
    )
    assert day.take() == [B]


def test_a_probe_that_asked_nobody_does_not_end_it() -> None:
    """As one by a worker whose configuration lacks the repository."""
    day = day_of_an_outage(A, B, C)
    day.wait(5)
    failing = RepoFailing(A, "not in the configuration")
    assert day.probe(Ended(PassVerdict.UNASKED, failing.why)) == (A, (failing,))
    assert not day.reachable
    day.wait(5)
    assert day.probe(WELL)[0] == B
    assert day.reachable


def test_an_answer_ends_it_though_the_probe_goes_on_for_hours() -> None:
    day = day_of_an_outage(A, B, C)
    day.wait(5)
    assert day.take() == [A]
    assert day.agenda.answered(B, day.moment) == ()
    assert day.agenda.answered(A, day.moment) == (OutageEnded(PassVerdict.UNREACHABLE, 5.0),)
    assert day.agenda.answered(A, day.moment) == ()
    assert day.take() == [B, C]
    assert day.end(A, WELL) == ()


def test_a_pass_from_before_the_outage_does_not_end_it() -> None:
    day = Day(A, B, C)
    day.take()
    day.end(A, UNREACHABLE)
    day.end(B, UNREACHABLE)
    day.wait(1)
    assert day.end(C, WELL) == ()
    assert not day.reachable


def test_passes_from_before_its_end_do_not_begin_it_anew() -> None:
    day = Day(A, B, C, D)
    day.take()
    day.end(A, UNREACHABLE)
    day.end(B, UNREACHABLE)
    day.wait(5)
    day.probe(WELL)
    day.wait(1)
    assert day.take() == [B]
    assert day.end(C, UNREACHABLE) == ()
    assert day.end(D, UNREACHABLE) == ()
    assert day.reachable
    assert day.take() == [C, D]


def test_passes_that_began_after_its_end_can_begin_another() -> None:
    day = day_of_an_outage(A, B, C)
    day.wait(5)
    day.probe(WELL)
    day.wait(1)
    assert day.take() == [B, C]
    assert day.end(B, UNREACHABLE) == ()
    assert day.take() == [A]
    assert day.end(A, UNREACHABLE) == (BEGAN,)


@pytest.mark.parametrize("ended", [UNREACHABLE, REFUSED])
def test_those_that_fail_again_after_another_has_ended_it_are_failing_for_themselves(
    ended: Ended,
) -> None:
    day = rested(A, B, C)
    for repo in (A, B):
        day.wake(repo)
    day.take()
    day.end(A, ended)
    day.end(B, ended)
    assert not day.reachable
    day.wait(5)
    assert day.probe(WELL)[0] == C
    day.wait(1)
    assert day.take() == [A, B]
    assert day.end(A, ended) == ()
    assert day.end(B, ended) == ()
    assert day.take() == [C]
    assert day.end(C, WELL) == (RepoFailing(A, ended.error), RepoFailing(B, ended.error))
    assert day.wait_until_due() == 60
    assert day.take() == [A, B]


def test_the_first_that_reached_nothing_is_not_put_off_for_it_after_the_outage() -> None:
    day = Day(A, B, C)
    assert day.take(1) == [A]
    day.end(A, UNREACHABLE)
    day.wait(1)
    assert day.take(1) == [B]
    assert day.end(B, UNREACHABLE) == (BEGAN,)
    day.wait(5)
    assert day.probe(WELL)[0] == C
    assert day.take() == [A, B]
    assert day.end(A, WELL) == ()


def test_a_new_outage_begins_with_short_delays_again() -> None:
    day = day_of_an_outage(A)
    for _ in range(5):
        day.wait_until_due()
        day.probe(UNREACHABLE)
    day.wait_until_due()
    day.probe(WELL)
    day.wait(3600)
    assert day.probe(UNREACHABLE) == (A, (BEGAN,))
    assert day.next_in() == 5


def test_a_repository_that_is_taken_away_while_it_probes_leaves_the_way_free() -> None:
    day = day_of_an_outage(A, B)
    day.wait(5)
    (repo,) = day.take()
    (other,) = {A, B} - {repo}
    day.agenda.assign({other: Interval(3600)}, day.moment)
    assert day.end(repo, UNREACHABLE) == ()
    day.wait(10)
    assert day.take() == [other]


def test_nothing_is_waited_for_while_all_that_is_left_is_running() -> None:
    day = Day(A, B)
    day.take()
    day.end(A, REFUSED)
    day.agenda.assign({B: Interval(3600)}, day.moment)
    assert day.next_in() is None
    day.end(B, REFUSED)
    assert day.next_in() == 5
