"""Remove files from the mirror for good: the one way out of it.

The ledger is told first (``pruning``), for which a full disk has some room in reserve. Then
``latest`` and the manifests cease to vouch for them, then the files go, then folders that are
empty, and at last the ledger is told that it is done. Whatever comes in between,
``finish_removals`` finishes it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from artifact_sync.domain.archives import UNPACKED
from artifact_sync.domain.events import FilesRemoved
from artifact_sync.domain.model import MirrorPath, State
from artifact_sync.mirror.manifest import may_be_older
from artifact_sync.sync.latest import point_latest
from artifact_sync.sync.manifests import ManifestPlace, refresh_manifests, standing_unpacked

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.model import ArtifactKey, ArtifactRow, RepoName, RunKey
    from artifact_sync.domain.ports import ArtifactStore, Clock, LatestPointer

_AT_ONCE = 16
"""Files that are hashed side by side."""

_TOLD = 500
"""Files in one event."""


class RemovalPlace(ManifestPlace, Protocol):
    """What files are removed with, and where. The repository is held meanwhile."""

    @property
    def latest(self) -> LatestPointer | None:
        """None: the mirror has no names for the newest runs."""

    @property
    def origin(self) -> str:
        """The service's host, for ``run.json``."""

    @property
    def clock(self) -> Clock:
        """Tells since when files are gone."""

    @property
    def observer(self) -> Observer:
        """Is told what was removed."""


async def remove(place: RemovalPlace, run: RunKey, rows: Sequence[ArtifactRow]) -> None:
    """Remove the recorded files of these artifacts of a run.

    A file that is not the recorded one is somebody's, and stays.
    """
    await place.offload(place.mirror.spend_reserve)
    keys = [row.key for row in rows]
    kept = await place.ledger.shared_beyond(keys)
    await place.ledger.pruning(keys)
    await _carry_out(place, run, kept)


async def remove_run(place: RemovalPlace, run: RunKey) -> None:
    """Remove all recorded files of a run; a tombstone stays of it."""
    await place.offload(place.mirror.spend_reserve)
    kept = await place.ledger.shared_beyond(list(await place.ledger.artifacts(run)))
    await place.ledger.prune_run(run, place.clock.now())
    await _carry_out(place, run, kept)


async def finish_removals(place: RemovalPlace, repo: RepoName) -> None:
    """Finish what was broken off. Cheap where there is nothing."""
    runs = dict.fromkeys(row.key.run_key for row in await place.ledger.being_pruned(repo))
    if runs:
        await place.offload(place.mirror.spend_reserve)
        await point_away(place, repo)
    for run in runs:
        await _carry_out(place, run)


async def point_away(place: RemovalPlace, repo: RepoName) -> None:
    """Point ``latest`` and ``latest-success`` away from runs that are complete no more."""
    if place.latest is not None:
        await point_latest(place.ledger, place.latest, place.layout, place.offload, repo)


async def _carry_out(place: RemovalPlace, run: RunKey, kept: int = 0) -> None:
    """Remove a run's files that are PRUNING. ``kept``: bytes of them that others share."""
    known = await place.ledger.artifacts(run)
    rows = [it for it in known.values() if it.state is State.PRUNING]
    await withdraw(place, run, known)
    ours = await _recorded(place, rows)
    folder = place.layout.run_folder(run)
    paths = [row.path for row in ours if row.path is not None]
    empty = [path for row in rows for path in await _remove_unpacked(place, row)]
    await place.offload(place.mirror.remove, paths, folder, empty)
    staying = [it for it in known.values() if it.state is not State.PRUNING]
    expected = {it.path for it in staying if it.may_stand and it.path is not None}
    expected |= set(place.layout.beside(run))
    expected |= await standing_unpacked(place.ledger, staying)
    left = await place.offload(_strangers, place.mirror, folder, expected)
    forgotten = await _conclude(place, run, [row.key for row in rows])
    await place.ledger.recount(run)
    told = FilesRemoved(
        run, tuple(_removed(place, row, forgotten) for row in ours), tuple(left), kept
    )
    _tell(place, told)


