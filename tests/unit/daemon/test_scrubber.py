"""Reading a mirror again: real files, a real ledger, and a clock of the test's own."""

from __future__ import annotations

import asyncio
import errno
import hashlib
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from publishing import publish_bytes
from structlog.testing import capture_logs

from artifact_sync.daemon.scrub.scrubber import Scrubber
from artifact_sync.domain.errors import DiskError, MirrorGone
from artifact_sync.domain.model import ArtifactKey, Mirrored, RepoName, Strength
from artifact_sync.domain.settings import DEFAULT_LAYOUT, VerifySettings
from artifact_sync.ledger import open_ledger
from artifact_sync.mirror.layout import Layout
from artifact_sync.mirror.local.local_mirror import LocalMirror
from artifact_sync.mirror.local.lock import LocalRepositoryLock
from artifact_sync.runtime.threads import Offload, Threads
from artifact_sync.sync.verify import Auditor, Condition

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from artifact_sync.domain.model import MirrorPath
    from artifact_sync.sync.verify import Finding

SHOP, DOCS = RepoName("acme", "shop"), RepoName("acme", "docs")
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
MIB = 2**20


class Clock:
    """Waits of a second pass at once, and longer ones when somebody says so.

    At ``end`` time stands still: who reads no faster than a rate has come no further then.
    """

    def __init__(self, end: float = 1e9) -> None:
        self.passed = 0.0
        self.end = end
        self.wall = NOW
        self.stands = asyncio.Event()

    def now(self) -> datetime:
        return self.wall + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return 1000.0 + self.passed

    async def sleep(self, seconds: float) -> None:
        if seconds > 1.0 or self.passed + seconds > self.end:
            self.stands.set()
            await asyncio.Event().wait()
        self.passed += seconds
        await asyncio.sleep(0)


