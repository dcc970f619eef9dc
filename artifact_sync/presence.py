"""Do the newest files of a repository still stand in the mirror? A look, without reading them.

What ``verify`` does in full, ``audit`` has; what is missing is fetched by the pass that follows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from artifact_sync.fetching import Works
    from artifact_sync.mirror.layout import Layout
    from artifact_sync.model import MirrorPath, RepoName, RunKey, Standing
    from artifact_sync.ports import Mirror

_RECENT = 2000
"""Files of the newest runs that are looked at; ``verify`` looks at all."""


async def unsettle_damaged(works: Works, layout: Layout, repo: RepoName) -> None:
    """Have runs looked at again whose files or manifest somebody took from the mirror.

    ``DiskError`` from mirror and ledger.
    """
    recent = await works.ledger.recent(repo, _RECENT)
    damaged, bare = await works.tools.offload(_damaged, works.tools.mirror, layout, recent)
    for run in damaged | bare:
        row = await works.ledger.run(run)
        if run in damaged or (row is not None and row.complete):
            await works.ledger.unsettle(run)


def _damaged(
    mirror: Mirror, layout: Layout, files: Sequence[Standing]
) -> tuple[set[RunKey], set[RunKey]]:
    """Runs with a file that does not stand as recorded, and runs that lack a manifest."""
    runs = {file.run for file in files}
    damaged = {file.run for file in files if _size(mirror, file.path) != file.size}
    bare = {run for run in runs if None in (_size(mirror, it) for it in layout.manifests(run))}
    return damaged, bare


def _size(mirror: Mirror, path: MirrorPath | None) -> int | None:
    """The size of a regular file of the mirror; None when there is none."""
    found = mirror.find(path) if path is not None else None
    return found.size if found is not None and found.kind == "file" else None
