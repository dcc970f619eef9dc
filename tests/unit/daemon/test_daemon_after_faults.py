"""What the daemon does when a fault is over, by a clock of the test's."""

from __future__ import annotations

import asyncio

from daemon_kit import Kit, settle
from structlog.testing import capture_logs

from artifact_sync.domain.errors import Interrupted, Reason, Unreachable
from artifact_sync.domain.model import Failure, RepoName
from artifact_sync.domain.report import Report
from artifact_sync.domain.settings import RepoSettings

ROCKET, WEBSITE, DOCS = (RepoName("acme", name) for name in ("rocket", "website", "docs"))
EVERY_HOUR = tuple(
    RepoSettings(name=str(repo), interval=3600.0) for repo in (ROCKET, WEBSITE, DOCS)
)
FULL = Report(failures=[Failure("acme/rocket", Reason.NO_SPACE, "full")])
MIB = 1 << 20


def test_room_that_was_taken_and_freed_since_the_last_look_is_seen() -> None:
    async def tell(kit: Kit) -> list[tuple[int, str]]:
        await kit.scheduler.check_health()
        kit.engine.mirror.bytes_free = 0
        await kit.context.health.pass_ended(ROCKET, FULL)
        kit.engine.mirror.bytes_free = 10 * MIB
        await kit.context.health.pass_ended(ROCKET, FULL)  # of what is put off
        kit.forget()
        await kit.scheduler.check_health()
        await kit.clock.advance(1.0)
        return kit.looks

    assert Kit(*EVERY_HOUR).story(tell) == [(1, "acme/rocket")]


def test_a_pass_that_has_fetched_nothing_does_not_prove_that_there_is_room() -> None:
    async def tell(kit: Kit) -> list[tuple[str, ...]]:
        health = kit.context.health
        other = Failure("acme/rocket", Reason.DISK, "not noted")
        said = []
        for report in (FULL, Report(failures=[other]), Report(failures=[other], downloaded=1)):
            await health.pass_ended(ROCKET, report)
            said.append(health.troubles)
        return said

    short = ("no room on the mirror's disk for 1 repository",)
    assert Kit(*EVERY_HOUR).story(tell) == [short, short, ()]


def test_when_an_outage_is_over_what_is_missing_is_looked_at_at_once() -> None:
    async def tell(kit: Kit) -> list[str]:
        now = kit.clock.monotonic()
        kit.context.lags.ended(WEBSITE, caught_up=False, complete=False, now=now)
        kit.engine.trouble = lambda _: Unreachable("nobody answers")
        kit.scheduler.look_again(frozenset({ROCKET, DOCS}))
        await kit.clock.advance(1.0)
        assert not kit.context.agenda.outage.reachable
        kit.engine.trouble = lambda _: None
        kit.forget()
        await kit.clock.advance(20.0)
        return sorted(repo for _, repo in kit.looks)

    everybody = sorted(map(str, (ROCKET, DOCS, WEBSITE)))
    assert sorted(set(Kit(*EVERY_HOUR).story(tell))) == everybody


def test_what_is_broken_off_by_a_stop_says_nothing_of_the_service() -> None:
    async def story() -> list[str]:
        kit = Kit(*EVERY_HOUR)
        kit.engine.hold = asyncio.Event()
        kit.engine.trouble = lambda _: Interrupted("stopped before it was done")
        running = asyncio.create_task(kit.scheduler.run())
        await settle()
        with capture_logs() as logs:
            kit.scheduler.stop()
            kit.engine.hold.set()
            await settle()
            await kit.clock.advance(60.0)
            await running
        return [line["event"] for line in logs if line["log_level"] != "info"]

    assert asyncio.run(story()) == []
