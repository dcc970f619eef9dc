"""What the ledger's connections to PostgreSQL and the fleet's have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

CONNECTION_TERMS: Mapping[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "application_name": "artifact-sync",
}
"""Of libpq, in seconds, unless the URL says otherwise."""

WHILE_MAKING_TABLES = f"SELECT pg_advisory_xact_lock({int.from_bytes(b'artifact', 'big') >> 1})"
"""Takes the lock, to the end of the transaction, of whoever makes or migrates tables."""
