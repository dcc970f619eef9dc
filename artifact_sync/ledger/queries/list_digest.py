"""The digest of a run list's first page, noted once all is known.

A row of ``meta`` for each repository. It goes, in the same transaction, with whatever is written of
a run that the listing did not say.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from artifact_sync.ledger.queries.transaction import find_repo
from artifact_sync.ledger.sql.encoding import read_moment, stored_moment

if TYPE_CHECKING:
    from datetime import datetime

    from artifact_sync.domain.model import RepoName
    from artifact_sync.ledger.queries.transaction import Transaction
    from artifact_sync.ledger.sql.connection import Connection

_WRITTEN = r"(?P<at>[0-9-]{10}T[0-9:.]{15}Z) [0-9]{1,4} (?P<digest>.+)"
"""The first version counts something in the middle; it still reads what is written here."""


def list_digest(connection: Connection, repo: RepoName) -> tuple[str, datetime] | None:
    """The digest of a repository's list, and when it was noted."""
    value: str = connection.value("meta", key=_key(find_repo(connection, repo))) or ""
    found = re.fullmatch(_WRITTEN, value)
    return (found["digest"], read_moment(found["at"])) if found else None


def note_list_digest(tx: Transaction, repo: RepoName, digest: str, at: datetime) -> None:
    """The list began like this, and all that it says is known."""
    value = f"{stored_moment(at)} 0 {digest}"
    tx.connection.write("put_meta", key=_key(tx.repo_id(repo)), value=value)


def forget_list_digest(tx: Transaction, repo_id: int) -> None:
    """What is known of the list is not what it said any more."""
    tx.connection.write("drop_meta", key=_key(repo_id))


def _key(repo_id: int | None) -> str:
    return f"mark/{repo_id}"
