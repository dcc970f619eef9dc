"""Opens a mirror to look at what was displaced in it.

It works beside whoever works there: no ledger is opened and no lock is taken. What is put back
never replaces anything, and a pass makes folders of its own time for what it displaces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.app.locations import is_begun, mounted_root_of, nothing_mirrored
from artifact_sync.domain.errors import UsageError
from artifact_sync.mirror.local.local_mirror import LocalMirror

if TYPE_CHECKING:
    from artifact_sync.domain.ports import Displacement
    from artifact_sync.domain.settings import Config


def displacement_of(config: Config) -> Displacement:
    """The mirror's displaced files. ``UsageError`` where nothing is mirrored, ``DiskError``."""
    root = mounted_root_of(config)
    if not is_begun(config):
        raise UsageError(nothing_mirrored(config))
    return LocalMirror(root, durability=config.mirror.durability)
