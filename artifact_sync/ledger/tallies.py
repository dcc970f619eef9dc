"""The verbs that count, and those about passes and the mirror. Their contract is on the port."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import case, delete, func, insert, select, text, update

from artifact_sync.ledger.runs import created_since, newest_first
from artifact_sync.ledger.schema import UNWELL, artifacts, meta, passes, repositories, runs
from artifact_sync.ledger.transaction import find_repo
from artifact_sync.model import RepoName, State, Totals

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import ColumnElement, Connection, RowMapping

    from artifact_sync.ledger.runs import Wanting
    from artifact_sync.ledger.transaction import Transaction
    from artifact_sync.report import Report

_PASSES_KEPT = 1000
"""Passes remembered of each repository; a daemon makes one every minute or so."""

_LAYOUT = "layout"
_MIRROR = "mirror"


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
    held = _claimed(tx.connection, key)
    if held is None:
        tx.connection.execute(insert(meta).values(key=key, value=value))
    return value if held is None else held


def _claimed(connection: Connection, key: str) -> str | None:
    return connection.execute(select(meta.c.value).where(meta.c.key == key)).scalar()


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
    found = _totals(connection, repositories.c.org == repo.org, repositories.c.repo == repo.repo)
    return found[0] if found else Totals(repo, states=dict.fromkeys(State, 0))


def all_totals(connection: Connection) -> Sequence[Totals]:
    """The same of every repository, sorted."""
    return sorted(_totals(connection), key=lambda it: it.repo)


def _totals(connection: Connection, *which: ColumnElement[bool]) -> Sequence[Totals]:
    """Of the repositories for which this holds, in one query."""
    columns = ("id", "org", "repo", "last_pass", "last_complete", "last_error")
    query = (
        select(*(repositories.c[name] for name in columns), _newest(), *_sums())
        .outerjoin_from(repositories, runs)
        .where(*which)
        .group_by(repositories.c.id)
    )
    return [_told(connection, row._mapping) for row in connection.execute(query)]  # noqa: SLF001 - public, in spite of its name


def _told(connection: Connection, row: RowMapping) -> Totals:
    counts = {name: int(row[name] or 0) for name in ("runs", "settled", "bytes")}
    states = {state: int(row[state.value] or 0) for state in State}
    unwell = sum(states[state] for state in (State.FAILED, State.GONE, State.REFUSED))
    return Totals(
        RepoName(row["org"], row["repo"]),
        **counts,
        states=states,
        newest_run=row["newest_run"] or "",
        last_mirrored=row["newest_file"],
        last_pass=row["last_pass"],
        last_complete=row["last_complete"],
        last_error=row["last_error"] or (_newest_error(connection, row["id"]) if unwell else ""),
    )


def _sums() -> Sequence[ColumnElement[Any]]:
    return (
        func.count(runs.c.id).label("runs"),
        func.sum(case((runs.c.settled_for != "", 1), else_=0)).label("settled"),
        func.sum(runs.c.bytes).label("bytes"),
        func.max(runs.c.last_mirrored).label("newest_file"),
        *(func.sum(runs.c[state.value]).label(state.value) for state in State),
    )


def _newest() -> ColumnElement[str]:
    """The number of the newest run, in the order of ``newest_first``."""
    these = runs.alias()  # beside those that are summed up
    query = select(these.c.run).where(these.c.repo_id == repositories.c.id)
    query = query.order_by(these.c.number.desc(), these.c.id.desc()).limit(1)
    return query.scalar_subquery().label("newest_run")


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
