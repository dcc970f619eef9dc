"""Write the manifests of a run from the ledger; replace only what differs."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Protocol

from artifact_sync.mirror.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from artifact_sync.domain.model import ArtifactKey, ArtifactRow, MirrorPath, RunKey, RunRow
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
    place: ManifestPlace,
    run: RunKey,
    origin: str,
    changed: Mapping[ArtifactKey, ArtifactRow] | None = None,
) -> int:
    """Write both manifests of a run from the ledger; how many files they name.

    ``origin``: the service's host. ``changed``: what the ledger is about to say of artifacts.
    """
    known = await place.ledger.run(run)
    if known is None:
        return 0
    manifest = await manifest_of(known, place.ledger, place.layout, origin, changed)
    await _replace(place, run, manifest)
    return len(manifest)


async def manifest_of(
    run: RunRow,
    ledger: Ledger,
    layout: Layout,
    origin: str,
    changed: Mapping[ArtifactKey, ArtifactRow] | None = None,
) -> Manifest:
    """Gather from the ledger what the manifests of a run say."""
    record = await ledger.record(run.key)
    manifest = Manifest(run, layout.run_folder(run.key), origin, record)
    async with aclosing(ledger.each_artifact(run.key)) as rows:
        async for row in rows:
            manifest.add((changed or {}).get(row.key, row))
    return manifest


async def refresh_manifests(
    place: ManifestPlace,
    run: RunKey,
    origin: str | None = None,
    changed: Mapping[ArtifactKey, ArtifactRow] | None = None,
) -> None:
    """Write a complete run's manifests anew, without a question to the service.

    ``origin``: the service's host where no manifest tells it. Nothing is done where nobody does:
    the next pass writes it.
    """
    known = await place.ledger.run(run)
    if known is None or not known.complete:
        return
    told = await place.offload(_host, place.mirror, place.layout.manifests(run)[1])
    if host := told or origin:
        await write_manifests(place, run, host, changed)


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
