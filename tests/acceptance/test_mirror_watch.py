"""Watching a mirror: real files, a real ledger, and the system's own watch."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from publishing import publish_bytes, publish_content
from structlog.testing import capture_logs

from artifact_sync.daemon.watch.filesystem import TreeWatcher
from artifact_sync.daemon.watch.watcher import MirrorWatch
from artifact_sync.domain.model import (
    ArtifactKey,
    Mirrored,
    MirrorPath,
    RepoName,
    Run,
    RunKey,
    StagedContent,
    State,
    Strength,
)
from artifact_sync.domain.settings import DEFAULT_LAYOUT
from artifact_sync.ledger import open_ledger
from artifact_sync.mirror.layout import Layout
from artifact_sync.mirror.local.local_mirror import LocalMirror
from artifact_sync.mirror.local.lock import LocalRepositoryLock
from artifact_sync.mirror.manifest import Manifest
from artifact_sync.runtime.clock import SystemClock
from artifact_sync.runtime.threads import Offload
from artifact_sync.sync.verify import Auditor, Condition

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SHOP = RepoName("acme", "shop")
RUN = RunKey(SHOP, "42")
PATIENCE = 60.0


class CountingLedger:
    """A ledger that counts how often it is asked for all of a run."""

    def __init__(self, ledger) -> None:
        self._ledger = ledger
        self.whole_runs = 0

    def __getattr__(self, name):
        return getattr(self._ledger, name)

    def artifacts(self, key):
        self.whole_runs += 1
        return self._ledger.artifacts(key)


class Bench:
    """A mirror, its ledger, and a watch over it."""

    def __init__(self, mirror, offload, ledger) -> None:
        self.root = mirror.root
        self.mirror = mirror
        self.ledger = CountingLedger(ledger)
        self.layout = Layout(DEFAULT_LAYOUT)
        self.auditor = Auditor(
            self.mirror, self.ledger, self.layout, LocalRepositoryLock(), offload
        )
        self.busy: set[RepoName] = set()
        self.told: list[list] = []
        self.missed = 0
        self._sentinels = 0

    def watch(self, open_tree: Callable = TreeWatcher, clock=None) -> MirrorWatch:
        return MirrorWatch(self.auditor, clock or SystemClock(), self.root, self, open_tree)

    def is_busy(self, repo: RepoName) -> bool:
        return repo in self.busy

    @asynccontextmanager
    async def working_on(self, repo: RepoName) -> AsyncIterator[None]:
        """As a pass that holds a repository."""
        async with self.auditor.lock.hold(repo):
            self.busy.add(repo)
            yield
            self.busy.remove(repo)

    def damaged(self, findings) -> None:
        self.told.append(list(findings))

    def may_have_missed(self) -> None:
        self.missed += 1

    async def file(
        self,
        content=b"built",
        name="app.tar",
        run=RUN,
        size=None,
        write=publish_bytes,
        shares=None,
    ) -> MirrorPath:
        """Publish and record a file, as a pass does."""
        key = ArtifactKey(*run.repo, run.run, "build", "compile", "linux", name)
        path = self.layout.place(key)
        await asyncio.to_thread(write, self.mirror, content, path)
        sha256, now = hashlib.sha256(content).hexdigest(), datetime.now(UTC)
        size = len(content) if size is None else size
        row = Mirrored(key, path, size, sha256, Strength.DIGEST, (), fetched_at=now, shares=shares)
        await self.ledger.record_mirrored(row)
        return path

    async def complete(self, run=RUN) -> tuple[MirrorPath, MirrorPath]:
        """Write a run's manifests, as a pass does."""
        manifest = Manifest(Run(run, "success"), self.layout.run_folder(run), "example.org")
        async for row in self.ledger.mirrored(run.repo, run.run):
            manifest.add(row)
        paths = self.layout.manifests(run)
        self.mirror.replace(manifest.sums(), paths[0])
        self.mirror.replace(manifest.about(), paths[1])
        await self.ledger.mark_complete(run, complete=True)
        self.mirror.point(self.layout.latest(run.repo)[0], self.layout.run_folder(run))
        return paths

    @property
    def damage(self) -> list[tuple[Condition, str]]:
        found = [finding for batch in self.told for finding in batch]
        return sorted((finding.condition, finding.path) for finding in found)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that is to come."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, (self.damage, self.missed)
            await asyncio.sleep(0.02)

    async def nothing_but(self, *damage: tuple[Condition, str]) -> None:
        """Everything up to now has been looked at, and this is all that was told of."""
        await self.until(lambda: self._told_of() == sorted(damage))
        for _ in range(2):  # what is only to be hashed comes behind what is missing
            self._sentinels += 1
            run = RunKey(RepoName("sentinel", "repo"), str(self._sentinels))
            path = await self.file(b"", run=run)
            (self.root / path).unlink()
            await self.until(lambda path=path: (Condition.MISSING, path) in self.damage)
        assert self._told_of() == sorted(damage)

    def _told_of(self) -> list[tuple[Condition, str]]:
        return [item for item in self.damage if not item[1].startswith("sentinel/")]