async def withdraw(
    place: RemovalPlace, run: RunKey, known: Mapping[ArtifactKey, ArtifactRow]
) -> None:
    """Have the manifests of a run vouch for nothing but what is on record.

    Where nothing is, the run has none, and ``latest`` does not lead to it.
    """
    row, ledger = await place.ledger.run(run), place.ledger
    if any(it.on_record for it in known.values()):
        if row is not None and row.complete:
            await refresh_manifests(place, run, place.origin)
        return
    if row is not None and row.complete:
        await ledger.mark_complete(run, complete=False)
        await point_away(place, run.repo)
    await place.offload(_remove_manifests, place, run, known.values())


def _remove_manifests(place: RemovalPlace, run: RunKey, rows: Iterable[ArtifactRow]) -> None:
    """Remove a run's manifests durably, if they are ours. Blocking."""
    folder = place.layout.run_folder(run)
    listed = list(rows)
    found = [(path, place.mirror.read(path)) for path in place.layout.manifests(run)]
    ours = [path for path, it in found if it is not None and may_be_older(it, listed, folder)]
    if ours:
        ours.append(place.layout.signature(run))
        place.mirror.remove(ours)
        place.mirror.remove(ours, folder)  # where they were all that was left


async def _recorded(place: RemovalPlace, rows: Sequence[ArtifactRow]) -> list[ArtifactRow]:
    """Those whose files stand as they were recorded."""
    ours = []
    for begin in range(0, len(rows), _AT_ONCE):
        some = [row for row in rows[begin : begin + _AT_ONCE] if row.path is not None]
        digests = (place.offload(place.mirror.digest, row.path) for row in some if row.path)
        found = await asyncio.gather(*digests)
        pairs = zip(some, found, strict=True)
        ours += [row for row, it in pairs if it == (row.size, row.sha256)]
    return ours


async def _remove_unpacked(place: RemovalPlace, row: ArtifactRow) -> Sequence[MirrorPath]:
    """Remove what stands as it was unpacked of an archive.

    The folders that this has emptied or that were empty; whoever removes the archive removes them.
    """
    entries = await place.ledger.unpacked(row.key) if row.extraction is not None else ()
    every = [(MirrorPath(it.below(f"{row.path}{UNPACKED}")), it) for it in entries]
    for begin in range(0, len(every), _AT_ONCE):
        some = every[begin : begin + _AT_ONCE]
        looks = (place.offload(place.mirror.stands, *it) for it in some)
        found = await asyncio.gather(*looks)
        ours = [it for it, stands in zip(some, found, strict=True) if stands]
        links = [path for path, it in ours if it.target is not None]
        await place.offload(place.mirror.remove_links, links)
        files = [path for path, it in ours if it.is_file]
        await place.offload(place.mirror.remove, files)
    above = {path.rpartition("/")[0] for path, it in every if it.target is not None or it.sha256}
    empty = {path for path, it in every if it.target is None and not it.sha256}
    return [MirrorPath(it) for it in sorted(above | empty)]


def _strangers(
    mirror: ArtifactStore, folder: MirrorPath, expected: Collection[MirrorPath]
) -> list[MirrorPath]:
    """What is left in a folder that nobody recorded. Blocking."""
    return [path for path in mirror.files(folder) if path not in expected]


async def _conclude(
    place: RemovalPlace, run: RunKey, keys: Sequence[ArtifactKey]
) -> Collection[ArtifactKey]:
    """Tell the ledger that the files are gone: of what is let go, and of what was pruned.

    What is let go.
    """
    rules = await place.ledger.forget_rules(run.repo)
    forgotten = [key for key in keys if rules.forgets(key)]
    await place.ledger.end_removal(forgotten, place.clock.now())
    await place.ledger.pruned([key for key in keys if not rules.forgets(key)])
    return frozenset(forgotten)


def _removed(
    place: RemovalPlace, row: ArtifactRow, forgotten: Collection[ArtifactKey]
) -> ArtifactRow:
    """What is told of an artifact whose file is gone."""
    state = State.FORGOTTEN if row.key in forgotten else State.PRUNED
    return replace(row, state=state, wanted=False, lost_since=place.clock.now())


def _tell(place: RemovalPlace, told: FilesRemoved) -> None:
    """Tell the observer, some files at a time."""
    kept = told.kept_bytes
    for begin in range(0, max(len(told.rows), len(told.left)), _TOLD):
        rows, left = told.rows[begin : begin + _TOLD], told.left[begin : begin + _TOLD]
        some = FilesRemoved(told.run, rows, left, kept)
        kept = max(kept - sum(row.size or 0 for row in rows), 0)
        place.observer.notify(some)