class Disk(LocalMirror):
    """Remembers what is read, and has bad sectors."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, durability="fast")
        self.read: list[str] = []
        self.bad: set[str] = set()
        self.away = False

    def digest(
        self, path: MirrorPath, stop: Callable[[], bool] | None = None
    ) -> tuple[int, str] | None:
        name = path.rpartition("/")[2]
        self.read.append(name)
        if name in self.bad:
            raise DiskError("Input/output error") from OSError(errno.EIO, "")
        return super().digest(path, stop)

    def check(self) -> None:
        super().check()
        if self.away:
            raise MirrorGone(self.root)


class Bench:
    """A mirror, its ledger, and who hears of damage."""

    def __init__(self, mirror: Disk, ledger, offload: Offload) -> None:
        self.mirror, self.ledger, self.layout = mirror, ledger, Layout(DEFAULT_LAYOUT)
        self.auditor = Auditor(mirror, ledger, self.layout, LocalRepositoryLock(), offload)
        self.settings = VerifySettings(rate=MIB)
        self.busy: set[RepoName] = set()
        self.told: list[Finding] = []

    def is_busy(self, repo: RepoName) -> bool:
        return repo in self.busy

    def damaged(self, findings) -> None:
        self.told += findings

    async def file(self, name: str, days: float, size: int = 8, repo: RepoName = SHOP) -> Path:
        """A file that was verified so many days ago."""
        key, content = ArtifactKey(*repo, "1", "ci", "build", "all", name), name.encode() * size
        content = content[:size]
        path = self.layout.place(key)
        await asyncio.to_thread(publish_bytes, self.mirror, content, path)
        sha256, at = hashlib.sha256(content).hexdigest(), NOW - timedelta(days=days)
        row = Mirrored(key, path, size, sha256, Strength.DIGEST, (), fetched_at=at)
        await self.ledger.record_mirrored(row)
        return self.mirror.root / path

    async def scrub(self, clock: Clock | None = None) -> Scrubber:
        """One round, or what there is time for; then it is killed."""
        clock = clock or Clock()
        scrubber = Scrubber(self.auditor, clock, self, lambda: self.settings)
        work = asyncio.create_task(scrubber.run())
        await asyncio.wait([work, waiting := asyncio.create_task(clock.stands.wait())],
                           return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
        for task in (work, waiting):
            task.cancel()
        await asyncio.gather(work, waiting, return_exceptions=True)
        return scrubber

    async def verified(self) -> set[str]:
        """What was verified since the story began."""
        rows = [row async for row in self.ledger.least_verified(NOW + timedelta(9), since=NOW)]
        return {row.key.local_path for row in rows}

    @property
    def damage(self) -> list[tuple[Condition, str]]:
        return [(it.condition, it.path.rpartition("/")[2]) for it in self.told]


@asynccontextmanager
async def opened(root: Path) -> AsyncGenerator[Bench]:
    with Threads(4, "disk") as threads:
        async with await open_ledger("sqlite://", durability="fast") as ledger:
            yield Bench(Disk(root), ledger, Offload(threads))


def play(root: Path, story) -> None:
    async def main() -> None:
        async with opened(root) as bench:
            await story(bench)

    asyncio.run(main())


def test_what_was_verified_longest_ago_is_read_first_and_what_is_not_due_is_not(tmp_path):
    async def story(bench):
        for name, days in [("b", 40), ("a", 60), ("new", 1), ("c", 31)]:
            await bench.file(name, days)
        scrubber = await bench.scrub()
        assert bench.mirror.read == ["a", "b", "c"]
        assert await bench.verified() == {"a", "b", "c"}
        assert (scrubber.state.files, scrubber.state.bytes) == (3, 24)
        await bench.scrub()
        assert bench.mirror.read == ["a", "b", "c"]  # not again
        bench.settings = VerifySettings(every=0.0)
        await bench.file("d", 90)
        await bench.scrub()
        assert bench.mirror.read == ["a", "b", "c"]  # off

    play(tmp_path / "mirror", story)


def test_damage_is_told_and_only_what_is_right_counts_as_verified(tmp_path):
    async def story(bench):
        await bench.file("right", 40)
        (await bench.file("rotten", 41)).write_bytes(b"nettor!!")
        (await bench.file("gone", 42)).unlink()
        (await bench.file("short", 43)).write_bytes(b"sho")
        scrubber = await bench.scrub()
        told = [(Condition.CHANGED, "short"), (Condition.MISSING, "gone")]
        assert bench.damage == [*told, (Condition.CHANGED, "rotten")]
        assert await bench.verified() == {"right"}
        assert bench.mirror.read == ["rotten", "right"]  # the others show at a look
        assert scrubber.state.damaged == 3

    play(tmp_path / "mirror", story)


def test_it_reads_no_faster_than_the_rate(tmp_path):
    async def story(bench):
        for name in "abcd":
            await bench.file(name, 40, 4 * MIB)
        clock = Clock()
        await bench.scrub(clock)
        assert 14 <= clock.passed <= 16.5  # of sixteen seconds a bucket is full at the beginning
        bench.settings = VerifySettings(rate=0)
        clock = Clock()
        clock.wall += timedelta(days=90)
        await bench.scrub(clock)
        assert (len(bench.mirror.read), clock.passed) == (8, 0)

    play(tmp_path / "mirror", story)


def test_interrupted_again_and_again_it_comes_to_an_end_and_a_large_file_starves_nobody(tmp_path):
    """Each life lasts six seconds, and the large file, which comes first, takes eight."""

    async def story(bench):
        await bench.file("large", 90, 8 * MIB)
        small = {f"small-{number}" for number in range(12)}
        for name in small:
            await bench.file(name, 40, MIB)
        lives = 0
        while await bench.verified() != small:
            await bench.scrub(Clock(end=6.0))
            lives += 1
            assert lives < 9
        assert bench.mirror.read.count("large") <= lives
        await bench.scrub(Clock(end=9.0))
        assert await bench.verified() == small | {"large"}
        assert await bench.ledger.broken_off() == []

    play(tmp_path / "mirror", story)


def test_a_file_that_the_disk_does_not_give_out_is_told_of_once_and_passed_by(tmp_path):
    async def story(bench):
        bench.mirror.bad = {"bad"}
        for name, days in [("bad", 60), ("a", 50), ("b", 40)]:
            await bench.file(name, days)
        with capture_logs() as logs:
            scrubber = await bench.scrub()
            await bench.scrub()
        said = [(it["event"], it["path"].rpartition("/")[2]) for it in logs]
        assert said[:1] == [("a file of the mirror cannot be read", "bad")]
        assert (bench.damage, await bench.verified()) == ([], {"a", "b"})
        assert (scrubber.state.unreadable, scrubber.state.why) == (1, "")

    play(tmp_path / "mirror", story)


def test_a_disk_that_gives_out_nothing_is_left_alone_for_a_while(tmp_path):
    async def story(bench):
        bench.mirror.bad = set("abcdefgh")
        for name in sorted(bench.mirror.bad):
            await bench.file(name, 40)
        scrubber = await bench.scrub()
        assert (len(bench.mirror.read), bench.damage) == (3, [])
        assert scrubber.state.why == "Input/output error"

    play(tmp_path / "mirror", story)


def test_nothing_of_a_mirror_that_is_away_is_called_damaged(tmp_path):
    async def story(bench):
        path = await bench.file("a", 40)
        await bench.file("b", 40)
        path.unlink()
        bench.mirror.away = True
        await bench.scrub()
        assert bench.damage == []
        bench.mirror.away = False
        await bench.scrub()
        assert bench.damage == [(Condition.MISSING, "a")]

    play(tmp_path / "mirror", story)


def test_the_repository_of_a_pass_is_waited_for_and_the_others_are_read(tmp_path):
    async def story(bench):
        await bench.file("a", 60)
        await bench.file("b", 50, repo=DOCS)
        await bench.file("c", 40)
        bench.busy.add(SHOP)
        clock = Clock()
        await bench.scrub(clock)
        assert (bench.mirror.read, await bench.verified()) == (["b"], {"b"})
        assert 5 <= clock.passed <= 6  # not for each file anew
        bench.busy.clear()
        await bench.scrub()
        assert await bench.verified() == {"a", "b", "c"}

    play(tmp_path / "mirror", story)


def test_a_file_that_a_pass_changes_meanwhile_is_no_damage(tmp_path):
    async def story(bench):
        path = await bench.file("a", 40)
        path.write_bytes(b"otherwise")

        def changed_while_it_is_read(*arguments):
            bench.busy.add(SHOP)
            return find(*arguments)

        find, bench.mirror.find = bench.mirror.find, changed_while_it_is_read
        await bench.scrub()
        assert bench.damage == []

    play(tmp_path / "mirror", story)


def test_what_was_verified_by_a_clock_that_was_a_year_ahead_is_verified_again(tmp_path):
    """And then by the right clock: not again and again."""

    async def story(bench):
        await bench.file("ahead", -365)
        await bench.file("today", 0)
        await bench.scrub()
        await bench.scrub()
        assert bench.mirror.read == ["ahead"]

    play(tmp_path / "mirror", story)


def test_a_file_is_read_from_the_disk_where_the_system_can_say_so(tmp_path):
    """Its bytes are the same, and what is no file, or is away, is no trouble."""

    async def story(bench):
        path = await bench.file("a", 40)
        place = bench.layout.place(ArtifactKey(*SHOP, "1", "ci", "build", "all", "a"))
        before = bench.mirror.digest(place)
        bench.mirror.uncache(place)
        assert bench.mirror.digest(place) == before
        path.unlink()
        bench.mirror.uncache(place)
        path.mkdir()
        bench.mirror.uncache(place)

    play(tmp_path / "mirror", story)
