"""The daemon's life by a clock of the test's own: when it looks, how it stops, what it survives."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from itertools import pairwise

import pytest
from daemon_kit import Kit, settle

from artifact_sync.daemon.schedule.turns import Why
from artifact_sync.domain.errors import (
    CredentialsRefused,
    DiskError,
    Interrupted,
    Reason,
    Unreachable,
)
from artifact_sync.domain.events import Noticed
from artifact_sync.domain.model import Failure, RepoName, RunKey
from artifact_sync.domain.report import Report
from artifact_sync.domain.request import PassRequest
from artifact_sync.domain.settings import Config, RepoSettings

ROCKET, SITE = RepoName("acme", "rocket"), RepoName("acme", "site")
EVERY_MINUTE = RepoSettings(name="acme/rocket", interval=60.0)


class Seen:
    def __init__(self) -> None:
        self.events: list[object] = []

    def notify(self, event: object) -> None:
        self.events.append(event)


class Quiet:
    def notify(self, event: object) -> None:
        """Nothing to say."""


def test_a_repository_is_looked_at_at_once_and_then_within_its_interval() -> None:
    async def tell(kit: Kit) -> None:
        await kit.clock.advance(600.0)

    kit = Kit(EVERY_MINUTE)
    kit.story(tell)
    begun = [at for at, _, _ in kit.engine.passes]
    assert begun[0] == 0.0
    pauses = [later - earlier for earlier, later in pairwise(begun)]
    assert 10 <= len(pauses) <= 11
    assert all(53.9 <= pause <= 60.0 for pause in pauses), pauses


def test_a_webhook_makes_one_pass_at_once_however_often_it_comes() -> None:
    async def tell(kit: Kit) -> list[tuple[int, str]]:
        await kit.clock.advance(10.0)
        kit.forget()
        kit.engine.ledger.finished.add(RunKey(ROCKET, "7"))
        woken = [kit.scheduler.wake(ROCKET, Why.WEBHOOK, "7") for _ in range(1000)]
        assert all(woken)
        await kit.clock.advance(1.0)
        return kit.looks

    assert Kit(EVERY_MINUTE).story(tell) == [(10, "acme/rocket")]


def test_an_announced_run_that_is_not_there_yet_is_looked_for_again() -> None:
    async def tell(kit: Kit) -> list[tuple[int, tuple[str, ...]]]:
        await kit.clock.advance(5.0)
        kit.forget()
        kit.scheduler.wake(ROCKET, Why.WEBHOOK, "7")
        await kit.clock.advance(4.0)
        kit.engine.ledger.finished.add(RunKey(ROCKET, "7"))
        await kit.clock.advance(30.0)
        return [(round(at), request.announced) for at, _, request in kit.engine.passes]

    looks = Kit(EVERY_MINUTE).story(tell)
    assert looks == [(5, ("7",)), (6, ("7",)), (8, ("7",)), (12, ("7",))]


def test_a_webhook_for_a_stranger_is_not_taken() -> None:
    async def tell(kit: Kit) -> bool:
        return kit.scheduler.wake(RepoName("evil", "corp"), Why.WEBHOOK, "1")

    assert Kit(EVERY_MINUTE).story(tell) is False


def test_a_new_repository_of_a_star_is_found_when_a_webhook_tells_of_it() -> None:
    async def tell(kit: Kit) -> list[tuple[int, str]]:
        await kit.clock.advance(1.0)
        kit.engine.listed.append(SITE)
        kit.forget()
        assert kit.scheduler.wake(SITE, Why.WEBHOOK, "1")
        await kit.clock.advance(1.0)
        return kit.looks

    kit = Kit(RepoSettings(name="acme/*", interval=60.0))
    kit.engine.listed.append(ROCKET)
    assert kit.story(tell) == [(1, "acme/site")]


def test_the_others_of_a_star_are_kept_current_beside_one_without_a_usable_slug() -> None:
    async def tell(kit: Kit) -> list[str]:
        kit.engine.listed[:] = [SITE]
        kit.engine.unusable = 1
        await kit.clock.advance(61.0)
        kit.forget()
        await kit.clock.advance(61.0)
        return sorted(repo for _, repo in kit.looks)

    kit = Kit(RepoSettings(name="acme/*", interval=60.0))
    kit.engine.listed.append(ROCKET)
    assert kit.story(tell) == ["acme/rocket", "acme/site"]


def test_passes_of_different_repositories_run_side_by_side_and_never_two_of_the_same() -> None:
    async def tell(kit: Kit) -> set[RepoName]:
        kit.scheduler.wake(ROCKET, Why.WEBHOOK)
        asked = kit.scheduler.carry_out(PassRequest((EVERY_MINUTE,)), Quiet())
        await kit.clock.advance(300.0)
        seen = set(kit.engine.running)
        kit.engine.hold.set()  # type: ignore[union-attr]
        await asked
        return seen

    kit = Kit(EVERY_MINUTE, RepoSettings(name="acme/site"))
    kit.engine.hold = asyncio.Event()
    assert kit.story(tell) == {ROCKET, SITE}


def test_who_is_woken_need_not_wait_for_all_those_that_are_at_long_work() -> None:
    async def tell(kit: Kit) -> tuple[int, bool]:
        at_work = len(kit.engine.running)
        waiting = next(
            it for it in kit.context.repositories.entries if it not in kit.engine.running
        )
        kit.scheduler.wake(waiting, Why.WEBHOOK, "7")
        await kit.clock.advance(1.0)
        return at_work, waiting in kit.engine.running

    kit = Kit(*(RepoSettings(name=f"acme/r{n}") for n in range(40)))
    kit.engine.hold = asyncio.Event()
    assert kit.story(tell) == (12, True)


def test_a_user_who_waits_gets_a_pass_that_begins_after_the_one_that_runs() -> None:
    async def tell(kit: Kit) -> int:
        asked = asyncio.ensure_future(kit.status.carry_out(PassRequest((EVERY_MINUTE,)), Quiet()))
        await settle()
        before = len(kit.engine.passes)
        kit.engine.hold.set()  # type: ignore[union-attr]
        report = await asked
        assert report.complete
        return len(kit.engine.passes) - before

    kit = Kit(EVERY_MINUTE)
    kit.engine.hold = asyncio.Event()
    assert kit.story(tell) == 1


def test_a_user_who_waits_sees_what_the_pass_before_does_and_then_only_the_own_one() -> None:
    async def tell(kit: Kit) -> list[object]:
        seen = Seen()
        asked = asyncio.ensure_future(kit.status.carry_out(PassRequest((EVERY_MINUTE,)), seen))
        await settle()
        first, own = kit.engine.observers
        first.notify(Noticed("the one before"))
        kit.engine.hold.set()  # type: ignore[union-attr]
        await asked
        first.notify(Noticed("nobody's any more"))
        own.notify(Noticed("the own one"))
        return seen.events

    kit = Kit(EVERY_MINUTE)
    kit.engine.hold = asyncio.Event()
    assert kit.story(tell) == [Noticed("the one before"), Noticed("the own one")]


def test_the_status_has_the_version() -> None:
    async def tell(kit: Kit) -> str:
        return kit.status.live().version

    assert Kit(EVERY_MINUTE).story(tell) == version("artifact-sync")


def test_an_unreachable_service_is_probed_by_one_repository_at_a_time() -> None:
    async def tell(kit: Kit) -> tuple[list[tuple[int, str]], bool, int]:
        await kit.clock.advance(1.0)
        kit.engine.trouble = lambda repo: Unreachable(f"no answer about {repo}")
        await kit.clock.advance(120.0)
        assert not kit.status.live().service.reachable
        kit.forget()
        await kit.clock.advance(3600.0)
        probes = len(kit.engine.passes)
        kit.engine.trouble = lambda _: None
        kit.forget()
        await kit.clock.advance(61.0)
        return sorted({repo for _, repo in kit.looks}), kit.status.live().service.reachable, probes

    kit = Kit(*(RepoSettings(name=f"acme/r{n}", interval=60.0) for n in range(5)))
    looked_at, reachable, probes = kit.story(tell)
    assert looked_at == [f"acme/r{n}" for n in range(5)]
    assert reachable
    assert 50 <= probes <= 130  # one repository in a minute, not five


def test_a_replaced_token_is_taken_up_and_everything_is_looked_at_again() -> None:
    async def tell(kit: Kit) -> list[tuple[int, str]]:
        kit.engine.trouble = lambda repo: CredentialsRefused(f"{repo}", status=401)
        await kit.clock.advance(600.0)
        kit.forget()
        kit.engine.trouble = lambda _: None
        kit.engine.new_token = True
        await kit.scheduler.refresh_token()
        await kit.clock.advance(2.0)
        return sorted(repo for _, repo in kit.looks)

    kit = Kit(EVERY_MINUTE, RepoSettings(name="acme/site"))
    assert kit.story(tell) == ["acme/rocket", "acme/site"]


def test_while_the_mirror_is_gone_nothing_is_begun_and_all_is_looked_at_when_it_is_back() -> None:
    async def tell(kit: Kit) -> tuple[int, list[tuple[int, str]], bool]:
        await kit.clock.advance(1.0)
        kit.engine.mirror.missing = DiskError("it is not mounted")
        await kit.scheduler.check_health()
        kit.forget()
        await kit.clock.advance(600.0)
        meanwhile = len(kit.engine.passes)
        kit.engine.mirror.missing = None
        await kit.scheduler.check_health()
        await kit.clock.advance(1.0)
        return meanwhile, [repo for _, repo in kit.looks], kit.engine.passes[0][2].mode.eager

    assert Kit(EVERY_MINUTE).story(tell) == (0, ["acme/rocket"], True)


def test_what_found_no_room_is_tried_again_when_there_is_some() -> None:
    async def tell(kit: Kit) -> tuple[tuple[str, ...], list[int], tuple[str, ...]]:
        await kit.scheduler.check_health()
        health = kit.context.health
        failed = Failure("acme/rocket", Reason.NO_SPACE, "full")
        await health.pass_ended(ROCKET, Report(failures=[failed]))
        said = health.troubles
        kit.forget()
        await kit.scheduler.check_health()
        await kit.clock.advance(1.0)
        assert kit.looks == []
        kit.engine.mirror.bytes_free += 2 << 20
        await kit.scheduler.check_health()
        await kit.clock.advance(1.0)
        return said, [at for at, _ in kit.looks], health.troubles

    kit = Kit(EVERY_MINUTE)
    said, looks, after = kit.story(tell)
    assert said == ("no room on the mirror's disk for 1 repository",)
    assert looks == [1]
    assert after == ()


def test_a_stop_begins_nothing_new_and_waits_for_files_in_flight() -> None:
    async def tell(kit: Kit) -> list[bool]:
        await settle()
        assert kit.engine.drain.enter()
        kit.scheduler.stop()
        ended = []
        running = asyncio.ensure_future(kit.engine.drain.emptied())
        await kit.clock.advance(29.0)
        ended.append(running.done())
        kit.engine.drain.leave()
        await settle()
        ended.append(running.done())
        kit.forget()
        await kit.clock.advance(100.0)
        assert kit.looks == []
        return ended

    assert Kit(EVERY_MINUTE).story(tell) == [False, True]


def test_after_the_grace_time_the_rest_is_broken_off() -> None:
    async def story() -> tuple[bool, bool]:
        kit = Kit(EVERY_MINUTE)
        kit.engine.hold = asyncio.Event()
        running = asyncio.create_task(kit.scheduler.run())
        await settle()
        kit.engine.drain.enter()
        kit.scheduler.stop()
        await kit.clock.advance(29.0)
        early = running.done()
        await kit.clock.advance(2.0)
        await asyncio.wait_for(running, 10)
        return early, bool(kit.engine.running)

    assert asyncio.run(story()) == (False, False)


def test_a_second_stop_waits_for_nothing() -> None:
    async def story() -> bool:
        kit = Kit(EVERY_MINUTE)
        kit.engine.hold = asyncio.Event()
        running = asyncio.create_task(kit.scheduler.run())
        await settle()
        kit.engine.drain.enter()
        kit.scheduler.stop()
        await settle()
        kit.scheduler.stop()
        await asyncio.wait_for(running, 10)
        return kit.scheduler.killed

    assert asyncio.run(story()) is True


def test_a_pass_for_a_user_is_refused_while_stopping() -> None:
    async def story() -> str:
        kit = Kit(EVERY_MINUTE)
        running = asyncio.create_task(kit.scheduler.run())
        await settle()
        kit.scheduler.stop()
        await asyncio.wait_for(running, 10)
        with pytest.raises(Interrupted) as told:
            await kit.status.carry_out(PassRequest((EVERY_MINUTE,)), Quiet())
        return str(told.value)

    assert asyncio.run(story()).startswith("the daemon is stopping")


def test_another_configuration_changes_who_is_looked_at() -> None:
    async def tell(kit: Kit) -> list[tuple[int, str]]:
        await kit.clock.advance(1.0)
        kit.forget()
        config = Config(repo=(RepoSettings(name="acme/site", interval=60.0),))
        await kit.engine.apply(config)
        kit.scheduler.configure(config)
        await kit.clock.advance(30.0)
        return kit.looks

    assert Kit(EVERY_MINUTE).story(tell) == [(1, "acme/site")]


def test_with_no_repository_at_all_the_daemon_is_ready() -> None:
    async def tell(kit: Kit) -> bool:
        return kit.scheduler.tried.is_set()

    assert Kit().story(tell) is True


def test_the_first_listing_must_have_been_tried_before_the_daemon_is_ready() -> None:
    async def tell(kit: Kit) -> list[bool]:
        seen = [kit.scheduler.tried.is_set()]
        kit.engine.hold.set()  # type: ignore[union-attr]
        await settle()
        return [*seen, kit.scheduler.tried.is_set()]

    kit = Kit(EVERY_MINUTE)
    kit.engine.hold = asyncio.Event()
    assert kit.story(tell) == [False, True]
