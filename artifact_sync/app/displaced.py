"""Opens a mirror to look at what was displaced in it.

It works beside whoever works there: no ledger is opened and no lock is taken. What is put back
never replaces anything, and a pass makes folders of its own time for what it displaces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.app.locations import is_begun, root_of
from artifact_sync.domain.errors import UsageError
from artifact_sync.mirror.local.local_mirror import LocalMirror
from artifact_sync.mirror.local.own_folder import check_mounted

if TYPE_CHECKING:
    from artifact_sync.domain.ports import Displacement
    from artifact_sync.domain.settings import Config


def displacement_of(config: Config) -> Displacement:
    """The mirror's displaced files. ``UsageError`` where nothing is mirrored, ``DiskError``."""
    if config.mirror.must_be_mounted:
        check_mounted(root_of(config))
    if not is_begun(config):
        what = f"nothing is mirrored in {config.mirror.root} yet, or its disk is not mounted"
        raise UsageError(f"{what}: --root or mirror.root names the folder of a mirror")
    return LocalMirror(root_of(config), durability=config.mirror.durability)
