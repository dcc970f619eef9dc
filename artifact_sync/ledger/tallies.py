"""The verbs that count, and those about passes and the layout. Their contract is on the port."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import case, delete, func, insert, select, text, update

from artifact_sync.ledger.runs import created_since, newest_first
from artifact_sync.ledger.schema import UNWELL, artifacts, meta, passes, repositories, runs
from artifact_sync.ledger.transaction import find_repo
from artifact_sync.model import State, Totals

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection

    from artifact_sync.ledger.runs import Wanting
    from artifact_sync.ledger.transaction import Transaction
    from artifact_sync.model import RepoName
    from artifact_sync.report import Report

_PASSES_KEPT = 1000
"""Passes remembered of each repository; a daemon makes one every minute or so."""

_LAYOUT = "layout"


def claim_layout(tx: Transaction, template: str) -> str:
    """The first caller's template."""
    held = tx.connection.execute(select(meta.c.value).where(meta.c.key == _LAYOUT)).scalar()
    if held is None:
        tx.connection.execute(insert(meta).values(key=_LAYOUT, value=template))
    return template if held is None else held


def layout(connection: Connection) -> str | None:
    """The template that was claimed, if one was."""
    return connection.execute(select(meta.c.value).where(meta.c.key == _LAYOUT)).scalar()


def settled_totals(connection: Connection, wanting: Wanting) -> tuple[int, int]:
    """Runs settled for the selection, and what they keep. Answered from an index alone."""
    query = select(func.count(), func.coalesce(func.sum(runs.c.kept), 0)).where(
        runs.c.repo_id == find_repo(connection, wanting.repo),
        runs.c.settled_for == wanting.selection,
        runs.c.kept.is_not(None),
        *created_since(wanting.since),
    )
    count, kept = connection.execute(query).one()
    return int(count), int(kept)


def totals(connection: Connection, repo: RepoName) -> Totals:
    """What ``status`` says of a repository, from its runs' counts."""
    query = select(
        repositories.c.id,
        repositories.c.last_pass,
        repositories.c.last_complete,
        repositories.c.last_error,
    ).where(repositories.c.org == repo.org, repositories.c.repo == repo.repo)
    row = connection.execute(query).first()
    if row is None:
        return Totals(repo, states=dict.fromkeys(State, 0))
    sums = _sums(connection, row.id)
    unwell = sum(sums["states"][state] for state in (State.FAILED, State.GONE, State.REFUSED))
    return Totals(
        repo,
        **sums,
        newest_run=_newest(connection, row.id),
        last_pass=row.last_pass,
        last_complete=row.last_complete,
        last_error=row.last_error or (_newest_error(connection, row.id) if unwell else ""),
    )


def _sums(connection: Connection, repo_id: int) -> dict[str, Any]:
    query = select(
        func.count().label("runs"),
        func.sum(case((runs.c.settled_for != "", 1), else_=0)).label("settled"),
        func.sum(runs.c.bytes).label("bytes"),
        func.max(runs.c.last_mirrored).label("last_mirrored"),
        *(func.sum(runs.c[state.value]).label(state.value) for state in State),
    ).where(runs.c.repo_id == repo_id)
    row = connection.execute(query).one()._mapping  # noqa: SLF001 - public, in spite of its name
    counts = {name: int(row[name] or 0) for name in ("runs", "settled", "bytes")}
    states = {state: int(row[state.value] or 0) for state in State}
    return {**counts, "states": states, "last_mirrored": row["last_mirrored"]}


def _newest(connection: Connection, repo_id: int) -> str:
    order, _ = newest_first(None)
    query = select(runs.c.run).where(runs.c.repo_id == repo_id).order_by(*order).limit(1)
    return connection.execute(query).scalar() or ""


def _newest_error(connection: Connection, repo_id: int) -> str:
    """What is wrong with an artifact of the newest run that has such a one."""
    order, _ = newest_first(None)
    query = (
        select(artifacts.c.message)
        .join_from(artifacts, runs)
        .where(text(UNWELL), runs.c.repo_id == repo_id)
        .order_by(*order, artifacts.c.id.desc())
        .limit(1)
    )
    return connection.execute(query).scalar() or ""


def begin_pass(tx: Transaction, repo: RepoName, at: datetime) -> int:
    """A pass begins; its number."""
    counts = dict.fromkeys(("runs", "found", "downloaded", "kept", "failed", "pending", "bytes"), 0)
    values = {"repo_id": tx.repo_id(repo), "began": at, "complete": False, **counts}
    made = tx.connection.execute(insert(passes).values(values)).inserted_primary_key
    return int(made[0]) if made is not None else 0


def end_pass(tx: Transaction, number: int, report: Report, at: datetime) -> None:
    """The pass has ended. Passes of long ago are forgotten."""
    this = passes.c.id == number
    tx.connection.execute(update(passes).where(this).values(ended=at, **_counts(report)))
    repo_id = tx.connection.execute(select(passes.c.repo_id).where(this)).scalar_one()
    last = report.failures[-1].message if report.failures else ""
    values: dict[str, Any] = {"last_pass": at, "last_error": last}
    if report.complete:
        values["last_complete"] = at
    repository = update(repositories).where(repositories.c.id == repo_id)
    tx.connection.execute(repository.values(values))
    _forget_old(tx.connection, repo_id)


def _counts(report: Report) -> dict[str, Any]:
    names = ("runs", "found", "downloaded", "kept", "failed", "pending", "bytes")
    counts = {name: getattr(report, name) for name in names}
    return {**counts, "complete": report.complete, "exit_code": int(report.exit_code)}


def _forget_old(connection: Connection, repo_id: int) -> None:
    of_repo = passes.c.repo_id == repo_id
    newest = select(passes.c.id).where(of_repo).order_by(passes.c.id.desc())
    oldest = connection.execute(newest.offset(_PASSES_KEPT).limit(1)).scalar()
    if oldest is not None:
        connection.execute(delete(passes).where(of_repo, passes.c.id <= oldest))


def size(_: Connection, file: Path) -> int:
    """Bytes of an SQLite file and of those beside it, which hold what is not merged yet."""
    total = 0
    for path in (file, *(file.with_name(file.name + end) for end in ("-wal", "-shm"))):
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total
