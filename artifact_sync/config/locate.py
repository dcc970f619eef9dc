"""Finds the configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from artifact_sync.config.load import CONFIG
from artifact_sync.config.value_types import expand_home
from artifact_sync.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_APP = "artifact-sync"
_NAME = "config.toml"


def locate(option: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Find the file: ``--config``, ``$ARTIFACT_SYNC_CONFIG``, the user's, the site's.

    One that is named is the answer whether it is there or not; None when there is no file. The
    last two places are those of platformdirs, which looks at the process's own environment.
    """
    if option or environ.get(CONFIG):
        return named(option, environ)
    return next((path for path in _usual() if _is_file(path)), None)


def named(option: Path | None, environ: Mapping[str, str]) -> Path:
    """The named file, else the user's, to which ``config init`` writes."""
    if option:
        return option
    try:
        return (
            expand_home(Path(environ[CONFIG]), environ) if environ.get(CONFIG) else next(_usual())
        )
    except ValueError as error:
        raise ConfigError([f"{CONFIG}: {error}"]) from None


def _usual() -> Iterator[Path]:
    import platformdirs  # noqa: PLC0415 - slow to import, and needless when a file is named

    places = platformdirs.PlatformDirs(_APP, appauthor=False, multipath=True)
    return (folder / _NAME for folder in places.iter_config_paths())


def _is_file(path: Path) -> bool:
    """Whether the file exists; in a folder without access it does not."""
    try:
        return path.is_file()
    except OSError:
        return False
