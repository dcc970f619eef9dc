"""Reads and writes what decides which runs stay: counts, pins, tombstones."""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING

from artifact_sync.domain.keeping import KeptRun, ListingVerdict, Pin
from artifact_sync.domain.model import RepoName, RunKey, State
from artifact_sync.ledger.queries.artifact_writes import forget_artifacts_of, restate_found
from artifact_sync.ledger.queries.runs import forget_list_digest
from artifact_sync.ledger.queries.transaction import find_repo, find_run
from artifact_sync.ledger.sql.encoding import read_moment, stored_moment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from artifact_sync.ledger.queries.transaction import Transaction
    from artifact_sync.ledger.sql.connection import Connection


def kept_runs(connection: Connection, repo: RepoName) -> Sequence[KeptRun]:
    """The runs of which files are on record, in some order."""
    name = "kept_runs" if _has_pins(connection) else "kept_runs_without_pins"
    found = connection.rows(name, repo_id=find_repo(connection, repo))
    kept = []
    while found:  # there may be 100,000: each row is let go at once
        run, number, made, status, size, outstanding, pin = found.pop()
        kept.append(KeptRun(run, number, made, intern(status), size, outstanding, bool(pin)))
    return kept


def _has_pins(connection: Connection) -> bool:
    """Whether the ledger is not an older one, which may only be read."""
    return connection.has_table("pins")


def prune_run(tx: Transaction, key: RunKey, at: datetime) -> None:
    """All files of a run are about to be removed: a tombstone."""
    run_id = find_run(tx.connection, key)
    if run_id is not None:
        found = tx.connection.rows("files_on_record", run_id=run_id)
        restate_found(tx, found, {"state": State.PRUNING.value})
        tx.connection.write("prune_run", id=run_id, at=at)
        if tx.connection.value("is_buried", run_id=run_id):  # nothing is to be removed
            forget_artifacts_of(tx, run_id)
        forget_list_digest(tx, tx.repo_id(key.repo))


def bytes_on_record(connection: Connection, repo: RepoName | None) -> int:
    """Bytes of the files that are here."""
    if repo is None:
        return int(connection.value("all_bytes") or 0)
    return int(connection.value("bytes_of_repository", repo_id=find_repo(connection, repo)) or 0)


def removed_runs(connection: Connection, repo: RepoName) -> Sequence[RunKey]:
    """The runs of which all is forgotten, and no file is here."""
    found = connection.rows("removed_runs", repo_id=find_repo(connection, repo))
    return [RunKey(repo, run) for (run,) in found]


def bury(tx: Transaction, key: RunKey) -> None:
    """Drop a run's artifacts, if it is still one of ``removed_runs``."""
    repo_id = find_repo(tx.connection, key.repo)
    run_id = tx.connection.value("removed_run", repo_id=repo_id, run=key.run)
    if run_id is not None:
        forget_artifacts_of(tx, run_id)
        tx.connection.write("count_nothing", id=run_id)


def pin(tx: Transaction, it: Pin) -> None:
    """Pin a run, or give a pin another reason. Its ``run.json`` is to follow."""
    run_id = tx.run_id(it.run)
    tx.connection.write("pin", run_id=run_id, reason=it.reason, pinned_at=it.pinned_at)
    tx.connection.write("unsettle_complete", id=run_id)


def unpin(tx: Transaction, key: RunKey) -> None:
    """Take a pin away, if there is one. Its ``run.json`` is to follow."""
    run_id = find_run(tx.connection, key)
    tx.connection.write("unpin", run_id=run_id)
    tx.connection.write("unsettle_complete", id=run_id)


def pinned(connection: Connection, key: RunKey) -> Pin | None:
    """The pin of a run, if there is one."""
    if not _has_pins(connection):
        return None
    row = connection.row("pinned", run_id=find_run(connection, key))
    return None if row is None else Pin(key, *row)


def pins(connection: Connection, repo: RepoName | None = None) -> Sequence[Pin]:
    """Every pin, by repository, the newest run first."""
    if not _has_pins(connection):
        return []
    found = connection.rows("pins")
    every = (Pin(RunKey(RepoName(org, name), run), *rest) for org, name, run, *rest in found)
    return [it for it in every if repo in {None, it.run.repo}]


def note_listing(tx: Transaction, repo: RepoName, verdict: ListingVerdict) -> None:
    """Note what the last reading of a list came to."""
    value = f"{stored_moment(verdict.at)} {verdict.flaw}"
    tx.connection.write("put_meta", key=f"listing/{tx.repo_id(repo)}", value=value)


def listing_verdict(connection: Connection, repo: RepoName) -> ListingVerdict | None:
    """What the last reading of a list came to; None: nobody has read it."""
    value: str | None = connection.value("meta", key=f"listing/{find_repo(connection, repo)}")
    if value is None:
        return None
    at, _, flaw = value.partition(" ")
    return ListingVerdict(read_moment(at), flaw)


def unlisted(connection: Connection, repo: RepoName, since: datetime, at: datetime) -> str | None:
    """A run that a listing left out, and that was listed shortly before.

    Of those with the numbers that the listing went down to, as long as they are not known to be
    gone.
    """
    repo_id = find_repo(connection, repo)
    found: str | None = connection.value("unlisted_run", repo_id=repo_id, since=since, at=at)
    return found
