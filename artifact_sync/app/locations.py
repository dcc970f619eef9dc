"""Where a configuration has its mirror and its ledger. Opens neither."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from artifact_sync.domain.disk_errors import disk_errors
from artifact_sync.domain.errors import UsageError
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.ledger import location

if TYPE_CHECKING:
    from pathlib import Path

    from artifact_sync.domain.settings import Config

LEDGER = "ledger.sqlite"
"""The ledger's file under the mirror's own folder, unless ``ledger.url`` says otherwise."""


def root_of(config: Config) -> Path:
    """The mirror's root. ``UsageError`` when none is set."""
    root = config.mirror.root
    if root is None:
        raise UsageError("no mirror: give --root DIR, or set mirror.root in the configuration")
    if os.path.lexists(root) and not root.is_dir():
        raise UsageError(f"{root} is no folder: give --root or mirror.root the folder of a mirror")
    return root


def is_begun(config: Config) -> bool:
    """Whether an earlier pass has begun the mirror. ``UsageError`` when no root is set."""
    return (root_of(config) / OWN_FOLDER).is_dir()


def ledger_url(config: Config, root: Path) -> str | Path:
    """What ``open_ledger`` is to be given."""
    return config.ledger.url or root / OWN_FOLDER / LEDGER


def is_inside(config: Config, root: Path) -> bool:
    """Whether the ledger is a file below the root, which goes where the mirror goes."""
    return location(ledger_url(config, root)).is_below(root)


def has_ledger(config: Config) -> bool:
    """Whether there is a ledger to be read; of a server's, opening it will tell."""
    place = location(config.ledger.url or root_of(config) / OWN_FOLDER / LEDGER)
    with disk_errors(place.name):
        return place.exists()


def check_layout(known: str, wanted: str) -> None:
    """``UsageError`` when the mirror was begun with another layout, which it keeps."""
    if known != wanted:
        raise UsageError(
            f"this mirror was laid out as {known}, and mirror.layout is now {wanted}: set it back,"
            " or give the new layout a mirror.root of its own"
        )
