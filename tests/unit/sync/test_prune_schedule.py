"""When the daemon prunes after a pass."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from artifact_sync.daemon.progress import EventFanout
from artifact_sync.daemon.prune_timer import PruneTimer
from artifact_sync.domain.errors import Reason, RepositoryBusy
from artifact_sync.domain.keeping import ListingVerdict
from artifact_sync.domain.model import (
    ArtifactKey,
    Failure,
    Mirrored,
    MirrorPath,
    RepoName,
    Run,
    RunKey,
    Strength,
)
from artifact_sync.domain.report import Report
from artifact_sync.domain.settings import Config, KeepSettings, RepoKeepSettings, RepoSettings
from artifact_sync.ledger import open_ledger
from artifact_sync.mirror.local.lock import LocalRepositoryLock
from artifact_sync.sync.forget import MirrorKeeper
from artifact_sync.sync.prune import keep_of
from artifact_sync.sync.prune_after import PassPruner, PruneSchedule

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from artifact_sync.domain.ports import Lease, Ledger, RepositoryLock

REPO = RepoName("acme", "rocket")


class StillClock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError(seconds)


def is_due(schedule: PruneSchedule, keep: RepoKeepSettings, report: Report) -> bool:
    return schedule.due(REPO, keep, report, lambda: UTC)


def test_without_a_schedule_it_is_after_what_brought_something_or_lacked_room() -> None:
    schedule, keep = PruneSchedule(StillClock()), RepoKeepSettings(last=1)
    full = Failure(str(REPO), Reason.NO_SPACE, "the disk is full")
    assert not is_due(schedule, keep, Report(kept=5))
    assert is_due(schedule, keep, Report(downloaded=1))
    assert is_due(schedule, keep, Report(failures=[full]))


def test_a_time_of_the_schedule_counts_once_and_a_clock_that_goes_back_waits() -> None:
    clock = StillClock()
    schedule, keep = PruneSchedule(clock), RepoKeepSettings(last=1, schedule="0 * * * *")
    brought = Report(downloaded=1)
    assert not is_due(schedule, keep, brought)
    clock.at += timedelta(minutes=31)
    assert [is_due(schedule, keep, brought) for _ in range(2)] == [True, False]
    clock.at -= timedelta(days=365)
    assert not is_due(schedule, keep, brought)
    clock.at += timedelta(days=365, hours=1)
    assert is_due(schedule, keep, brought)


class BusyLock:
    """Somebody else works on everything."""

    def __init__(self) -> None:
        self.asked = list[str]()

    @asynccontextmanager
    async def hold(self, repo: RepoName, *, wait: bool = True) -> AsyncGenerator[Lease]:
        assert wait
        self.asked.append(str(repo))
        raise RepositoryBusy(repo)
        yield


async def note_three_runs(ledger: Ledger, repo: RepoName, now: datetime) -> None:
    for number in range(1, 4):
        run = Run(RunKey(repo, str(number)), "success", "push", now - timedelta(days=9 - number))
        await ledger.note_run(run, now)
        file = ArtifactKey(*repo, run.key.run, "w", "t", "c", "app")
        path = MirrorPath(f"{repo}/{number}/app")
        digest = "ab" * 32
        facts = Mirrored(file, path, 10, digest, Strength.DIGEST, (), fetched_at=now)
        await ledger.record_mirrored(facts)
    await ledger.note_listing(repo, ListingVerdict(now, ""))


def test_a_repository_that_is_busy_holds_up_no_other_and_is_pruned_later() -> None:
    async def story() -> None:
        clock, lock = StillClock(), BusyLock()
        ledger = await open_ledger("sqlite://", durability="fast")
        repos = [RepoName("acme", name) for name in "ab"]
        for repo in repos:
            await note_three_runs(ledger, repo, clock.at)
        config = Config(keep=KeepSettings(last=1, max_share=1.0, schedule="0 * * * *"))
        unused: Any = None  # nothing is removed
        facts = (lock, unused, unused, clock, "", EventFanout([]))
        keeper = MirrorKeeper(ledger, unused, None, *facts)
        pruner, reports = PassPruner(clock, lambda: UTC), dict.fromkeys(repos, Report())
        for asked in ([], ["acme/a", "acme/b"], ["acme/a", "acme/b"]):
            await pruner.after(config, lambda _: keeper, reports)
            assert lock.asked == asked
            lock.asked.clear()
            clock.at += timedelta(minutes=31)
        await ledger.aclose()

    asyncio.run(story())


def test_what_is_said_of_a_repository_stands_in_the_place_of_all_of_keep() -> None:
    own = RepoKeepSettings(last=2)
    config = Config(
        keep=KeepSettings(daily=3, max_size=5, max_share=0.5),
        repo=(RepoSettings(name="acme/rocket", keep=own), RepoSettings(name="acme/*")),
    )
    assert keep_of(config, REPO) == own
    other = keep_of(config, RepoName("acme", "other"))
    assert (other.daily, other.max_size, other.max_share) == (3, None, 0.5)


class TickingClock(StillClock):
    """A clock whose sleepers are over at once, three times."""

    def __init__(self) -> None:
        super().__init__()
        self.slept = 0

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.slept += 1
        if self.slept == 3:
            raise InterruptedError


def test_the_daemon_looks_at_the_clock_also_between_passes() -> None:
    clock, lock, looks = TickingClock(), LocalRepositoryLock(), []
    forgotten = list[int]()

    async def prune(given: RepositoryLock) -> bool:
        assert given is lock
        looks.append(clock.at)
        return len(looks) == 2

    scheduler = SimpleNamespace(
        auditor=SimpleNamespace(lock=lock), forget_unchanged=lambda: forgotten.append(len(looks))
    )
    timer = PruneTimer(scheduler, prune, clock)  # type: ignore[arg-type]
    with pytest.raises(InterruptedError):
        asyncio.run(timer.run())
    assert (len(looks), forgotten) == (3, [2])
    assert looks[2] - looks[0] < timedelta(minutes=1)
