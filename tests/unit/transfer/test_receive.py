"""Receiving a body: what may be staged, and what never may."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from artifact_sync.domain.errors import Cut, NoSpace, RangeMismatch
from artifact_sync.domain.model import Artifact, ArtifactKey, MirrorPath, Validator
from artifact_sync.runtime.threads import Offload
from artifact_sync.transfer import context
from artifact_sync.transfer.context import TransferContext, WantedArtifact
from artifact_sync.transfer.disk_space import DiskSpace
from artifact_sync.transfer.evidence import Identity
from artifact_sync.transfer.receive import BodyReceiver
from artifact_sync.transfer.response import AcceptedBody
from artifact_sync.transfer.staging import StagedFile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path

KEY = ArtifactKey("org", "repo", "7", "w", "t", "c", "a.bin")
BLOCK = 5 * context.BLOCK
"""More than is ever gathered, so it is written by itself."""
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


def received(
    folder: Path,
    disk: Disk,
    work: Callable[[BodyReceiver], Coroutine[Any, Any, None]],
) -> bytes:
    """What is staged after this work, as a later process finds it."""

    async def main() -> None:
        nothing: Any = None
        context = TransferContext(
            nothing,
            nothing,
            nothing,
            disk,
            folder,
            nothing,
            Deaf(),
            Offload(executor),  # type: ignore[arg-type]
            DiskSpace(disk.free),
            nothing,
            nothing,
            1,
        )
        wanted = WantedArtifact(Artifact(KEY, "success"), MirrorPath("a.bin"))
        await work(BodyReceiver(context, wanted, staged, AcceptedBody(IDENTITY, 0, len(CONTENT))))

    staged = StagedFile(folder, KEY, "")
    with ThreadPoolExecutor(2) as executor:
        asyncio.run(main())
    staged.close()
    again = StagedFile(folder, KEY, "")
    again.recover()
    again.close()
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
        with pytest.raises(Cut, match="2,000 of 6,553,600 bytes"):
            await reception.receive(body_of(*blocks(2000)))

    assert received(tmp_path, Disk(), work) == CONTENT[:2000]


def test_more_bytes_than_announced_are_refused(tmp_path: Path) -> None:
    async def work(reception: BodyReceiver) -> None:
        with pytest.raises(RangeMismatch, match="more bytes"):
            await reception.receive(body_of(CONTENT, b"!"))

    received(tmp_path, Disk(), work)