@asynccontextmanager
async def opened(root, mirror=LocalMirror):
    with ThreadPoolExecutor(3) as executor:
        root.mkdir(exist_ok=True)
        (root / ".artifact-sync").mkdir(mode=0o700, exist_ok=True)
        place = root / ".artifact-sync" / "ledger.sqlite"
        async with await open_ledger(place, durability="fast") as ledger:
            yield Bench(mirror(root), Offload(executor), ledger)


@asynccontextmanager
async def running(watch):
    task = asyncio.create_task(watch.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


def play(root, prepare, story):
    """Prepare a mirror, and go on with it once it is watched."""

    async def main():
        async with opened(root) as bench:
            await prepare(bench)
            watch = bench.watch()
            async with running(watch):
                await bench.until(lambda: watch.working)
                await story(bench, watch)

    asyncio.run(main())


async def one_file(bench):
    await bench.file()
    await bench.complete()


PATH = "acme/shop/42/build/compile/linux/app.tar"


def test_a_file_that_somebody_deletes_is_noticed_within_seconds(tmp_path):
    async def story(bench, watch):
        began = time.monotonic()
        (bench.root / PATH).unlink()
        await bench.until(lambda: bench.told)
        assert time.monotonic() - began < 20
        (finding,) = bench.told[0]
        assert (finding.condition, finding.path, finding.run) == (Condition.MISSING, PATH, RUN)
        assert finding.row.sha256 == hashlib.sha256(b"built").hexdigest()
        assert watch.counts == (1, 0)
        (bench.root / PATH).write_bytes(b"built")
        await bench.until(lambda: watch.counts[1] == 1)
        await bench.nothing_but((Condition.MISSING, PATH))

    play(tmp_path / "mirror", one_file, story)


@pytest.mark.parametrize("content", [b"BUILT", b"built and more", b""])
def test_a_file_that_somebody_changes_is_noticed_even_at_the_same_size(tmp_path, content):
    async def story(bench, _):
        (bench.root / PATH).write_bytes(content)
        await bench.nothing_but((Condition.CHANGED, PATH))

    play(tmp_path / "mirror", one_file, story)


def test_a_change_through_one_of_several_hard_links_is_noticed_of_all(tmp_path):
    other = RunKey(RepoName("acme", "site"), "7")

    async def prepare(bench):
        bench.mirror.dedupe("hardlink")
        await bench.file()
        (same,) = await bench.ledger.same_bytes(hashlib.sha256(b"built").hexdigest())

        def link(mirror, content, path):
            staged = StagedContent(5, hashlib.sha256(content).hexdigest(), content, same=[same])
            publish_content(mirror, staged, path)

        path = await bench.file(run=other, write=link, shares=same.number)
        assert (bench.root / path).stat().st_nlink == 2

    async def story(bench, _):
        with (bench.root / PATH).open("r+b") as file:
            file.write(b"BUILT")
        there = PATH.replace("shop/42", "site/7")
        await bench.nothing_but((Condition.CHANGED, PATH), (Condition.CHANGED, there))

    play(tmp_path / "mirror", prepare, story)


def test_a_folder_in_the_place_of_a_file_is_damage(tmp_path):
    async def story(bench, _):
        (bench.root / PATH).unlink()
        (bench.root / PATH).mkdir()
        await bench.nothing_but((Condition.MISSING, PATH))

    play(tmp_path / "mirror", one_file, story)


def test_what_leaves_a_files_bytes_alone_is_no_damage_and_neither_are_strangers(tmp_path):
    async def story(bench, _):
        file = bench.root / PATH
        os.utime(file)
        file.chmod(0o600)
        file.rename(file.with_name("moved"))
        file.with_name("moved").rename(file)
        file.with_name("stranger").write_bytes(b"x")
        file.with_name("stranger").unlink()
        (bench.root / "acme/shop/latest").unlink()
        (bench.root / "acme/shop/empty").mkdir()
        (bench.root / "acme/shop/42/build").chmod(0o700)
        await bench.nothing_but()

    play(tmp_path / "mirror", one_file, story)


def test_what_a_pass_does_is_no_damage(tmp_path):
    async def story(bench, _):
        async with bench.working_on(SHOP):
            bench.mirror.displace(MirrorPath(PATH))
            paths = bench.layout.manifests(RUN)
            await bench.ledger.mark_complete(RUN, complete=False)
            for path in paths:
                bench.mirror.remove([path])
            await bench.file(b"built anew")
            await bench.file(b"more", "more.tar")
            await bench.complete()
        await bench.nothing_but()
        bench.mirror.displace(MirrorPath(PATH))  # as for a repair, outside of any pass
        await bench.nothing_but()

    play(tmp_path / "mirror", one_file, story)


def test_what_was_written_before_the_watch_began_is_known_by_its_hash(tmp_path):
    """Another process wrote it: this one remembers none of its own doings."""

    async def write():
        async with opened(tmp_path / "mirror") as bench:
            await one_file(bench)

    async def nothing(_):
        pass

    async def story(bench, _):
        os.utime(bench.root / PATH)
        sums, about = bench.layout.manifests(RUN)
        os.utime(bench.root / sums)
        await bench.nothing_but()
        (bench.root / PATH).write_bytes(b"BUILT")
        (bench.root / about).write_bytes(b"{}")
        await bench.nothing_but((Condition.CHANGED, PATH), (Condition.CHANGED, about))

    asyncio.run(write())
    play(tmp_path / "mirror", nothing, story)


def test_manifests_of_a_complete_run_count_and_those_of_another_do_not(tmp_path):
    other = RunKey(SHOP, "43")

    async def prepare(bench):
        await one_file(bench)
        await bench.file(run=other)
        await bench.complete(other)
        await bench.ledger.mark_complete(other, complete=False)

    async def story(bench, _):
        sums, about = bench.layout.manifests(RUN)
        (bench.root / sums).unlink()
        (bench.root / about).write_bytes(b"{}")
        for path in bench.layout.manifests(other):
            (bench.root / path).unlink()
        await bench.nothing_but((Condition.MISSING, sums), (Condition.CHANGED, about))

    play(tmp_path / "mirror", prepare, story)


def test_a_runs_folder_that_is_removed_is_all_that_was_in_it(tmp_path):
    async def prepare(bench):
        await one_file(bench)
        await bench.file(b"2", "two")
        await bench.file(b"x", run=RunKey(SHOP, "420"))

    async def story(bench, _):
        shutil.rmtree(bench.root / "acme/shop/42")
        lost = (PATH, PATH.replace("app.tar", "two"), *bench.layout.manifests(RUN))
        await bench.nothing_but(*((Condition.MISSING, path) for path in lost))
        shutil.rmtree(bench.root / "acme")  # what is told of is not told again
        lost = (*lost, PATH.replace("/42/", "/420/"))
        await bench.nothing_but(*((Condition.MISSING, path) for path in lost))

    play(tmp_path / "mirror", prepare, story)


def test_a_repositorys_folder_that_is_moved_away_is_missed_and_well_again_when_it_is_back(
    tmp_path,
):
    async def prepare(bench):
        await one_file(bench)
        await bench.file(b"older", run=RunKey(SHOP, "7"))

    async def story(bench, watch):
        (bench.root / "acme/shop").rename(tmp_path / "away")
        lost = [PATH, *bench.layout.manifests(RUN), PATH.replace("42", "7")]
        await bench.nothing_but(*((Condition.MISSING, path) for path in lost))
        (tmp_path / "away").rename(bench.root / "acme/shop")
        await bench.until(lambda: watch.counts[1] >= 2)
        (bench.root / PATH).write_bytes(b"BUILT")
        damage = [(Condition.MISSING, path) for path in lost]
        await bench.nothing_but(*damage, (Condition.CHANGED, PATH))

    play(tmp_path / "mirror", prepare, story)


def test_a_file_below_a_folder_that_the_system_calls_latest_is_found_all_the_same(tmp_path):
    """A watch follows ``latest``, and tells of its run's folder by whichever name it met last."""
    repos = [RepoName("acme", f"shop{number}") for number in range(12)]

    async def prepare(bench):
        for number, repo in enumerate(repos):
            run = RunKey(repo, str(number))
            await bench.file(run=run)
            await bench.complete(run)

    async def story(bench, _):
        paths = [f"acme/shop{number}/{number}/build/compile/linux/app.tar" for number in range(12)]
        for path in paths:
            (bench.root / path).write_bytes(b"BUILT")
        await bench.nothing_but(*((Condition.CHANGED, path) for path in paths))
        latest = bench.layout.latest(repos[3])[0]
        bench.mirror.point(latest, MirrorPath("acme/shop3/none"))
        (bench.root / paths[3]).unlink()
        damage = [(Condition.CHANGED, path) for path in paths]
        await bench.nothing_but(*damage, (Condition.MISSING, paths[3]))

    play(tmp_path / "mirror", prepare, story)


def plainly(mirror, content, path):
    """So many are not synced: nothing is cut off from power here."""
    place = mirror.root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)


