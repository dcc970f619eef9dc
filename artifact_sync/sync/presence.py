"""Check quickly, by sizes, that the newest files are in the mirror.

Apart from ``verify``, which reads all files: every pass imports this, and few import that.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from artifact_sync.domain.model import ExpectedFile, RepoName, RunKey
    from artifact_sync.domain.ports import ArtifactStore
    from artifact_sync.mirror.layout import Layout
    from artifact_sync.sync.context import PassContext

RECENT = 2000
"""Files of the newest runs that are looked at; ``verify`` looks at all."""


async def unsettle_damaged(context: PassContext, repo: RepoName) -> None:
    """Unsettle runs whose files or manifests are missing.

    ``DiskError`` from mirror and ledger.
    """
    ledger, offload = context.ledger, context.offload
    recent = await ledger.recent(repo, RECENT)
    damaged, bare = await offload(missing, context.mirror, context.layout, recent)
    for run in damaged | bare:
        row = await ledger.run(run)
        if run in damaged or (row is not None and row.complete):
            await ledger.unsettle(run)


def missing(
    mirror: ArtifactStore, layout: Layout, files: Sequence[ExpectedFile]
) -> tuple[set[RunKey], set[RunKey]]:
    """Runs with a missing file, and runs without manifests. Blocking."""
    manifests = {run: layout.manifests(run) for run in {file.run for file in files}}
    paths = [file.path for file in files if file.path is not None]
    sizes = mirror.sizes([*paths, *chain.from_iterable(manifests.values())])
    damaged = {it.run for it in files if it.path is None or sizes.get(it.path) != it.size}
    bare = {run for run, them in manifests.items() if not all(it in sizes for it in them)}
    return damaged, bare
