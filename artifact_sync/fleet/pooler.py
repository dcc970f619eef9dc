"""Finds a pooler that gives no sessions, as PgBouncer's transaction mode."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import psycopg

from artifact_sync.domain.errors import UsageError

if TYPE_CHECKING:
    from typing import Any

    from artifact_sync.fleet.lock_session import Connect

_CHANNEL = "artifact_sync_session"
_PATIENCE = 5.0
"""Seconds in which a session hears what another one has said."""

_NO_SESSION = (
    "the pooler before PostgreSQL gives its connections for a transaction only, and the locks of"
    " repositories need a session: name the server itself in ledger.url, or a pool with"
    " pool_mode = session"
)
_TOO_SMALL = (
    "the pooler before PostgreSQL has no session left: raise its pool size (a process takes three,"
    " and one more for a moment), or name the server itself in ledger.url"
)


def check_session(connect: Connect) -> None:
    """Raise ``UsageError`` unless a connection is a session of the server. Blocking.

    A session hears what is told to a channel that it has asked for. A connection that goes to one
    session now and to another one then hears nothing.
    """
    with closing(connect()) as one:
        try:
            if _is_direct(one):
                return
            one.execute(f"LISTEN {_CHANNEL}")
            with closing(connect()) as other:
                other.execute(f"NOTIFY {_CHANNEL}")
            heard = any(one.notifies(timeout=_PATIENCE, stop_after=1))
        except psycopg.Error:
            raise UsageError(_TOO_SMALL) from None
    if not heard:
        raise UsageError(_NO_SESSION)


def _is_direct(raw: psycopg.Connection[Any]) -> bool:
    """Whether nobody stands between: a pooler has told a number of its own."""
    row = raw.execute("SELECT pg_backend_pid()").fetchone()
    return row is not None and row[0] == raw.info.backend_pid