def test_many_files_that_vanish_at_once_are_reported_in_few_batches(tmp_path):
    """No more than the system's queue holds (16,384 events), however late it is read.

    And a run is not read once for each of its files.
    """

    async def prepare(bench):
        for number in range(12):
            run = RunKey(SHOP, str(number))
            files = (bench.file(b"", f"{name}", run, write=plainly) for name in range(100))
            await asyncio.gather(*files)

    async def story(bench, watch):
        await asyncio.to_thread(shutil.rmtree, bench.root / "acme/shop")
        await bench.until(lambda: len(bench.damage) >= 1200)
        assert watch.counts[0] == 1200
        assert max(map(len, bench.told)) <= 1000
        assert len(bench.told) < 60
        assert len(set(bench.damage)) == len(bench.damage) == 1200
        assert bench.ledger.whole_runs < 400

    play(tmp_path / "mirror", prepare, story)


def test_of_many_files_that_change_at_once_the_run_is_not_read_for_each(tmp_path):
    async def prepare(bench):
        files = (bench.file(b"1", f"{name}", write=plainly) for name in range(200))
        await asyncio.gather(*files)

    async def story(bench, watch):
        for path in (bench.root / PATH).parent.iterdir():
            path.write_bytes(b"2")
        await bench.until(lambda: watch.counts[0] == 200)
        assert bench.ledger.whole_runs < 100

    play(tmp_path / "mirror", prepare, story)


