"""Take back lost files that were put back, wherever they came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from artifact_sync.domain.model import REMOVED, State
from artifact_sync.sync.manifests import ManifestPlace, refresh_manifests

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from artifact_sync.domain.model import ArtifactRow, MirrorPath, RunKey


async def put_back(
    place: ManifestPlace, rows: Iterable[ArtifactRow], standing: Mapping[MirrorPath, int]
) -> list[ArtifactRow]:
    """Those whose files are as recorded again: size and SHA-256."""
    found = []
    for row in rows:
        if row.path is not None and _was_missed(row) and standing.get(row.path) == row.size:
            digest = await place.offload(place.mirror.digest, row.path)
            if digest == (row.size, row.sha256):
                found.append(row)
    return found


def _was_missed(row: ArtifactRow) -> bool:
    """Whether the ledger has its file on record, and does not count on it."""
    if not row.sha256 or row.here or row.state in REMOVED:
        return False
    return row.lost_since is not None or row.state in {State.WANTED, State.LOST}


def as_adopted(row: ArtifactRow) -> ArtifactRow:
    """The row as the ledger has it once the file is adopted."""
    return replace(row, state=State.MIRRORED, lost_since=None, attempts=0, reason="", message="")


async def adopt(place: ManifestPlace, rows: Sequence[ArtifactRow], at: datetime) -> None:
    """Call these files mirrored again.

    The manifests come first: until the ledger knows, they may call less missing than it does.
    """
    by_run: dict[RunKey, list[ArtifactRow]] = {}
    for row in rows:
        by_run.setdefault(row.key.run_key, []).append(row)
    for run, some in by_run.items():
        adopted = {row.key: as_adopted(row) for row in some}
        await refresh_manifests(place, run, changed=adopted)
        await place.ledger.adopt(some, at)
