"""A run leaves the mirror: ledger and store in their order, stopped between any two steps."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from memory_store import MemoryStore
from object_stores import ObjectServer, on_its_server
from publishing import publish_bytes

from artifact_sync.domain.model import ArtifactKey, Mirrored, MirrorPath, Run, State, Strength
from artifact_sync.domain.settings import DEFAULT_LAYOUT
from artifact_sync.ledger import open_ledger
from artifact_sync.mirror.layout import Layout
from artifact_sync.mirror.local.local_mirror import LocalMirror

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from artifact_sync.domain.ports import ArtifactStore, Ledger

NOW = datetime(2026, 11, 23, tzinfo=UTC)
LAYOUT = Layout(DEFAULT_LAYOUT)
KEYS = [ArtifactKey("acme", "shop", "42", "w", "t", cube, "a.tar") for cube in ("x", "y", "z")]
RUN = KEYS[0].run_key
FILES = [LAYOUT.place(key) for key in KEYS]
MANIFESTS = LAYOUT.manifests(RUN)
OTHER = MirrorPath("acme/shop/43/w/t/x/a.tar")


def steps(ledger: Ledger, store: ArtifactStore) -> Iterator[Callable[[], Awaitable[Any]]]:
    """What pruning a run takes, in this order; the third is what a crash leaves of the fourth."""
    yield lambda: ledger.pruning(KEYS)
    yield lambda: asyncio.to_thread(store.remove, MANIFESTS)
    yield lambda: asyncio.to_thread(store.remove, FILES[1:2])
    yield lambda: asyncio.to_thread(store.remove, FILES, LAYOUT.run_folder(RUN))
    yield lambda: ledger.pruned(KEYS)


async def finish(ledger: Ledger, store: ArtifactStore) -> None:
    """What the next process does first, knowing no more than the ledger."""
    rows = await ledger.being_pruned(RUN.repo)
    for run in {row.key.run_key for row in rows}:
        paths = [row.path for row in rows if row.key.run_key == run and row.path is not None]
        store.remove(LAYOUT.manifests(run))
        store.remove(paths, LAYOUT.run_folder(run))
    await ledger.pruned([row.key for row in rows])


async def mirror_all(ledger: Ledger, store: ArtifactStore) -> None:
    await ledger.note_run(Run(RUN, "success", "push", NOW), NOW)
    for key, path in zip(KEYS, FILES, strict=True):
        publish_bytes(store, b"built", path)
        sha256 = store.digest(path)[1]  # type: ignore[index]
        await ledger.record_mirrored(
            Mirrored(key, path, 5, sha256, Strength.LENGTH, ("length",), fetched_at=NOW)
        )
    for path in MANIFESTS:
        store.replace(b"{}", path)
    publish_bytes(store, b"another run's", OTHER)


async def check_tells_no_lie(ledger: Ledger, store: ArtifactStore) -> None:
    """Neither a manifest nor the ledger vouches for what is not there."""
    there = store.sizes(FILES)
    if store.sizes(MANIFESTS):
        assert len(there) == len(FILES)
    rows = await ledger.artifacts(RUN)
    assert {row.path for row in rows.values() if row.state is State.MIRRORED} <= there.keys()


@pytest.fixture(params=["disk", "memory", *map(on_its_server, ("moto", "rclone"))])
def opened(
    request: pytest.FixtureRequest, tmp_path: Path, object_server: Callable[[str], ObjectServer]
) -> Callable[[], ArtifactStore]:
    """Opens the same mirror again, as a new process does."""
    memory, prefix = MemoryStore(), f"removal/{uuid4().hex}"
    kind = request.param
    if kind.startswith("objects-"):
        server = object_server(kind.removeprefix("objects-"))
        return lambda: server.mirror(prefix)
    return lambda: LocalMirror(tmp_path / "mirror") if kind == "disk" else memory


@pytest.mark.parametrize("stop", range(6))
def test_pruning_that_stops_after_any_step_is_finished_by_the_next_process(
    opened: Callable[[], ArtifactStore], tmp_path: Path, stop: int
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"

    async def story() -> None:
        async with await open_ledger(url, durability="fast") as ledger:
            store = opened()
            await mirror_all(ledger, store)
            for _, step in zip(range(stop), steps(ledger, store), strict=False):
                await step()
                await check_tells_no_lie(ledger, store)
        async with await open_ledger(url, durability="fast") as ledger:
            store = opened()
            await check_tells_no_lie(ledger, store)
            await finish(ledger, store)
            await finish(ledger, store)
            state = State.PRUNED if stop else State.MIRRORED
            assert {it.state for it in (await ledger.artifacts(RUN)).values()} == {state}
            assert await ledger.being_pruned(RUN.repo) == []
            left = list(store.files(MirrorPath("")))
            assert left == ([OTHER] if stop else [*sorted([*MANIFESTS, *FILES]), OTHER])

    asyncio.run(story())
