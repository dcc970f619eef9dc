"""The verbs that count, and those about passes and the mirror."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from artifact_sync.domain.errors import Reason
from artifact_sync.domain.model import FilterNotes, RepoName, State, Totals
from artifact_sync.domain.vanishing import Endangered
from artifact_sync.ledger.queries.runs import selected
from artifact_sync.ledger.queries.transaction import find_repo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from artifact_sync.domain.model import RunScope
    from artifact_sync.domain.report import Report
    from artifact_sync.domain.vanishing import CreationWindow
    from artifact_sync.ledger.queries.transaction import Transaction
    from artifact_sync.ledger.sql.connection import Connection, Row

_LAYOUT = "layout"
_MIRROR = "mirror"

_COUNTED = ("runs", "found", "downloaded", "kept", "failed", "pending", "bytes")
"""Of a report, what is kept of a pass."""
_PASSES_KEPT = 1000
"""Of each repository; a daemon makes one every minute or so."""


def claim_layout(tx: Transaction, template: str) -> str:
    """The first caller's template."""
    return _claim(tx, _LAYOUT, template)


def layout(connection: Connection) -> str | None:
    """The template that was claimed, if one was."""
    return _claimed(connection, _LAYOUT)


def claim_mirror(tx: Transaction, mirror: str) -> str:
    """The first caller's id."""
    return _claim(tx, _MIRROR, mirror)


def mirror(connection: Connection) -> str | None:
    """The mirror's id that was claimed, if one was."""
    return _claimed(connection, _MIRROR)


def _claim(tx: Transaction, key: str, value: str) -> str:
    tx.connection.write("claim_meta", key=key, value=value)
    return _claimed(tx.connection, key) or value


def _claimed(connection: Connection, key: str) -> str | None:
    value: str | None = connection.value("meta", key=key)
    return value


def filter_notes(connection: Connection, repo: RepoName) -> FilterNotes:
    """What was noted last of the filters of a repository."""
    return _noted_filters(_filters_of(connection, find_repo(connection, repo)))


def note_filters(tx: Transaction, repo: RepoName, notes: FilterNotes) -> None:
    """Note what the filters were held against."""
    value = json.dumps(msgspec.structs.asdict(notes))  # escapes what is no Unicode, too
    tx.connection.write("put_meta", key=_filters(tx.repo_id(repo)), value=value)


def _filters(repo_id: int | None) -> str:
    """Under which key they are noted."""
    return f"filters/{repo_id}"


def _filters_of(connection: Connection, repo_id: int | None) -> str:
    value: str = connection.value("meta", key=_filters(repo_id)) or ""
    return value


def _noted_filters(value: str) -> FilterNotes:
    return msgspec.convert(json.loads(value), FilterNotes) if value else FilterNotes()


def settled_totals(connection: Connection, scope: RunScope) -> tuple[int, int]:
    """Runs settled for the selection, and what they keep. Answered from an index alone."""
    count, kept = connection.row("settled_totals", **selected(connection, scope)) or (0, 0)
    return int(count), int(kept)


def totals(connection: Connection, repo: RepoName) -> Totals:
    """What ``status`` says of a repository, from its runs' counts."""
    found = connection.row("totals", **repo._asdict())
    if found is None:
        return Totals(repo, states=dict.fromkeys(State, 0))
    return _told(connection, found, _filters_of(connection, found[0]))


def all_totals(connection: Connection) -> Sequence[Totals]:
    """The same of every repository, sorted. A statement more for each that is unwell."""
    filters: dict[str, str] = dict(connection.rows("all_filters"))
    found = connection.rows("all_totals")
    told = (_told(connection, row, filters.get(_filters(row[0]), "")) for row in found)
    return sorted(told, key=lambda it: it.repo)


def endangered(connection: Connection, window: CreationWindow) -> Sequence[Endangered]:
    """What is about to vanish, or has vanished, of every repository, sorted."""
    found = connection.rows("endangered", after=window.after, until=window.until)
    told = (Endangered(RepoName(org, repo), *map(int, counts)) for org, repo, *counts in found)
    return sorted(told, key=lambda it: it.repo)


def oldest_verifications(connection: Connection) -> Mapping[RepoName, datetime]:
    """When what is mirrored of each repository was verified longest ago."""
    found = connection.rows("oldest_verifications")
    return {RepoName(org, repo): at for org, repo, at in found if at is not None}


def _told(connection: Connection, row: Row, filters: str) -> Totals:
    repo_id, org, repo, last_pass, last_complete, error, newest, *counts = row
    runs, pruned_runs, settled, size, shared, newest_file, oldest, *by_state = counts
    states = {state: int(count or 0) for state, count in zip(State, by_state, strict=True)}
    unwell = sum(states[it] for it in (State.FAILED, State.GONE, State.REFUSED, State.LOST))
    if unwell and not error:
        error = connection.value("newest_error", repo_id=repo_id)
    return Totals(
        RepoName(org, repo),
        runs=int(runs or 0),
        settled=int(settled or 0),
        pruned_runs=int(pruned_runs or 0),
        bytes=int(size or 0),
        shared_bytes=int(shared or 0),
        states=states,
        newest_run=newest or "",
        last_mirrored=newest_file,
        oldest_verified=oldest,
        last_pass=last_pass,
        last_complete=last_complete,
        last_error=error or "",
        unfit=_noted_filters(filters).unfit,
    )


def check_version(connection: Connection) -> None:
    """Raise ``LedgerTooNew`` when another process has migrated the ledger meanwhile."""
    connection.check_version()


def begin_pass(tx: Transaction, repo: RepoName, at: datetime) -> int:
    """A pass begins; its number."""
    return tx.connection.insert("begin_pass", repo_id=tx.repo_id(repo), began=at, complete=False)


def end_pass(tx: Transaction, number: int, report: Report, at: datetime) -> None:
    """The pass has ended. Passes of long ago are forgotten."""
    connection = tx.connection
    connection.write("end_pass", id=number, ended=at, **_counts(report))
    repo_id = connection.value("repository_of_pass", id=number)
    connection.write(
        "set_last_pass",
        id=repo_id,
        last_pass=at,
        last_complete=at if report.complete else None,
        last_error=_last_error(report),
    )
    connection.write("forget_old_passes", repo_id=repo_id, kept=_PASSES_KEPT)


def _last_error(report: Report) -> str | None:
    """The last failure's message; None, to keep the known one: only an interruption."""
    errors = [it.message for it in report.failures if it.reason is not Reason.INTERRUPTED]
    if errors:
        return errors[-1]
    return None if report.failures else ""


def _counts(report: Report) -> dict[str, Any]:
    counts = {name: getattr(report, name) for name in _COUNTED}
    return {**counts, "complete": report.complete, "exit_code": int(report.exit_code)}


def size(_: Connection, file: Path) -> int:
    """Bytes of an SQLite file and its journals."""
    total = 0
    for path in (file, *(file.with_name(file.name + end) for end in ("-wal", "-shm"))):
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total
