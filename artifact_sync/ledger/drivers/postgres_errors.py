"""Errors of PostgreSQL and psycopg in the project's words, without statements, values or passwords.

The codes are in PostgreSQL's documentation, appendix A. What goes wrong while connecting has none:
it is told by the words of libpq and of the server, of which other languages fall through.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

import psycopg

from artifact_sync.domain.errors import (
    ArtifactSyncError,
    DiskError,
    LeaseLost,
    LedgerUnreachable,
    UsageError,
)
from artifact_sync.ledger.drivers.errors import no_space

if TYPE_CHECKING:
    from collections.abc import Mapping

    from artifact_sync.ledger.drivers.location import Location

_CONFLICTS = frozenset({"40001", "40P01", "23505", "22012"})
"""Serialization failure, deadlock, a row that another transaction made first, and one that is no
more: checks of what is remembered divide by the number of rows."""
_NO_LOGARITHM = "2201E"
"""Of the number of sessions that hold a lock: there is none."""
_PASSING = ("08", "57P01", "57P02", "57P03", "53300")
"""A connection that is lost, and a server that shuts down, starts, or has no connection left."""

_NO_RIGHT = (
    UsageError,
    "may not be used by this user: as its owner, GRANT it ALL on schema, tables and sequences",
)
_NO_SCHEMA = (
    UsageError,
    "has no schema for this user: CREATE SCHEMA as in ledger.url, or GRANT USAGE, CREATE ON it",
)
_STATES: Mapping[str, tuple[type[ArtifactSyncError], str]] = MappingProxyType(
    {
        "25006": (DiskError, "is open for reading only: name its primary server in ledger.url"),
        "57014": (LedgerUnreachable, "takes too long: look at the load of its server"),
        "42501": _NO_RIGHT,
        "3F000": _NO_SCHEMA,
    }
)

_CONNECTING: tuple[tuple[str, type[ArtifactSyncError], str], ...] = (
    (
        "startup parameter|unrecognized configuration parameter",
        UsageError,
        "does not take an option of ledger.url: correct it, or use ALTER ROLE behind a pooler",
    ),
    (
        "could not translate host name|name or service not known|failed to resolve",
        LedgerUnreachable,
        "is on a host that is unknown: correct ledger.url, or look at the name service",
    ),
    (
        "authentication failed|no password supplied|role .* does not exist|no such user",
        UsageError,
        "does not take this user and password: correct them in ledger.url",
    ),
    (
        "pg_hba",
        UsageError,
        "lets this user not in from here: allow it in the server's pg_hba.conf",
    ),
    (
        "database .* does not exist|no such database",
        UsageError,
        "does not exist: make it with createdb --encoding=UTF8, or correct ledger.url",
    ),
    (
        "permission denied for database",
        UsageError,
        "may not be used by this user: GRANT CONNECT ON DATABASE to it",
    ),
    (
        "ssl|certificate",
        UsageError,
        "cannot be reached by TLS as asked: look at sslmode and at the certificates",
    ),
    (
        "too many|remaining connection slots",
        LedgerUnreachable,
        "has no connection left: raise max_connections (each process takes three)",
    ),
    (
        "starting up|shutting down|recovery",
        LedgerUnreachable,
        "is just starting or stopping: try again when its server is up",
    ),
    (
        "connection refused|no such file",
        LedgerUnreachable,
        "is not there: start PostgreSQL, or correct host and port in ledger.url",
    ),
)


class Silent(psycopg.OperationalError):
    """The server has not answered within the time limit."""


def is_conflict(error: psycopg.Error) -> bool:
    """Whether another transaction got into the way of this one."""
    return error.sqlstate in _CONFLICTS


def is_passing(error: psycopg.Error) -> bool:
    """Whether the connection, or the server, was lost, and may be there again soon."""
    if isinstance(error, Silent):
        return False
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate.startswith(_PASSING)


def of_connecting(error: psycopg.Error, place: Location) -> ArtifactSyncError:
    """Why there is no connection."""
    if isinstance(error, psycopg.errors.ConnectionTimeout):
        return _silent(place)
    text = str(error)
    for words, kind, advice in _CONNECTING:
        if re.search(words, text, re.IGNORECASE):
            return kind(f"the ledger {place.name} {advice}")
    return LedgerUnreachable(f"the ledger {place.name} cannot be connected to: look at its server")


def of_statement(error: psycopg.Error, place: Location) -> ArtifactSyncError:
    """Why a transaction has failed."""
    state = error.sqlstate or ""
    if isinstance(error, Silent):
        return _silent(place)
    if state == _NO_LOGARITHM:
        return LeaseLost("the repository")
    if state == "53100":
        return no_space(place)
    if state in _STATES:
        kind, advice = _STATES[state]
        return kind(f"the ledger {place.name} {advice}")
    name = f"{type(error).__name__} {state}".strip()
    if state.startswith(("22", "23", "42")):
        return ArtifactSyncError(f"the ledger {place.name} refused a statement ({name}): report it")
    return LedgerUnreachable(
        f"the ledger {place.name} was lost ({name}): look at its server, and run it again"
    )


def _silent(place: Location) -> LedgerUnreachable:
    return LedgerUnreachable(
        f"the ledger {place.name} does not answer: see whether its server runs and can be reached"
    )
