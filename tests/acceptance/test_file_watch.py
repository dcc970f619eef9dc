"""A file that is changed is noticed, in whatever way it is changed; a busy folder is not."""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import aclosing, asynccontextmanager
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from artifact_sync.daemon.reload import file_changes
from artifact_sync.runtime.clock import SystemClock
from artifact_sync.runtime.threads import AbandonableThreads

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
    from pathlib import Path

PATIENCE = 60.0
"""Seconds for anything that must happen; far more than it takes."""


class CountingClock(SystemClock):
    """Counts what the watch waits by it: seconds that take a fifth, or as long as a busy machine
    needs. ``beside`` is called in each wait."""

    def __init__(self, beside: Callable[[], object] = lambda: None) -> None:
        self.slept = 0.0
        self._beside = beside

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        await asyncio.to_thread(self._beside)
        await super().sleep(seconds / 5)


class Watched:
    """A watch over these files, once ``begun``."""

    def __init__(
        self, paths: Callable[[], Sequence[Path]], clock: CountingClock | None = None
    ) -> None:
        self._paths = paths
        self.clock = clock or CountingClock()
        self._looked = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._changes = file_changes(self._asked, AbandonableThreads(), self.clock)
        self.yields = 0

    def _asked(self) -> Sequence[Path]:
        self._loop.call_soon_threadsafe(self._looked.set)
        return self._paths()

    async def next(self) -> None:
        """The next yield."""
        async with asyncio.timeout(PATIENCE):
            await anext(self._changes)
        self.yields += 1

    async def waiting(self) -> asyncio.Task[None]:
        """``next`` in the background, once it has looked and waits to be told."""
        self._looked.clear()
        task = asyncio.create_task(self.next())
        await self._looked.wait()
        # So that not the look is tested, but the watch. Nothing fails when this is too short.
        await asyncio.sleep(0.02)
        return task

    async def sees(self, change: Callable[[], object]) -> None:
        """Something that happens while it waits is told, and within two seconds."""
        task = await self.waiting()
        await asyncio.to_thread(change)
        changed = self.clock.slept
        await task
        assert self.clock.slept - changed < 2.0

    async def until(self, seen: Callable[[], bool]) -> None:
        """Go on to the yield after which this holds."""
        while not seen():
            await self.next()

    async def aclose(self) -> None:
        await self._changes.aclose()


@asynccontextmanager
async def watching(*paths: Path) -> AsyncGenerator[Watched]:
    async with aclosing(Watched(lambda: paths)) as watched:
        await watched.next()  # it has begun
        yield watched


def run(story: Coroutine[object, object, None]) -> None:
    asyncio.run(story)


def replace(file: Path, text: str) -> None:
    """As editors do."""
    new = file.with_name(f".{file.name}.new")
    new.write_text(text)
    new.replace(file)


def retarget(link: Path, target: str) -> None:
    new = link.with_name(f".{link.name}.new")
    new.symlink_to(target)
    new.replace(link)


async def settled(watched: Watched, file: Path) -> None:
    """The file's next change is told soon."""
    await watched.sees(lambda: file.write_text(f"written at {monotonic()}"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir()
    path = folder / "config.toml"
    path.write_text("one")
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.write_text("two"),
        lambda file: replace(file, "one"),
        lambda file: file.chmod(0o640),
        lambda file: file.unlink(),
        lambda file: os.utime(file, ns=(0, 0)),
    ],
    ids=["written in place", "replaced by rename", "other rights", "deleted", "another time"],
)
def test_a_change_of_the_file_is_seen(file, change):
    async def story() -> None:
        async with watching(file) as watched:
            await watched.sees(lambda: change(file))

    run(story())


def test_a_change_while_nobody_waits_is_seen_afterwards_once(file):
    async def story() -> int:
        async with watching(file) as watched:
            for text in ("two", "three"):
                await asyncio.to_thread(replace, file, text)
            await watched.next()
            await asyncio.to_thread(file.unlink)
            await watched.next()
            return watched.yields

    assert asyncio.run(story()) == 3  # the beginning, both writes, the end


def test_what_happens_beside_the_file_is_not_told(file):
    async def story() -> int:
        async with watching(file) as watched:
            waiting = await watched.waiting()
            for number in range(20):
                beside = file.with_name(f"other{number}")
                await asyncio.to_thread(beside.write_text, "x")
                await asyncio.to_thread(beside.unlink)
            # A second watch has seen such a change; the first has had as long.
            async with watching(file.parent / "other") as other:
                await other.sees((file.parent / "other").touch)
            assert not waiting.done()
            await asyncio.to_thread(replace, file, "two")
            await waiting
            return watched.yields

    assert asyncio.run(story()) == 2  # the beginning, and the one change


def test_deleted_and_made_again_is_seen_both_times(file):
    async def story() -> None:
        async with watching(file) as watched:
            await watched.sees(file.unlink)
            await watched.sees(lambda: file.write_text("two"))
            await watched.sees(lambda: file.write_text("three!"))

    run(story())


def test_the_whole_folder_may_go_and_come_again(file):
    def again() -> None:
        file.parent.mkdir()
        file.write_text("two")

    async def story() -> None:
        async with watching(file) as watched:
            await watched.sees(lambda: shutil.rmtree(file.parent))
            await watched.sees(again)
            await watched.until(lambda: file.exists() and file.read_text() == "two")
            await settled(watched, file)

    run(story())


