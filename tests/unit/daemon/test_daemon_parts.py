"""The small parts of the daemon: the gate, who is looked after, how far behind, what is calm."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from artifact_sync.daemon.lag import Lags
from artifact_sync.daemon.running_passes import verdict_of
from artifact_sync.daemon.schedule import PassVerdict
from artifact_sync.daemon.unchanged import Calms
from artifact_sync.daemon.watched_repositories import WatchedRepositories
from artifact_sync.domain.errors import (
    BadAnswer,
    CredentialsRefused,
    NoSpace,
    NotFound,
    Unreachable,
)
from artifact_sync.domain.model import RepoName
from artifact_sync.domain.report import Report
from artifact_sync.domain.request import PassOptions, PassRequest, Unchanged
from artifact_sync.domain.settings import RepoSettings
from artifact_sync.sync.drain import Drain

ROCKET, SITE = RepoName("acme", "rocket"), RepoName("acme", "site")
STAR = RepoName("acme", "*")


def test_a_closed_gate_lets_nothing_in_and_waits_for_what_is_inside() -> None:
    async def story() -> list[bool]:
        gate = Drain()
        assert gate.enter()
        gate.close()
        seen = [gate.enter()]
        waiting = asyncio.ensure_future(gate.emptied())
        await asyncio.sleep(0)
        seen.append(waiting.done())
        gate.leave()
        await waiting
        return [*seen, gate.inside == 0]

    assert asyncio.run(story()) == [False, False, True]


def test_a_name_of_its_own_goes_before_the_star_that_also_brings_it() -> None:
    own = RepoSettings(name="acme/rocket", include=("*.tar",))
    roster = WatchedRepositories([RepoSettings(name="acme/*", interval=60.0), own])
    assert roster.found("acme", [ROCKET, SITE]) == ({ROCKET, SITE}, set())
    assert dict(roster.entries) == {
        STAR: RepoSettings(name="acme/*", interval=60.0),
        ROCKET: own,
        SITE: RepoSettings(name="acme/site", interval=60.0),
    }
    assert [repo for repo in roster.entries if repo.is_star] == [STAR]


def test_what_an_organisation_has_no_more_is_dropped_but_a_sudden_void_is_not_believed() -> None:
    roster = WatchedRepositories([RepoSettings(name="acme/*")])
    roster.found("acme", [ROCKET, SITE])
    assert roster.found("acme", []) == (set(), set())
    assert set(roster.entries) == {STAR, ROCKET, SITE}
    assert roster.found("acme", [SITE]) == (set(), {ROCKET})
    assert set(roster.entries) == {STAR, SITE}


def test_another_configuration_keeps_what_a_star_has_brought_as_long_as_the_star_stays() -> None:
    roster = WatchedRepositories([RepoSettings(name="acme/*")])
    roster.found("acme", [ROCKET])
    roster.configure([RepoSettings(name="acme/*", cron="0 3 * * *")])
    assert roster.entries[ROCKET].cron == "0 3 * * *"
    assert roster.knows_organisation("acme")
    roster.configure([RepoSettings(name="acme/site")])
    assert set(roster.entries) == {SITE}
    assert not roster.knows_organisation("acme")


def test_a_repository_lags_from_the_last_time_that_all_was_there() -> None:
    lags = Lags()
    lags.ended(ROCKET, caught_up=True, complete=True, now=100.0)
    assert lags.lag(ROCKET, 150.0) == 0.0
    lags.ended(ROCKET, caught_up=False, complete=False, now=160.0)
    assert lags.lag(ROCKET, 200.0) == 100.0
    lags.ended(ROCKET, caught_up=True, complete=False, now=210.0)
    assert lags.lag(ROCKET, 220.0) == 0.0
    assert lags.lag(ROCKET, 220.0, overdue=7.0) == 7.0
    assert lags.since_complete(220.0) == {"acme/rocket": 120.0}


def test_a_repository_that_never_was_complete_lags_from_when_it_came() -> None:
    lags = Lags()
    assert lags.lag(ROCKET, 10.0) == 0.0
    lags.ended(ROCKET, caught_up=False, complete=False, now=20.0)
    assert lags.lag(ROCKET, 50.0) == 40.0
    lags.was_complete(ROCKET, ago=5.0, now=50.0)
    assert lags.since_complete(51.0) == {"acme/rocket": 6.0}
    lags.keep([SITE])
    assert lags.since_complete(51.0) == {}


def test_the_ends_of_passes_are_known_by_their_age() -> None:
    lags = Lags()
    assert lags.ages(ROCKET, 10.0) == (None, None)
    lags.ended(ROCKET, caught_up=True, complete=True, now=20.0)
    lags.ended(ROCKET, caught_up=False, complete=False, now=30.0)
    assert lags.ages(ROCKET, 50.0) == (20.0, 30.0)


def test_a_calm_pass_is_written_down_every_ten_minutes() -> None:
    calms = Calms()
    calms.ended(ROCKET, replace(WISH, calm=Unchanged(), mode=PassOptions()), CALM, 100.0)
    told = []
    for now in range(100, 2000, 100):
        calms.ended(ROCKET, replace(WISH, calm=CALM), CALM, float(now))
        if calms.is_unrecorded(ROCKET, float(now)):
            told.append(now)
    assert told == [700, 1300, 1900]


WISH = PassRequest((RepoSettings(name="acme/rocket"),), mode=PassOptions(look=False))
CALM = Unchanged("mark", Report(runs=3, found=4, kept=4))


def test_a_calm_is_relied_on_for_an_hour_and_then_everything_is_looked_at() -> None:
    calms = Calms()
    assert calms.is_due_in_full(ROCKET, 0.0)
    assert calms.of(ROCKET, 0.0) == Unchanged()
    calms.ended(ROCKET, replace(WISH, calm=Unchanged(), mode=PassOptions()), CALM, 10.0)
    assert calms.of(ROCKET, 3600.0) == CALM
    assert calms.of(ROCKET, 3610.0) == Unchanged()
    calms.ended(ROCKET, replace(WISH, calm=Unchanged(), mode=PassOptions()), CALM, 3610.0)
    assert calms.of(ROCKET, 7000.0) == CALM
    calms.forget()
    assert calms.of(ROCKET, 7000.0) == Unchanged()


def test_what_is_not_calm_any_more_is_not_relied_on() -> None:
    calms = Calms()
    calms.ended(ROCKET, replace(WISH, calm=Unchanged(), mode=PassOptions()), CALM, 0.0)
    calms.ended(ROCKET, replace(WISH, calm=CALM), None, 1.0)
    assert calms.of(ROCKET, 2.0) == Unchanged()


def test_marks_that_change_for_nothing_are_not_asked_for_any_more() -> None:
    calms = Calms()
    calms.ended(ROCKET, replace(WISH, calm=Unchanged(), mode=PassOptions()), CALM, 0.0)
    for number in range(5):
        given = calms.of(ROCKET, 1.0)
        assert given is not None
        found = Unchanged(f"mark {number}", CALM.report)
        calms.ended(ROCKET, replace(WISH, calm=given), found, 1.0)
    assert calms.of(ROCKET, 1.0) is None


@pytest.mark.parametrize(
    ("trouble", "verdict"),
    [
        (None, PassVerdict.WELL),
        (Unreachable("it"), PassVerdict.UNREACHABLE),
        (CredentialsRefused("it", status=401), PassVerdict.REFUSED),
        (CredentialsRefused("it", status=403), PassVerdict.FAILED),
        (NotFound("it", status=404), PassVerdict.FAILED),
        (BadAnswer("it"), PassVerdict.FAILED),
        (NoSpace("it"), PassVerdict.FAILED),
        (ValueError("a bug"), PassVerdict.FAILED),
    ],
)
def test_only_a_refused_token_and_no_answer_are_the_services_trouble(
    trouble: Exception | None, verdict: PassVerdict
) -> None:
    assert verdict_of(trouble) is verdict
