"""What small files share, and what they do not: room, staging, the outcome."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

import pytest

from artifact_sync.domain.errors import DiskError, IntegrityFailure, NoSpace
from artifact_sync.domain.model import Artifact, ArtifactKey, MirrorPath, Strength
from artifact_sync.mirror.local.local_mirror import LocalMirror
from artifact_sync.transfer.context import MemoryBudget, SmallFile, WantedArtifact
from artifact_sync.transfer.disk_space import DiskSpace
from artifact_sync.transfer.evidence import Claim, Identity
from artifact_sync.transfer.receive import SmallFiles
from artifact_sync.transfer.slots import SlotLease, Slots
from artifact_sync.transfer.staging import StagedFile, name_of

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


def small(mirror: LocalMirror, name: str, *chunks: bytes, wrong: bool = False) -> SmallFile:
    key = ArtifactKey("acme", "shop", "1", "w", "t", "c", name)
    content = b"".join(chunks)
    sha256 = hashlib.sha256(content + b"!" * wrong).hexdigest()
    claim = Claim("repr-digest:sha-256", "sha-256", sha256)
    identity = Identity(total=len(content), claims=(claim,))
    wanted = WantedArtifact(Artifact(key, "success"), MirrorPath(f"acme/shop/1/w/t/c/{name}"))
    return SmallFile(chunks, identity, wanted, StagedFile(mirror.staging, key, ""))


def test_each_has_its_own_outcome(tmp_path: Path) -> None:
    mirror = LocalMirror(tmp_path)
    (tmp_path / "acme/shop/1/w/t/c").mkdir(parents=True)
    (tmp_path / "acme/shop/1/w/t/c/taken").write_bytes(b"a stranger")
    files = [
        small(mirror, "one", b"o", b"ne"),
        small(mirror, "wrong", b"w", wrong=True),
        small(mirror, "taken", b"taken"),
        small(mirror, "x" * 300, b"too long a name"),
        small(mirror, "empty"),
    ]
    one, wrong, taken, long, empty = SmallFiles(mirror, DiskSpace(mirror.free))(files)
    assert isinstance(wrong, IntegrityFailure)
    assert isinstance(long, DiskError)
    assert not isinstance(one, Exception)
    assert (one[0].size, one[0].strength, one[1]) == (3, Strength.DIGEST, None)
    assert not isinstance(taken, Exception)
    assert taken[1] is not None
    assert (tmp_path / taken[1]).read_bytes() == b"a stranger"
    assert not isinstance(empty, Exception)
    there = {path.name: path.read_bytes() for path in (tmp_path / "acme/shop/1/w/t/c").iterdir()}
    assert there == {"one": b"one", "taken": b"taken", "empty": b""}
    left = files[3].staged.path  # that one is not downloaded again
    assert left.read_bytes() == b"too long a name"
    assert {it.stem for it in mirror.staging.iterdir()} == {left.stem}


def test_room_is_measured_rarely_where_there_is_plenty_and_always_where_there_is_little() -> None:
    measured = []

    def free(left: int) -> int:
        measured.append(left)
        return left

    plenty = DiskSpace(lambda: free(1 << 40))
    for _ in range(100):
        with plenty.taken(MIB):
            pass
    assert len(measured) <= 3
    measured.clear()
    little = DiskSpace(lambda: free(3 * MIB))
    for _ in range(5):
        with little.taken(MIB):
            pass
    assert len(measured) == 5
    with pytest.raises(NoSpace, match="3 MiB are free"):
        little._take(3 * MIB)


def test_what_is_promised_and_not_written_yet_is_no_room_for_others() -> None:
    space = DiskSpace(lambda: 5 * MIB, min_free=2 * MIB)
    with space.taken(2 * MIB):
        with pytest.raises(NoSpace):
            space._take(2 * MIB)
        with space.taken(MIB):
            pass
    with space.taken(3 * MIB):
        pass


def test_a_batch_leaves_what_must_stay_free(tmp_path: Path) -> None:
    mirror = LocalMirror(tmp_path)
    files = [small(mirror, f"{number}", bytes(MIB // 4)) for number in range(8)]
    outcomes = SmallFiles(mirror, DiskSpace(lambda: 3 * MIB, min_free=2 * MIB))(files)
    assert [isinstance(it, NoSpace) for it in outcomes] == [False] * 4 + [True] * 4


def test_what_is_promised_without_a_measurement_is_a_part_of_the_room() -> None:
    space = DiskSpace(lambda: 17 * MIB)  # a MiB of it is never given away
    space.look()
    assert space.known(MIB)
    with space.taken(MIB):
        assert not space.known(1)


def test_nothing_is_thought_to_be_staged_but_what_was_left(tmp_path: Path) -> None:
    a, b = (ArtifactKey("o", "r", "1", "w", "t", "c", name) for name in "ab")
    none, some = (StagedFile(tmp_path, key, "", recoverable=key is b) for key in (a, b))
    left = {name_of(a)}
    none.note(left)
    assert left == set()
    some.note(left)
    assert left == {name_of(b)}


def test_a_staged_file_that_nobody_knew_of_makes_room_for_a_new_one(tmp_path: Path) -> None:
    key = ArtifactKey("o", "r", "1", "w", "t", "c", "a")
    staged = StagedFile(tmp_path, key, "")
    staged.begin(Identity())
    staged.close()
    again = StagedFile(tmp_path, key, "", recoverable=False)
    again.begin(Identity())
    again.write(b"new")
    again.discard()
    assert list(tmp_path.iterdir()) == []


def test_the_more_bodies_come_the_less_memory_each_chunk_holds() -> None:
    memory, chunk = MemoryBudget(), memoryview(bytes(MIB))[:1000]
    with memory, memory, memory, memory:
        assert memory.keep(chunk) is chunk
        with memory:
            assert (memory.keep(chunk), type(memory.keep(chunk))) == (chunk, bytes)
        assert memory.keep(chunk) is chunk


def test_a_slot_can_be_given_back_and_taken_again() -> None:
    async def story() -> None:
        slots = Slots(1)
        first, second = SlotLease(slots), SlotLease(slots)
        await first.take()
        await first.take()
        waiting = asyncio.create_task(second.take())
        await asyncio.sleep(0)
        assert not waiting.done()
        first.give()
        first.give()
        await waiting
        again = asyncio.create_task(first.take())
        await asyncio.sleep(0)
        assert not again.done()
        second.give()
        await again
        first.give()

    asyncio.run(story())
