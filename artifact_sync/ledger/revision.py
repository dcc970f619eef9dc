"""Which schema this program knows, and where a ledger says which one it has. No SQL."""

from __future__ import annotations

HEAD = "0001"
"""The newest revision that this program knows: the last one in ``migrations/versions``."""

VERSION_TABLE = "artifact_sync_version"
"""Not Alembic's usual name: a database may be shared with something else that uses Alembic."""