def test_damage_during_a_pass_is_reported_when_the_pass_is_over(tmp_path):
    async def prepare(bench):
        await one_file(bench)
        await bench.file(b"2", "two")

    async def story(bench, _):
        async with bench.working_on(SHOP):
            two = PATH.replace("app.tar", "two")
            (bench.root / PATH).unlink()
            (bench.root / two).unlink()
            await bench.nothing_but()
            await bench.file(b"2", "two")  # the pass itself puts one right
        await bench.until(lambda: (Condition.MISSING, PATH) in bench.damage)
        await bench.nothing_but((Condition.MISSING, PATH))

    play(tmp_path / "mirror", prepare, story)


def test_a_request_marks_damage_as_wanted_and_moves_changed_files_away(tmp_path):
    async def prepare(bench):
        await one_file(bench)
        await bench.file(b"2", "two")
        await bench.ledger.settle(RUN, "s", 2)

    async def story(bench, watch):
        two = PATH.replace("app.tar", "two")
        (bench.root / PATH).write_bytes(b"BUILT")
        (bench.root / two).unlink()
        await bench.until(lambda: len(bench.damage) == 2)
        damage = [finding for batch in bench.told for finding in batch]
        before = await bench.ledger.artifacts(RUN)
        now = datetime.now(UTC)
        await bench.auditor.request(damage, now)
        displaced = bench.root / ".artifact-sync" / "displaced"
        assert [it.read_bytes() for it in displaced.rglob("*") if it.is_file()] == [b"BUILT"]
        assert not (bench.root / PATH).exists()
        assert (await bench.ledger.run(RUN)).settled_for == ""
        facts = {"state": State.WANTED, "lost_since": now}
        wanted = {key: replace(row, **facts) for key, row in before.items()}
        assert await bench.ledger.artifacts(RUN) == wanted  # all that was recorded is kept
        await bench.file()
        await bench.file(b"2", "two")
        await bench.auditor.request(damage, datetime.now(UTC))  # all is well by now
        rows = (await bench.ledger.artifacts(RUN)).values()
        assert {row.state for row in rows} == {State.MIRRORED}
        assert (bench.root / PATH).read_bytes() == b"built"
        await bench.until(lambda: watch.counts[1] == 2)
        await bench.nothing_but((Condition.CHANGED, PATH), (Condition.MISSING, two))

    play(tmp_path / "mirror", prepare, story)


