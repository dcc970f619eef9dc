"""What is admitted never is more than a bound allows, whatever comes at once."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest

from artifact_sync.domain.errors import BeyondMaxSize
from artifact_sync.domain.model import ArtifactKey, RepoName, RunKey
from artifact_sync.sync.room import Bound, Room

if TYPE_CHECKING:
    from collections.abc import Sequence

    from artifact_sync.domain.model import RunRow

REPO, OTHER = RepoName("acme", "rocket"), RepoName("acme", "other")
BOUNDS = (Bound(REPO, 500), Bound(None, 800))


class Remover:
    """``RunRemover`` and its ledger; the oldest file goes for any other."""

    def __init__(self, room: Room, files: dict[ArtifactKey, int]) -> None:
        self.room = room
        self.files = files
        self.ledger = self

    async def bytes_on_record(self, repo: RepoName | None) -> int:
        held = [size for key, size in self.files.items() if repo in {None, key.run_key.repo}]
        await asyncio.sleep(0)
        return sum(held)

    def bounds(self, repo: RepoName) -> Sequence[Bound]:
        return [it for it in BOUNDS if it.holds(repo)]

    async def by_rules(self) -> None:
        for key in list(self.files)[:1]:
            self.remove(key)

    async def make(self, bound: Bound, run: RunKey) -> None:
        while not await self.room.fits(bound):
            if not (here := [key for key in self.files if bound.holds(key.run_key.repo)]):
                raise BeyondMaxSize(str(run))
            self.remove(here[0])

    def remove(self, key: ArtifactKey) -> None:
        del self.files[key]
        self.room.gone(key.run_key.repo, 1)

    async def passes_over(self, row: RunRow) -> bool:
        raise NotImplementedError(row)


@pytest.mark.parametrize("seed", range(5))
def test_what_comes_and_what_is_here_is_within_every_bound(seed: int) -> None:
    rng, files = Random(seed), dict[ArtifactKey, int]()  # noqa: S311
    room = Room(lambda room: Remover(room, files))  # type: ignore[arg-type]

    async def fetch(number: int) -> bool:
        key = ArtifactKey(*rng.choice((REPO, OTHER)), str(number), "w", "t", "c", "app")
        size = rng.choice((10, 100, 300))
        try:
            await room.admit(key, size)
            for _ in range(rng.randint(0, 3)):
                await asyncio.sleep(0)
            if rng.random() < 0.8:
                files[key] = size
                assert all(
                    sum(it for key, it in files.items() if bound.holds(key.run_key.repo))
                    <= bound.bytes
                    for bound in BOUNDS
                )
                room.recorded(key, size)
        except BeyondMaxSize:
            return False
        finally:
            room.refused(key)
        return True

    async def main() -> None:
        for begin in range(0, 60, 6):
            done = await asyncio.gather(*(fetch(begin + it) for it in range(6)))
            assert any(done)
        assert not any(room.coming(bound) for bound in BOUNDS)

    asyncio.run(main())
    assert room.freed > 0


def test_where_nothing_may_go_nothing_is_bounded() -> None:
    async def main() -> None:
        room = Room()
        key = ArtifactKey(*REPO, "1", "w", "t", "c", "app")
        await room.admit(key, 10**15)
        assert not await room.make_free(room.freed)

    asyncio.run(main())


def test_who_has_found_no_room_hears_that_some_was_made_meanwhile() -> None:
    files = {ArtifactKey(*REPO, "1", "w", "t", "c", "app"): 10}
    room = Room(lambda room: Remover(room, files))  # type: ignore[arg-type]

    async def main() -> list[bool]:
        found = room.freed
        return [*await asyncio.gather(room.make_free(found), room.make_free(found))]

    assert asyncio.run(main()) == [True, True]
    assert not asyncio.run(_make_free(room))


async def _make_free(room: Room) -> bool:
    return await room.make_free(room.freed)
