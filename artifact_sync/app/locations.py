"""Locates the mirror and the ledger of a configuration."""

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
    """Whether the mirror exists already. ``UsageError`` when no root is set."""
    return (root_of(config) / OWN_FOLDER).is_dir()


def ledger_url(config: Config, root: Path) -> str | Path:
    """The URL or file for ``open_ledger``."""
    return config.ledger.url or root / OWN_FOLDER / LEDGER


def is_inside(config: Config, root: Path) -> bool:
    """Whether the ledger is a file below the mirror's root."""
    return location(ledger_url(config, root)).is_below(root)


def has_ledger(config: Config) -> bool:
    """Whether the ledger exists, as far as can be told without opening it."""
    place = location(config.ledger.url or root_of(config) / OWN_FOLDER / LEDGER)
    with disk_errors(place.name):
        return place.exists()


def check_layout(known: str, wanted: str) -> None:
    """Check that the layout did not change since the mirror was begun. ``UsageError``."""
    if known != wanted:
        raise UsageError(
            f"this mirror was laid out as {known}, and mirror.layout is now {wanted}: set it back,"
            " or give the new layout a mirror.root of its own"
        )
