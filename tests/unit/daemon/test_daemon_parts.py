"""The small parts of the daemon: drain, watched repositories, lag, what is unchanged."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from artifact_sync.daemon.repositories import Lags, UnchangedRepositories, WatchedRepositories
from artifact_sync.daemon.running_passes import verdict_of
from artifact_sync.daemon.schedule.turns import PassVerdict, Turn, Why
from artifact_sync.domain.errors import (
    BadAnswer,
    CredentialsRefused,
    NoSpace,
    NotFound,
    Unreachable,
)
from artifact_sync.domain.forget_rules import ForgetRules
from artifact_sync.domain.model import RepoName
from artifact_sync.domain.report import Report
from artifact_sync.domain.request import PassRequest, Standing, Unchanged
from artifact_sync.domain.settings import RepoSettings
from artifact_sync.sync.context import Drain

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
    repositories = WatchedRepositories([RepoSettings(name="acme/*", interval=60.0), own])
    assert repositories.found("acme", [ROCKET, SITE]) == ({ROCKET, SITE}, set())
    assert dict(repositories.entries) == {
        STAR: RepoSettings(name="acme/*", interval=60.0),
        ROCKET: own,
        SITE: RepoSettings(name="acme/site", interval=60.0),
    }
    assert [repo for repo in repositories.entries if repo.is_star] == [STAR]


def test_what_an_organisation_has_no_more_is_dropped_but_a_sudden_void_is_not_believed() -> None:
    repositories = WatchedRepositories([RepoSettings(name="acme/*")])
    repositories.found("acme", [ROCKET, SITE])
    assert repositories.found("acme", []) == (set(), set())
    assert set(repositories.entries) == {STAR, ROCKET, SITE}
    assert repositories.found("acme", [SITE]) == (set(), {ROCKET})
    assert set(repositories.entries) == {STAR, SITE}


def test_another_configuration_keeps_what_a_star_has_brought_as_long_as_the_star_stays() -> None:
    repositories = WatchedRepositories([RepoSettings(name="acme/*")])
    repositories.found("acme", [ROCKET])
    repositories.configure([RepoSettings(name="acme/*", cron="0 3 * * *")])
    assert repositories.entries[ROCKET].cron == "0 3 * * *"
    assert repositories.knows_organisation("acme")
    repositories.configure([RepoSettings(name="acme/site")])
    assert set(repositories.entries) == {SITE}
    assert not repositories.knows_organisation("acme")


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


SETTINGS = RepoSettings(name="acme/rocket")
AT_REST = Standing("digest", ForgetRules(), 0, 0, 0, (3, 4))
UNCHANGED = Unchanged(AT_REST, Report(runs=3, found=4, kept=4))


class Memory:
    """What is remembered of one repository, with a pass whenever the test says so."""

    def __init__(self) -> None:
        self.known = UnchangedRepositories()

    def asked(
        self, now: float, *, found: Unchanged | None = UNCHANGED, must_look: bool = False, **turn
    ) -> PassRequest:
        """What a pass at this time is asked for; it ends at once, and has left this."""
        why = Turn(ROCKET, Why.INTERVAL, **turn)
        request = self.known.request(why, SETTINGS, now, must_look=must_look)
        self.known.ended(ROCKET, request, found, now)
        return request


def test_once_an_hour_the_newest_files_are_looked_at() -> None:
    memory = Memory()
    asked = {now: memory.asked(now) for now in range(10, 9000, 100)}
    looking = [10, 3610, 7210]
    assert [now for now, it in asked.items() if it.mode.look] == looking
    assert [now for now, it in asked.items() if it.unchanged is None] == looking
    memory.known.forget()
    assert memory.asked(9000.0).mode.look


def test_what_is_not_unchanged_any_more_is_not_relied_on() -> None:
    memory = Memory()
    memory.asked(0.0)
    assert memory.asked(1.0, found=None).unchanged == UNCHANGED
    assert memory.asked(2.0).unchanged is None
    other = Unchanged(replace(AT_REST, list_digest="another"), UNCHANGED.report)
    assert memory.asked(3.0, found=other).unchanged == UNCHANGED
    assert memory.asked(4.0).unchanged == other


@pytest.mark.parametrize("turn", [{"eager": True}, {"announced": ("7",)}, {"must_look": True}])
def test_where_something_may_have_happened_nothing_is_relied_on(turn: dict[str, Any]) -> None:
    memory = Memory()
    memory.asked(0.0)
    assert memory.asked(1.0, **turn).unchanged is None
    assert memory.asked(2.0).unchanged == UNCHANGED


def test_a_repository_that_is_dropped_is_forgotten() -> None:
    memory = Memory()
    memory.asked(0.0)
    memory.known.keep([SITE])
    assert memory.asked(1.0).unchanged is None


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
