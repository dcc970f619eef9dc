"""Finds a pooler that gives no sessions, as PgBouncer's transaction mode."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import psycopg

from artifact_sync.domain.errors import UsageError
from artifact_sync.fleet.lock_session import SessionLost

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

    Two connections that are there at once have two sessions, or one of them has none. And a session
    hears what is told to a channel that it has asked for. ``SessionLost`` where it ended before
    anybody could tell.
    """
    with closing(connect()) as one:
        try:
            pid = _pid(one)
            if pid == one.info.backend_pid:
                return  # nobody stands between: a pooler tells a number of its own
            one.execute(f"LISTEN {_CHANNEL}")
        except psycopg.Error:
            raise SessionLost from None
        try:
            with closing(connect()) as other:
                is_session = _pid(other) != pid and _hears(one, other)
        except psycopg.Error:
            raise UsageError(_TOO_SMALL) from None
    if not is_session:
        raise UsageError(_NO_SESSION)


def _hears(one: psycopg.Connection[Any], other: psycopg.Connection[Any]) -> bool:
    other.execute(f"NOTIFY {_CHANNEL}")
    return any(one.notifies(timeout=_PATIENCE, stop_after=1))


def _pid(raw: psycopg.Connection[Any]) -> int:
    row = raw.execute("SELECT pg_backend_pid()").fetchone()
    return int(row[0]) if row is not None else 0
