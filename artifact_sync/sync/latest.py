"""Point a repository's links at its newest complete runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.ports import LatestPointer, Ledger
    from artifact_sync.mirror.layout import Layout
    from artifact_sync.runtime.threads import Offload


async def point_latest(
    ledger: Ledger, pointer: LatestPointer, layout: Layout, offload: Offload, repo: RepoName
) -> None:
    """Point ``latest`` and ``latest-success`` at the newest complete runs, or remove them."""
    newest = await ledger.newest_complete(repo)
    for link, run in zip(layout.latest(repo), newest, strict=True):
        if run is not None:
            await offload(pointer.point, link, layout.run_folder(run))
        else:
            await offload(pointer.unpoint, link)
