"""Write the manifests of a run from the ledger; replace only what differs."""

from __future__ import annotations

import json
from collections import deque
from contextlib import aclosing
from typing import TYPE_CHECKING, Protocol

from artifact_sync.domain.model import State
from artifact_sync.mirror.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from artifact_sync.domain.model import ArtifactKey, ArtifactRow, MirrorPath, Run, RunKey, RunRow
    from artifact_sync.domain.ports import ArtifactStore, Ledger
    from artifact_sync.mirror.layout import Layout
    from artifact_sync.runtime.threads import Offload


class ManifestPlace(Protocol):
    """What manifests are written with, and where."""

    @property
    def ledger(self) -> Ledger:
        """Knows the files."""

    @property
    def mirror(self) -> ArtifactStore:
        """Holds them."""

    @property
    def layout(self) -> Layout:
        """Knows the manifests' paths."""

    @property
    def offload(self) -> Offload:
        """Runs what blocks."""


async def write_manifests(
    place: ManifestPlace, run: Run | RunRow, host: str, *, others: bool = True
) -> int:
    """Write both manifests of a run; how many files they name.

    ``others``: some of the run's files may be missing or refused.
    """
    manifest = Manifest(run, place.layout.run_folder(run.key), host)
    apart = await _others(place.ledger, run.key) if others else []
    missing = deque(sorted((it for it in apart if it.on_record), key=lambda it: it.path or ""))
    async with aclosing(place.ledger.mirrored(run.key.repo, run.key.run)) as rows:
        async for row in rows:
            while missing and (missing[0].path or "") < (row.path or ""):
                manifest.add(missing.popleft())
            manifest.add(row)
    for row in (*missing, *(it for it in apart if it.state is State.REFUSED)):
        manifest.add(row)
    await _replace(place, run.key, manifest)
    return len(manifest)


async def refresh_manifests(
    place: ManifestPlace, run: RunKey, adopted: Mapping[ArtifactKey, ArtifactRow] | None = None
) -> None:
    """Write a complete run's manifests anew without the service.

    ``adopted``: files that the ledger is about to call mirrored again. Nothing is done where no
    manifest tells which service the run is of: the next pass writes it.
    """
    known = await place.ledger.run(run)
    host = await place.offload(_host, place.mirror, place.layout.manifests(run)[1])
    if known is None or not known.complete or host is None:
        return
    rows = {**await place.ledger.artifacts(run), **(adopted or {})}
    await rewrite_manifests(place, known, rows.values(), host)


async def rewrite_manifests(
    place: ManifestPlace, run: RunRow, rows: Iterable[ArtifactRow], origin: str
) -> None:
    """Write a run's manifests anew, of what is on record now.

    ``origin``: the service's host, where no manifest tells it.
    """
    told = await place.offload(_host, place.mirror, place.layout.manifests(run.key)[1])
    manifest = Manifest(run, place.layout.run_folder(run.key), told or origin)
    for row in sorted(_named(rows), key=lambda it: it.path or ""):
        manifest.add(row)
    await _replace(place, run.key, manifest)


def _named(rows: Iterable[ArtifactRow]) -> Iterable[ArtifactRow]:
    return (row for row in rows if row.on_record or row.state is State.REFUSED)


async def _others(ledger: Ledger, run: RunKey) -> list[ArtifactRow]:
    """The run's artifacts on record that are not mirrored, and those refused."""
    async with aclosing(ledger.listing(*run)) as rows:
        return [it for it in _named([row async for row in rows]) if it.state is not State.MIRRORED]


async def _replace(place: ManifestPlace, run: RunKey, manifest: Manifest) -> None:
    contents = (manifest.sums, manifest.about)
    for path, content in zip(place.layout.manifests(run), contents, strict=True):
        await place.offload(_replace_one, place.mirror, path, content())


def _replace_one(mirror: ArtifactStore, path: MirrorPath, content: bytes) -> None:
    if mirror.read(path) != content:
        mirror.replace(content, path)


def _host(mirror: ArtifactStore, path: MirrorPath) -> str | None:
    """The service that a ``run.json`` names; None: there is none that can be read."""
    try:
        told = json.loads(mirror.read(path) or b"")
    except (ValueError, RecursionError):
        return None
    host = told.get("source") if isinstance(told, dict) else None
    return host if isinstance(host, str) else None
