"""What the command line says over the configuration. What it comes to is ``wishes``'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from artifact_sync.domain.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from artifact_sync.domain.settings import Config


class Flags(Struct, frozen=True):
    """What the command line says over the configuration."""

    repos: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    since: float | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    workflow: tuple[str, ...] = ()
    root: Path | None = None
    jobs: int | None = None
    dry_run: bool = False


def with_flags(config: Config, flags: Flags) -> Config:
    """The configuration with ``--root`` and ``--jobs``. ``UsageError`` when there is no root."""
    root = flags.root if flags.root is not None else config.mirror.root
    if root is None:
        raise UsageError("no mirror: give --root DIR, or set mirror.root in the configuration")
    jobs = flags.jobs or config.download.jobs
    return replace(
        config,
        mirror=replace(config.mirror, root=root.expanduser().absolute()),
        download=replace(config.download, jobs=jobs),
    )
