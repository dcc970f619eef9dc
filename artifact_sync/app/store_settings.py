"""Says what of a configuration has no meaning in an object store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.domain.errors import ConfigError
from artifact_sync.domain.settings import ObjectUrl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from artifact_sync.domain.settings import Config

_NO_FILE_SYSTEM = "an object store has no file system"


def store_problems(config: Config) -> Iterator[str]:
    """What an object store cannot do."""
    if not isinstance(config.mirror.root, ObjectUrl):
        return
    settings = config.mirror
    if config.ledger.url is None:
        yield "ledger.url is not set: a mirror in an object store needs its ledger elsewhere"
    if settings.watch != "off":
        yield f"mirror.watch: {_NO_FILE_SYSTEM} to be watched; verify finds what was changed"
    if settings.must_be_mounted:
        yield f"mirror.must_be_mounted: {_NO_FILE_SYSTEM} to be mounted"
    if settings.dedupe != "off" or settings.dedupe_before_download:
        yield f"mirror.dedupe: {_NO_FILE_SYSTEM} whose blocks files could share"
    for repo in config.repo:
        if repo.extract:
            yield f"extract of {repo.name}: nothing is unpacked in an object store"


def store_warnings(config: Config) -> Iterator[str]:
    """What is left out of account."""
    settings = config.mirror
    if isinstance(config.mirror.root, ObjectUrl):
        if settings.min_free:
            yield "mirror.min_free does nothing: an object store does not tell what is free"
        if settings.durability != "full":
            yield "mirror.durability does nothing in an object store: what it confirms is durable"
        return
    for key in ("endpoint", "credentials_file", "staging"):
        if getattr(settings, key) is not None:
            yield f"mirror.{key} does nothing for a mirror in a folder"


def check_store(config: Config) -> None:
    """Raise ``ConfigError`` for what an object store cannot do."""
    problems = list(store_problems(config))
    if problems:
        raise ConfigError(problems, config.path)
