"""The program's version, without reading it from what is installed. ``pyproject.toml`` takes it."""

from __future__ import annotations

VERSION = "0.1.0"
USER_AGENT = f"artifact-sync/{VERSION}"
DOCS_URL = ""
"""Where the documentation is published; empty: messages name the page below ``docs/`` instead."""