def test_what_others_put_right_before_a_repair_has_the_repository_stays_as_it_is(tmp_path):
    """Another process, of whose doings this one remembers none."""

    async def main():
        async with opened(tmp_path / "mirror") as bench:
            await bench.file(b"2", "two")
            await one_file(bench)
            sums = bench.layout.manifests(RUN)[0]
            paths = [PATH, PATH.replace("app.tar", "two"), sums]
            right = {bench.root / path: (bench.root / path).read_bytes() for path in paths}
            for path, content in right.items():
                path.write_bytes(b"?" * len(content))
            (bench.root / paths[1]).unlink()
            damage = [it async for it in bench.auditor.look([SHOP]) if it.path in paths]
            assert sorted(it.condition for it in damage) == ["changed", "changed", "missing"]
            now = datetime.now(UTC)
            async with bench.auditor.lock.hold(SHOP):
                waiting = asyncio.gather(
                    bench.auditor.request(damage, now), bench.auditor.note(damage, now)
                )
                await asyncio.sleep(0)
                for path, content in right.items():
                    path.write_bytes(content)
            await waiting
            assert {path: path.read_bytes() for path in right} == right
            rows = (await bench.ledger.artifacts(RUN)).values()
            assert {row.state for row in rows} == {State.MIRRORED}

    asyncio.run(main())


def test_a_file_that_is_damaged_again_right_after_its_restoration_is_reported_again(tmp_path):
    """Before anybody has looked at what was restored."""

    async def story(bench, watch):
        for number in (1, 2, 3):
            (bench.root / PATH).unlink()
            await bench.until(lambda number=number: len(bench.told) == number)
            watch.repair_began([finding.path for finding in bench.told[-1]])
            async with bench.working_on(SHOP):
                await bench.file()
        assert bench.damage == [(Condition.MISSING, PATH)] * 3
        await bench.until(lambda: watch.counts[1] == 1)
        assert watch.counts[0] == 1  # of one file, which stands again

    play(tmp_path / "mirror", one_file, story)


