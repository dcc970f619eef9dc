"""The verbs about repositories and runs, synchronous. Their contract is on ``ports.Ledger``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import and_, bindparam, func, insert, or_, select, tuple_, update

from artifact_sync.ledger.rows import run_row, select_runs
from artifact_sync.ledger.schema import repositories, runs
from artifact_sync.ledger.transaction import FRESH_RUN, chunks, find_repo, find_run, identity
from artifact_sync.model import Horizon, RepoName, RunKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection

    from artifact_sync.ledger.rows import AnyRow
    from artifact_sync.ledger.transaction import Transaction
    from artifact_sync.model import Run, RunRow

_BATCH = 200
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Place(NamedTuple):
    """Where a reading of runs, newest first, has come to."""

    number: int
    id: int


def newest_first(after: Place | None) -> tuple[list[Any], list[ColumnElement[bool]]]:
    """The order of runs, and the condition to go on behind a place in it."""
    order = [runs.c.number.desc(), runs.c.id.desc()]
    below = [] if after is None else [tuple_(runs.c.number, runs.c.id) < tuple_(*after)]
    return order, below


def created_since(since: datetime | None) -> list[ColumnElement[bool]]:
    """The condition for runs created at or after that, or at an unknown time."""
    if since is None:
        return []
    return [or_(runs.c.created_at.is_(None), runs.c.created_at >= since)]


def all_repositories(connection: Connection) -> Sequence[RepoName]:
    """Every repository, sorted."""
    query = select(repositories.c.org, repositories.c.repo)
    return sorted(RepoName(*row) for row in connection.execute(query))


def horizon(connection: Connection, repo: RepoName) -> Horizon | None:
    """How far the list of runs is known."""
    columns = (
        repositories.c.horizon_high,
        repositories.c.horizon_since,
        repositories.c.horizon_falling,
    )
    row = connection.execute(select(*columns).filter_by(org=repo.org, repo=repo.repo)).first()
    return None if row is None or row[0] is None else Horizon(*row)


def raise_horizon(tx: Transaction, repo: RepoName, new: Horizon) -> None:
    """Remember it, unless more is known already; of the order what was heard last counts."""
    old = horizon(tx.connection, repo)
    kept = old if old is not None and _implies(old, new) else new
    change = update(repositories).where(repositories.c.id == tx.repo_id(repo))
    tx.connection.execute(
        change.values(horizon_high=kept.high, horizon_since=kept.since, horizon_falling=new.falling)
    )


def _implies(old: Horizon, new: Horizon) -> bool:
    reaches_back = old.since is None or (new.since is not None and old.since <= new.since)
    return old.high >= new.high and reaches_back


def note_runs(tx: Transaction, listed: Sequence[Run], at: datetime) -> None:
    """Runs of a listing: what is new or changed is written, of the rest when it was seen."""
    by_repo: dict[RepoName, dict[str, Run]] = {}
    for run in listed:
        by_repo.setdefault(run.key.repo, {})[run.key.run] = run
    for repo, found in by_repo.items():
        _note(tx, tx.repo_id(repo), found, at)


def _note(tx: Transaction, repo_id: int, found: Mapping[str, Run], at: datetime) -> None:
    known = {row.run: row for row in _known(tx.connection, repo_id, list(found))}
    new = [run for slug, run in found.items() if slug not in known]
    same = [row.id for row in known.values() if row.fingerprint == found[row.run].fingerprint]
    changed = [row for row in known.values() if row.fingerprint != found[row.run].fingerprint]
    # the run's own answer may have said otherwise since: what was heard last counts
    other = [row for row in known.values() if found[row.run].status not in {"", row.status}]
    _insert(tx, repo_id, new, at)
    for ids in chunks(same):
        tx.connection.execute(update(runs).where(runs.c.id.in_(ids)).values(seen_at=at))
    if other:
        words = [{"this": row.id, "word": found[row.run].status} for row in other]
        query = update(runs).where(runs.c.id == bindparam("this"))
        tx.connection.execute(query.values(status=bindparam("word")), words)
    if changed:
        rows = [{"this": row.id, **_changed(found[row.run], at)} for row in changed]
        tx.connection.execute(update(runs).where(runs.c.id == bindparam("this")), rows)


def _known(connection: Connection, repo_id: int, slugs: Sequence[str]) -> Iterator[AnyRow]:
    for some in chunks(slugs):
        query = select(runs.c.id, runs.c.run, runs.c.fingerprint, runs.c.status)
        yield from connection.execute(query.where(runs.c.repo_id == repo_id, runs.c.run.in_(some)))


def _insert(tx: Transaction, repo_id: int, new: Sequence[Run], at: datetime) -> None:
    rows = [
        {**FRESH_RUN, **identity(repo_id, run.key), **_told(run, at)}
        | {"fingerprint": run.fingerprint, "first_seen": at}
        for run in new
    ]
    if rows:
        tx.connection.execute(insert(runs), rows)


def _told(run: Run, at: datetime) -> dict[str, Any]:
    """What a run's answer says of it."""
    return {
        "status": run.status,
        "event": run.event,
        "created_at": run.created_at,
        "finished_at": run.finished_at,
        "seen_at": at,
    }


