"""The digest of the first page of a list of runs, noted when all that it says is known.

A mark is a row of ``meta`` for each repository: when it was noted, how often in a row it had
changed though nothing was new, and the mark itself. It goes, in the same transaction, with
whatever is written of a run that the listing did not say.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from artifact_sync.ledger.queries.transaction import find_repo
from artifact_sync.ledger.sql.encoding import read_moment, stored_moment

if TYPE_CHECKING:
    from datetime import datetime

    from artifact_sync.domain.model import RepoName
    from artifact_sync.ledger.drivers.store import Connection
    from artifact_sync.ledger.queries.transaction import Transaction

_WRITTEN = r"(?P<at>[0-9-]{10}T[0-9:.]{15}Z) (?P<vain>[0-9]{1,4}) (?P<text>.+)"
"""What a mark is written as; anything else is none of ours."""
_VAIN = 3
"""So many changes without a reason mean that the mark tells nothing."""


def mark(connection: Connection, repo: RepoName) -> tuple[str, datetime] | None:
    """The mark of a repository's list, if it tells anything, and when it was noted."""
    at, vain, text = _held(connection, find_repo(connection, repo)) or ("", _VAIN, "")
    return (text, read_moment(at)) if vain < _VAIN else None


def note_mark(tx: Transaction, repo: RepoName, text: str, at: datetime) -> None:
    """The list began like this, and all that it says is known."""
    repo_id = tx.repo_id(repo)
    held = _held(tx.connection, repo_id)
    vain = held[1] + 1 if held is not None and held[2] != text else 0
    value = f"{stored_moment(at)} {vain} {text}"
    tx.connection.write("put_meta", key=_key(repo_id), value=value)


def forget_mark(tx: Transaction, repo_id: int) -> None:
    """What is known of the list is not what it said any more."""
    tx.connection.write("drop_meta", key=_key(repo_id))


def _held(connection: Connection, repo_id: int | None) -> tuple[str, int, str] | None:
    value: str | None = connection.value("meta", key=_key(repo_id))
    if value is None:
        return None
    found = re.fullmatch(_WRITTEN, value)
    return (found["at"], int(found["vain"]), found["text"]) if found else None


def _key(repo_id: int | None) -> str:
    return f"mark/{repo_id}"