def test_a_folder_replaced_at_one_blow_is_seen_and_watched_from_then_on(file):
    def swap() -> None:
        shutil.rmtree(file.parent)
        file.parent.mkdir()
        file.write_text("two")

    async def story() -> None:
        async with watching(file) as watched:
            await watched.sees(swap)
            await settled(watched, file)

    run(story())


def test_a_folder_above_that_is_moved_away_is_seen(tmp_path):
    file = tmp_path / "a" / "b" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("one")

    async def story() -> None:
        async with watching(file) as watched:
            await watched.sees(lambda: (tmp_path / "a").rename(tmp_path / "z"))

    run(story())


def test_a_file_of_which_not_even_the_folder_is_there_yet_is_seen_when_it_comes(tmp_path):
    file = tmp_path / "a" / "b" / "config.toml"

    def make() -> None:
        file.parent.mkdir(parents=True)
        file.write_text("one")

    async def story() -> None:
        async with watching(file) as watched:
            await watched.sees(make)
            await watched.until(file.exists)
            await settled(watched, file)

    run(story())


def test_a_link_to_another_file_is_seen_and_so_is_what_happens_there(file, tmp_path):
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "real.toml").write_text(name)
    file.unlink()
    file.symlink_to("../old/real.toml")

    async def story() -> None:
        async with watching(file) as watched:
            await watched.sees(lambda: (tmp_path / "old" / "real.toml").write_text("older"))
            await watched.sees(lambda: retarget(file, "../new/real.toml"))
            assert file.read_text() == "new"
            await settled(watched, tmp_path / "new" / "real.toml")

    run(story())


def test_a_link_among_the_folders_above_is_seen_to_be_turned(tmp_path):
    for name in ("1", "2"):
        (tmp_path / "releases" / name).mkdir(parents=True)
        (tmp_path / "releases" / name / "config.toml").write_text(name)
    (tmp_path / "etc").mkdir()
    current = tmp_path / "etc" / "current"
    current.symlink_to("../releases/1")
    file = current / "config.toml"

    async def story() -> None:
        async with watching(file) as watched:
            await watched.sees(lambda: retarget(current, "../releases/2"))
            assert file.read_text() == "2"
            await settled(watched, tmp_path / "releases" / "2" / "config.toml")

    run(story())


def test_a_file_mounted_by_kubernetes_is_seen_to_change_when_its_data_link_is_swapped(tmp_path):
    mount = tmp_path / "mount"

    def version(number: int) -> str:
        name = f"..2026_11_24_{number}"
        (mount / name).mkdir(parents=True)
        (mount / name / "config.toml").write_text(f"version {number}")
        return name

    (mount).mkdir()
    first = version(1)
    (mount / "..data").symlink_to(first)
    file = mount / "config.toml"
    file.symlink_to("..data/config.toml")

    def swap(number: int) -> None:
        old = (mount / "..data").readlink()
        (mount / "..data_tmp").symlink_to(version(number))
        (mount / "..data_tmp").replace(mount / "..data")
        shutil.rmtree(mount / old)

    async def story() -> None:
        async with watching(file) as watched:
            for number in (2, 3):
                await watched.sees(partial(swap, number))
                assert file.read_text() == f"version {number}"

    run(story())


def test_a_circle_of_links_and_a_file_for_a_folder_are_only_odd(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "plain").write_text("x")

    async def story() -> None:
        async with watching(tmp_path / "a", tmp_path / "plain" / "config.toml") as watched:
            await watched.sees(lambda: retarget(tmp_path / "a", "plain"))

    run(story())


def test_the_files_are_asked_for_anew(file, tmp_path):
    paths = [file]
    other = tmp_path / "other" / "token"
    other.parent.mkdir()
    other.write_text("t")

    async def story() -> None:
        async with aclosing(Watched(lambda: list(paths))) as watched:
            await watched.next()
            paths[:] = [file, other]
            await watched.next()  # another file is watched: it may have changed before
            await watched.sees(lambda: other.write_text("u"))

    run(story())


def test_cancelling_it_ends_it_soon(file):
    async def story() -> None:
        async with watching(file) as watched:
            task = await watched.waiting()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                async with asyncio.timeout(PATIENCE):
                    await task

    run(story())


def test_a_file_that_is_still_being_written_is_told_once_it_is_whole(file):
    """Guards against: a configuration taken up half written."""
    parts = [*("part" * number for number in range(1, 8)), "the whole"]
    to_come = parts.copy()

    def write() -> None:
        if to_come:
            file.write_text(to_come.pop(0))

    async def story() -> str:
        async with aclosing(Watched(lambda: [file], CountingClock(write))) as watched:
            await watched.next()  # it has begun
            await watched.next()
            return file.read_text()

    assert asyncio.run(story()) == "the whole"
    assert to_come == []


def test_while_it_works_it_logs_nothing(file):
    async def story() -> None:
        async with watching(file) as watched:
            await watched.sees(lambda: file.write_text("two"))

    with capture_logs() as logs:
        run(story())
    assert logs == []
