"""Reads the secret with which a hook's events are signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.config.secret_file import BYTE_ORDER_MARK, read_secret
from artifact_sync.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LONGEST = 65_536


def read_hook_secret(path: Path, environ: Mapping[str, str]) -> bytes:
    """Read the first line of a secret file that has one.

    ``ConfigError``, without its content: missing, empty or open to others. Blocking. Call it for
    each delivery, so that a replaced file counts at once.
    """
    what, remedy = "hook's secret file", "write the secret into it, or correct hook.secret_file"
    raw = read_secret(path, environ, what=what, remedy=remedy, most=_LONGEST)
    lines = [line.strip() for line in raw.removeprefix(BYTE_ORDER_MARK).splitlines()]
    secret = next(filter(None, lines), b"")
    if not secret:
        raise ConfigError([f"{what} {path}: is empty; {remedy}"])
    return secret