def _changed(run: Run, at: datetime) -> dict[str, Any]:
    return {**_told(run, at), "fingerprint": run.fingerprint, "looks": 0, **_UNSETTLED}


_UNSETTLED = {"settled_for": "", "kept": None, "next_look": None}


def note_run(tx: Transaction, run: Run, at: datetime) -> None:
    """A run's own answer; the fingerprint that a listing gave it stays."""
    run_id = tx.run_id(run.key)
    fingerprint = func.coalesce(func.nullif(runs.c.fingerprint, ""), run.fingerprint)
    first_seen = func.coalesce(runs.c.first_seen, _at(at))
    values = {**_told(run, at), "fingerprint": fingerprint, "first_seen": first_seen}
    tx.connection.execute(update(runs).where(runs.c.id == run_id).values(values))


def _at(at: datetime) -> Any:
    return bindparam(None, at, type_=runs.c.first_seen.type)


def run(connection: Connection, key: RunKey) -> RunRow | None:
    """One run."""
    query = select_runs().where(
        repositories.c.org == key.repo.org,
        repositories.c.repo == key.repo.repo,
        runs.c.run == key.run,
    )
    row = connection.execute(query).first()
    return None if row is None else run_row(row)


class Wanting(NamedTuple):
    """Whose runs, under which selection, how far back."""

    repo: RepoName
    selection: str
    since: datetime | None


def unsettled(
    connection: Connection, wanting: Wanting, after: Place | None
) -> tuple[Sequence[RunRow], Place | None]:
    """A batch of unsettled runs, newest first, and where to go on; None: that was the last.

    The index is read only where it holds other selections than this one, so that the cost does not
    grow with the runs that are settled.
    """
    repo_id = find_repo(connection, wanting.repo)
    order, below = newest_first(after)
    found: list[AnyRow] = []
    for other in _other_selections(connection, repo_id, wanting.selection):
        query = select_runs(runs.c.number, runs.c.id).where(
            and_(runs.c.repo_id == repo_id, runs.c.settled_for == other, *below),
            *created_since(wanting.since),
        )
        found += connection.execute(query.order_by(*order).limit(_BATCH))
    found.sort(key=lambda row: row[-2:], reverse=True)
    last = Place(*found[_BATCH - 1][-2:]) if len(found) >= _BATCH else None
    return [run_row(row) for row in found[:_BATCH]], last


def _other_selections(connection: Connection, repo_id: int | None, selection: str) -> Iterator[str]:
    """The distinct values of ``settled_for`` but this one, each found by one step in the index."""
    lowest = select(func.min(runs.c.settled_for)).where(runs.c.repo_id == repo_id)
    value = connection.execute(lowest).scalar()
    while value is not None:
        if value != selection:
            yield value
        value = connection.execute(lowest.where(runs.c.settled_for > value)).scalar()


def next_look(connection: Connection, wanting: Wanting) -> datetime | None:
    """When the first run that is not settled is due; those with no time are due long ago."""
    repo_id = find_repo(connection, wanting.repo)
    moments: list[datetime] = []
    for other in _other_selections(connection, repo_id, wanting.selection):
        whose = runs.c.repo_id == repo_id, runs.c.settled_for == other
        query = select(func.count(), func.count(runs.c.next_look), func.min(runs.c.next_look))
        query = query.where(*whose, *created_since(wanting.since))
        every, timed, first = connection.execute(query).one()
        moments += [_LONG_AGO] if timed < every else [first] if every else []
    return min(moments, default=None)


def settle(tx: Transaction, key: RunKey, selection: str, kept: int | None) -> None:
    """Nothing is left to do under this selection."""
    values = {"settled_for": selection, "kept": kept, "next_look": None}
    tx.connection.execute(update(runs).where(runs.c.id == tx.run_id(key)).values(values))


def look_again(tx: Transaction, key: RunKey, at: datetime) -> None:
    """Something is outstanding, so the run is not settled for any selection."""
    values = {**_UNSETTLED, "looks": runs.c.looks + 1, "next_look": at}
    tx.connection.execute(update(runs).where(runs.c.id == tx.run_id(key)).values(values))


def unsettle(tx: Transaction, key: RunKey) -> None:
    """The run needs a look at once. A run that nobody knows needs none."""
    run_id = find_run(tx.connection, key)
    tx.connection.execute(update(runs).where(runs.c.id == run_id).values(_UNSETTLED))


def mark_complete(tx: Transaction, key: RunKey, *, complete: bool) -> None:
    """Whether the run's manifest stands."""
    run_id = tx.run_id(key)
    tx.connection.execute(update(runs).where(runs.c.id == run_id).values(complete=complete))


def newest_complete(connection: Connection, repo: RepoName) -> tuple[RunKey | None, RunKey | None]:
    """The newest complete run, and the newest complete one that was a success."""
    order, _ = newest_first(None)
    complete = select(runs.c.run).where(
        runs.c.repo_id == find_repo(connection, repo), runs.c.complete.is_(True)
    )
    newest = complete.order_by(*order).limit(1)
    return (
        _key(repo, connection.execute(newest).scalar()),
        _key(repo, connection.execute(newest.where(runs.c.status == "success")).scalar()),
    )


def _key(repo: RepoName, slug: str | None) -> RunKey | None:
    return None if slug is None else RunKey(repo, slug)
