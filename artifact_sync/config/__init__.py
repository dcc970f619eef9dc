"""TOML and environment → the frozen ``settings.Config``; every problem told at once.

``place`` finds the file, ``document`` parses it, ``environment`` knows the overrides, ``tables``
lays one over the other, ``load`` reads them by ``keys``, ``kinds``, ``limits`` and ``urls``;
``schema`` and ``show`` write a configuration out. Relative paths in a file begin at the file's
folder, those in an override at the working directory. The token is ``credentials``'.
"""

from __future__ import annotations

from artifact_sync.config.load import Loaded, load, load_traced, repository
from artifact_sync.config.locate import locate, named

__all__ = ["Loaded", "load", "load_traced", "locate", "named", "repository"]
