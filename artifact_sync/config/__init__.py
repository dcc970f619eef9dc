"""Configuration: TOML and environment to ``domain.settings.Config``, all problems at once.

- ``document``: find the file, parse it.
- ``load``: apply the environment's overrides and build a ``Config``.
- ``keys``, ``value_types``, ``bandwidth_limit``, ``urls``: every key, and checks of its value.
- ``render``, ``difference``: print, describe and compare configurations.
- ``api_token``, ``secret_file``: read secrets.

Relative paths in a file begin at the file's folder, those in an override at the working directory.
Not here: what a setting means to a pass. ``app``, ``cli``, ``daemon`` and ``web`` import it.
"""

from __future__ import annotations

from artifact_sync.config.document import locate, named
from artifact_sync.config.load import PREFIX, Loaded, load, load_what_is_right, repository

__all__ = ["PREFIX", "Loaded", "load", "load_what_is_right", "locate", "named", "repository"]