class FakeClock(SystemClock):
    """A clock whose sleepers are woken by hand."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.wake = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self.wake.wait()


def test_past_the_systems_limit_it_says_so_once_and_tries_again_after_an_hour(tmp_path):
    limit = OSError("OS file watch limit reached. about [...]")

    def open_sight(root, recursive):
        if not raising:
            return TreeWatcher(root, recursive)
        raise raising.pop()

    async def main():
        async with opened(tmp_path / "mirror") as bench:
            path = await bench.file()
            clock = FakeClock()
            watch = bench.watch(open_sight, clock)
            async with running(watch):
                await bench.until(lambda: 3600.0 in clock.slept)
                assert not watch.working
                assert "fs.inotify.max_user_watches" in watch.why
                clock.wake.set()
                await bench.until(lambda: watch.working)
                clock.wake = asyncio.Event()
                assert [it for it in clock.slept if it > 5] == [3600.0, 3600.0, 3600.0]
                assert (watch.why, bench.missed) == ("", 1)
                (bench.root / path).unlink()
                await bench.until(lambda: bench.damage)

    raising = [limit, limit, OSError(errno.ENOSPC, "no space")]
    with capture_logs() as logs:
        asyncio.run(main())
    said = [(it["log_level"], it["event"]) for it in logs if it["log_level"] == "warning"]
    assert said == [
        ("warning", "the mirror cannot be watched; each pass looks at its newest files instead"),
        ("warning", "the mirror is watched again"),
    ]


def test_folders_that_grow_past_the_systems_limit_are_noticed_by_a_probe(tmp_path):
    """The system says nothing when a new folder cannot be watched."""
    folders = []

    def open_sight(root, recursive):
        folders.append((os.path.relpath(root, tmp_path), recursive))
        if recursive:
            return TreeWatcher(root, recursive)
        raise OSError("OS file watch limit reached. about [...]")

    class Quick(FakeClock):
        def monotonic(self) -> float:
            return super().monotonic() * 1000

        async def sleep(self, seconds: float) -> None:
            if seconds > 100:
                await super().sleep(seconds)
            await asyncio.sleep(0.01)

    async def main():
        async with opened(tmp_path / "mirror") as bench:
            clock = Quick()
            watch = bench.watch(open_sight, clock)
            async with running(watch):
                await bench.until(lambda: watch.working)
                assert folders == [("mirror", True)]
                (bench.root / "acme").mkdir()
                await bench.until(lambda: not watch.working)
                assert folders == [("mirror", True), ("mirror/.artifact-sync", False)]
                assert "max_user_watches" in watch.why
                assert clock.slept == [3600.0]

    asyncio.run(main())


def test_a_name_that_is_no_utf_8_has_the_watch_begin_anew_and_is_told_once(tmp_path):
    async def story(bench, watch):
        for number in (1, 2, 3):
            (bench.root / os.fsdecode(b"\xff%d" % number)).write_bytes(b"x")
            await bench.until(lambda number=number: bench.missed > number and watch.working)
        (bench.root / PATH).unlink()
        await bench.nothing_but((Condition.MISSING, PATH))

    with capture_logs() as logs:
        play(tmp_path / "mirror", one_file, story)
    said = [it["event"] for it in logs if it["log_level"] == "warning"]
    assert said == ["the watch over the mirror begins anew"]


def test_a_folder_that_leads_out_of_the_mirror_and_is_moved_into_it_is_not_watched(tmp_path):
    (tmp_path / "outside/a/b").mkdir(parents=True)
    (tmp_path / "away").mkdir()
    (tmp_path / "away/out").symlink_to(tmp_path / "outside")

    async def story(bench, watch):
        (bench.root / PATH).unlink()
        (tmp_path / "away").rename(bench.root / "moved")
        await bench.until(lambda: not watch.working)
        assert "'moved/out' in the mirror is a symbolic link out of it" in watch.why
        await bench.until(lambda: bench.damage == [(Condition.MISSING, PATH)])

    play(tmp_path / "mirror", one_file, story)


def test_a_root_that_is_gone_is_waited_for_and_watched_when_it_is_back(tmp_path):
    async def story(bench, watch):
        bench.root.rename(tmp_path / "away")
        bench.root.mkdir()
        await bench.until(lambda: not watch.working)
        assert "is not there any more" in watch.why
        assert list(bench.root.iterdir()) == []
        assert bench.damage == []
        bench.root.rmdir()
        (tmp_path / "away").rename(bench.root)
        await bench.until(lambda: watch.working)
        assert bench.missed >= 2
        (bench.root / PATH).unlink()
        await bench.nothing_but((Condition.MISSING, PATH))

    play(tmp_path / "mirror", one_file, story)


def test_a_root_behind_a_symbolic_link_is_watched(tmp_path):
    async def story(bench, _):
        (tmp_path / "real" / PATH).unlink()
        await bench.nothing_but((Condition.MISSING, PATH))

    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    play(tmp_path / "link", one_file, story)


def test_a_watch_that_is_reading_a_big_file_ends_at_once_when_it_is_told_to(tmp_path):
    reading = threading.Event()

    class Telling(LocalMirror):
        def digest(self, path, stop=None):
            reading.set()
            return super().digest(path, stop)

    async def main():
        async with opened(tmp_path / "mirror", Telling) as bench:
            path = await bench.file(size=1 << 38)
            os.truncate(bench.root / path, 1 << 38)  # a sparse file; reading it takes minutes
            watch = bench.watch()
            async with running(watch):
                await bench.until(lambda: watch.working)
                os.utime(bench.root / path)
                await bench.until(reading.is_set)
                began = time.monotonic()
            assert time.monotonic() - began < 30
            assert bench.damage == []

    asyncio.run(main())


def test_very_many_changes_at_once_count_as_missed(tmp_path):
    class Flood:
        def __init__(self, root) -> None:
            self.batches = [{(2, f"{root}/acme/other/{number}") for number in range(8000)}]

        def next(self, stop):
            if self.batches:
                return self.batches.pop()
            stop.wait()
            return ()

        def close(self) -> None:
            pass

    async def main():
        async with opened(tmp_path / "mirror") as bench:
            watch = bench.watch(lambda root, _: Flood(root))
            async with running(watch):
                await bench.until(lambda: bench.missed == 2)
                assert watch.working

    asyncio.run(main())
