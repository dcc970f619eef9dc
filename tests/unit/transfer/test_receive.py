"""Receiving a body: what may be staged, and what never may."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from anywhere import Anywhere

from artifact_sync.domain.errors import Cut, NoSpace, RangeMismatch
from artifact_sync.domain.model import Artifact, ArtifactKey, MirrorPath, Validator
from artifact_sync.runtime.threads import Offload
from artifact_sync.transfer.disk_space import DiskSpace
from artifact_sync.transfer.memory_budget import MemoryBudget
from artifact_sync.transfer.reader_thread import Aside, Course
from artifact_sync.transfer.receive import BodyReceiver, TransferContext, WantedArtifact
from artifact_sync.transfer.response import AcceptedBody
from artifact_sync.transfer.staging import Identity, Staged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path

KEY = ArtifactKey("org", "repo", "7", "w", "t", "c", "a.bin")
BLOCK = MemoryBudget().block  # of the only body there is
CONTENT = bytes(range(256)) * (5 * BLOCK // 256)
IDENTITY = Identity(Validator('"e"'), len(CONTENT))
PLENTY = 8 << 20  # so little that every block is measured for


class Disk:
    """A mirror of which only the free space matters here, block by block."""

    def __init__(self, *free: int) -> None:
        self._free = list(free)

    def free(self) -> int:
        return self._free.pop(0) if self._free else PLENTY


class Deaf:
    def notify(self, event: object) -> None:
        pass


async def body_of(*blocks: bytes, then: Exception | None = None) -> AsyncIterator[bytes]:
    for block in blocks:
        yield block
    if then is not None:
        raise then


class Limit:
    """A limit of bandwidth that begins after so many looks at it."""

    def __init__(self, looks: int) -> None:
        self._looks = looks
        self.taken: list[int] = []

    def rate(self) -> int | None:
        self._looks -= 1
        return None if self._looks >= 0 else 1

    async def take(self, count: int) -> None:
        self.taken.append(count)


def received(
    folder: Path,
    disk: Disk,
    work: Callable[[BodyReceiver], Coroutine[Any, Any, None]],
    limit: Any = None,
) -> bytes:
    """What is staged after this work, as a later process finds it."""

    async def main() -> None:
        nothing: Any = None
        tools = TransferContext(
            nothing,
            nothing,
            disk,
            folder,
            nothing,
            Deaf(),
            Offload(executor),  # type: ignore[arg-type]
            DiskSpace(disk.free),
            nothing,
            aside=Aside(Offload(executor), 1),  # type: ignore[arg-type]
            pace=limit,
        )
        wanted = WantedArtifact(Artifact(KEY, "success"), MirrorPath("a.bin"))
        await work(BodyReceiver(tools, wanted, staged, AcceptedBody(IDENTITY, 0, len(CONTENT))))

    staged = Staged(folder, KEY, "")
    with ThreadPoolExecutor(2) as executor:
        asyncio.run(main())
    staged.shelve()
    again = Staged(folder, KEY, "")
    again.recover()
    again.shelve()
    return again.path.read_bytes() if again.offset else b""


def blocks(*sizes: int) -> list[bytes]:
    parts, at = [], 0
    for size in sizes:
        parts.append(CONTENT[at : at + size])
        at += size
    return parts


def test_after_a_block_that_was_lost_no_later_one_is_staged_in_its_place(tmp_path: Path) -> None:
    async def work(reception: BodyReceiver) -> None:
        with pytest.raises(NoSpace):
            await reception.receive(body_of(*blocks(BLOCK, BLOCK, BLOCK, BLOCK)))

    # room for the first two blocks, none for the third, and room again for the fourth
    staged = received(tmp_path, Disk(PLENTY, PLENTY, 0, PLENTY), work)
    assert staged == CONTENT[: 2 * BLOCK]


def test_what_came_before_a_cut_is_staged_to_the_last_byte(tmp_path: Path) -> None:
    async def work(reception: BodyReceiver) -> None:
        with pytest.raises(Cut):
            await reception.receive(body_of(*blocks(BLOCK, 1234), then=Cut("cut")))

    assert received(tmp_path, Disk(), work) == CONTENT[: BLOCK + 1234]


def test_what_came_before_a_cancellation_is_staged_to_the_last_byte(tmp_path: Path) -> None:
    async def work(reception: BodyReceiver) -> None:
        cancelled: Any = asyncio.CancelledError()
        with pytest.raises(asyncio.CancelledError):
            await reception.receive(body_of(*blocks(2000), then=cancelled))

    assert received(tmp_path, Disk(), work) == CONTENT[:2000]


def test_a_body_that_ends_early_in_order_is_a_cut(tmp_path: Path) -> None:
    async def work(reception: BodyReceiver) -> None:
        with pytest.raises(Cut, match="2,000 of 5,242,880 bytes"):
            await reception.receive(body_of(*blocks(2000)))

    assert received(tmp_path, Disk(), work) == CONTENT[:2000]


def test_more_bytes_than_announced_are_refused(tmp_path: Path) -> None:
    async def work(reception: BodyReceiver) -> None:
        with pytest.raises(RangeMismatch, match="more bytes"):
            await reception.receive(body_of(CONTENT, b"!"))

    received(tmp_path, Disk(), work)


def test_what_is_not_small_is_read_on_by_the_thread_that_writes_it(tmp_path: Path) -> None:
    body = Anywhere(*blocks(*[BLOCK // 2] * 10))

    async def work(reception: BodyReceiver) -> None:
        await reception.receive(body, Course(body))

    assert received(tmp_path, Disk(), work) == CONTENT
    assert body.readers[:2] == [threading.get_ident()] * 2
    assert threading.get_ident() not in body.readers[2:-1]


def test_a_body_that_is_to_be_read_here_again_is(tmp_path: Path) -> None:
    body = Anywhere(*blocks(*[BLOCK // 2] * 10))
    heard: list[int] = []

    def goes_on(chunk: object) -> bool:
        heard.append(len(bytes(chunk)))  # type: ignore[call-overload]
        return len(heard) < 3

    async def work(reception: BodyReceiver) -> None:
        await reception.receive(body, Course(body, goes_on, lambda: not heard))

    # less than a block stays in memory until the file is concluded
    assert received(tmp_path, Disk(), work) == CONTENT[: -BLOCK // 2]
    assert heard == [BLOCK // 2] * 3
    assert body.readers[5:] == [threading.get_ident()] * 6


@pytest.mark.parametrize("error", [Cut("cut"), asyncio.CancelledError()])
def test_what_was_read_aside_before_it_broke_off_is_staged_to_the_last_byte(
    tmp_path: Path, error: BaseException
) -> None:
    body = Anywhere(*blocks(BLOCK, BLOCK, 1234), then=error)

    async def work(reception: BodyReceiver) -> None:
        with pytest.raises(type(error)):
            await reception.receive(body, Course(body))

    assert received(tmp_path, Disk(), work) == CONTENT[: 2 * BLOCK + 1234]


def test_what_had_room_is_kept_when_the_disk_fills_up_aside(tmp_path: Path) -> None:
    body = Anywhere(*blocks(BLOCK, 1234, BLOCK, BLOCK))

    async def work(reception: BodyReceiver) -> None:
        with pytest.raises(NoSpace):
            await reception.receive(body, Course(body))

    staged = received(tmp_path, Disk(PLENTY, PLENTY, 0, PLENTY), work)
    assert staged == CONTENT[: 2 * BLOCK + 1234]


def test_more_bytes_than_announced_are_refused_aside_as_well(tmp_path: Path) -> None:
    body = Anywhere(CONTENT[:BLOCK], CONTENT[BLOCK:], b"!")

    async def work(reception: BodyReceiver) -> None:
        with pytest.raises(RangeMismatch, match="more bytes"):
            await reception.receive(body, Course(body))

    received(tmp_path, Disk(), work)


def test_a_limit_that_begins_while_a_body_is_read_aside_holds_from_the_next_piece(
    tmp_path: Path,
) -> None:
    body, limit = Anywhere(*blocks(*[BLOCK] * 5)), Limit(3)  # one look before, one after each piece

    async def work(reception: BodyReceiver) -> None:
        await reception.receive(body, Course(body))

    assert received(tmp_path, Disk(), work, limit) == CONTENT
    assert limit.taken == [BLOCK] * 2  # the piece before, and the one after
    assert threading.get_ident() not in body.readers[1:4]
    assert body.readers[4:] == [threading.get_ident()] * 2


def test_what_was_read_aside_is_staged_when_whoever_waits_for_more_is_cancelled(
    tmp_path: Path,
) -> None:
    body = Anywhere(*blocks(BLOCK, BLOCK, 1234), endless=True)

    async def work(reception: BodyReceiver) -> None:
        task = asyncio.create_task(reception.receive(body, Course(body)))
        async with asyncio.timeout(20):
            await asyncio.to_thread(body.waited_for.wait, 20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    assert received(tmp_path, Disk(), work) == CONTENT[: 2 * BLOCK + 1234]
