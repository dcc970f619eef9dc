"""The verbs about repositories and runs, synchronous. Their contract is on ``ports.Ledger``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from artifact_sync.domain.model import Horizon, RepoName, RunKey
from artifact_sync.ledger import frozen
from artifact_sync.ledger.limits import LAST, READ_RUNS
from artifact_sync.ledger.marks import forget_mark
from artifact_sync.ledger.rows import run_row
from artifact_sync.ledger.transaction import FRESH_RUN, chunks, find_repo, find_run, identity
from artifact_sync.ledger.values import EVER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from artifact_sync.domain.model import Run, RunRow
    from artifact_sync.ledger.statement import Connection, Row
    from artifact_sync.ledger.transaction import Transaction

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Place(NamedTuple):
    """Where a reading of runs, newest first, has come to; at first, above all."""

    number: int = LAST
    id: int = LAST


def all_repositories(connection: Connection) -> Sequence[RepoName]:
    """Every repository, sorted."""
    return sorted(RepoName(*row) for row in connection.rows(frozen.ALL_REPOS))


def horizon(connection: Connection, repo: RepoName) -> Horizon | None:
    """How far the list of runs is known."""
    row = connection.row(frozen.HORIZON, of_org=repo.org, of_repo=repo.repo)
    return None if row is None or row[0] is None else Horizon(*row)


def raise_horizon(tx: Transaction, repo: RepoName, new: Horizon) -> None:
    """Remember it, unless more is known already; of the order what was heard last counts."""
    old = horizon(tx.connection, repo)
    kept = old if old is not None and _implies(old, new) else new
    tx.connection.write(
        frozen.RAISE_HORIZON,
        this=tx.repo_id(repo),
        horizon_high=kept.high,
        horizon_since=kept.since,
        horizon_falling=new.falling,
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
    known = {row[1]: row for row in _known(tx.connection, repo_id, list(found))}
    seen: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    words: list[dict[str, Any]] = []
    for slug, (this, _, fingerprint, status) in known.items():
        run = found[slug]
        if fingerprint == run.fingerprint:
            seen.append({"this": this, "seen_at": at})
        else:
            changed.append({"this": this, **_told(run, at), "fingerprint": run.fingerprint})
        # the run's own answer may have said otherwise since: what was heard last counts
        if run.status not in {"", status}:
            words.append({"this": this, "status": run.status})
    new = [_new(repo_id, run, at) for slug, run in found.items() if slug not in known]
    if new or words or changed:
        forget_mark(tx, repo_id)
    steps = (frozen.MAKE_RUN, frozen.SEE_RUN, frozen.SAY_STATUS, frozen.CHANGE_RUN)
    for statement, rows in zip(steps, (new, seen, words, changed), strict=True):
        if rows:
            tx.connection.write_many(statement, rows)


def _known(connection: Connection, repo_id: int, slugs: Sequence[str]) -> Iterator[Row]:
    for some in chunks(slugs):
        yield from connection.rows(frozen.KNOWN_RUNS, repo_id=repo_id, these=some)


def _new(repo_id: int, run: Run, at: datetime) -> dict[str, Any]:
    who = {**FRESH_RUN, **identity(repo_id, run.key)}
    return {**who, **_told(run, at), "fingerprint": run.fingerprint, "first_seen": at}


def _told(run: Run, at: datetime) -> dict[str, Any]:
    """What a run's answer says of it."""
    return {
        "status": run.status,
        "event": run.event,
        "created_at": run.created_at,
        "finished_at": run.finished_at,
        "seen_at": at,
    }


def note_run(tx: Transaction, run: Run, at: datetime) -> None:
    """A run's own answer; the fingerprint that a listing gave it stays."""
    this = tx.run_id(run.key)
    if tx.connection.value(frozen.STATUS, this=this) != run.status:
        forget_mark(tx, tx.repo_id(run.key.repo))  # the next listing may say otherwise again
    told = {**_told(run, at), "told": run.fingerprint, "at": at}
    tx.connection.write(frozen.NOTE_RUN, this=this, **told)


def run(connection: Connection, key: RunKey) -> RunRow | None:
    """One run."""
    org, repo = key.repo
    row = connection.row(frozen.RUN, of_org=org, of_repo=repo, of_run=key.run)
    return None if row is None else run_row(row)


class Wanting(NamedTuple):
    """Whose runs, under which selection, how far back."""

    repo: RepoName
    selection: str
    since: datetime | None

    @property
    def from_then(self) -> datetime:
        """``since``, which may be ever."""
        return self.since if self.since is not None else EVER


def unsettled(
    connection: Connection, wanting: Wanting, after: Place | None
) -> tuple[Sequence[RunRow], Place | None]:
    """A batch of unsettled runs, newest first, and where to go on; None: that was the last.

    The index is read only where it holds other selections than this one, so that the cost does not
    grow with the runs that are settled.
    """
    repo_id = find_repo(connection, wanting.repo)
    place = (after or Place())._asdict()
    found: list[Row] = []
    for other in _other_selections(connection, repo_id, wanting.selection):
        which = {"repo_id": repo_id, "selection": other, "since": wanting.from_then}
        found += connection.rows(frozen.UNSETTLED, **which, **place)
    found.sort(key=lambda row: row[-2:], reverse=True)
    last = Place(*found[READ_RUNS - 1][-2:]) if len(found) >= READ_RUNS else None
    return [run_row(row) for row in found[:READ_RUNS]], last


def _other_selections(connection: Connection, repo_id: int | None, selection: str) -> Iterator[str]:
    """The distinct values of ``settled_for`` but this one, each found by one step in the index."""
    value = connection.value(frozen.FIRST_SELECTION, repo_id=repo_id)
    while value is not None:
        if value != selection:
            yield value
        value = connection.value(frozen.NEXT_SELECTION, repo_id=repo_id, selection=value)


def next_look(connection: Connection, wanting: Wanting) -> datetime | None:
    """When the first run that is not settled is due; those with no time are due long ago."""
    repo_id = find_repo(connection, wanting.repo)
    moments: list[datetime] = []
    for other in _other_selections(connection, repo_id, wanting.selection):
        which = {"repo_id": repo_id, "selection": other, "since": wanting.from_then}
        every, timed, first = connection.row(frozen.NEXT_LOOK, **which) or (0, 0, None)
        moments += [_LONG_AGO] if timed < every else [first] if every else []
    return min(moments, default=None)


def settle(tx: Transaction, key: RunKey, selection: str, kept: int | None) -> None:
    """Nothing is left to do under this selection."""
    this = tx.run_id(key)
    tx.connection.write(frozen.SETTLE, this=this, settled_for=selection, kept=kept)


def look_again(tx: Transaction, key: RunKey, at: datetime) -> None:
    """Something is outstanding, so the run is not settled for any selection."""
    tx.connection.write(frozen.LOOK_AGAIN, this=tx.run_id(key), next_look=at)


def unsettle(tx: Transaction, key: RunKey) -> None:
    """The run needs a look at once. A run that nobody knows needs none."""
    tx.connection.write(frozen.UNSETTLE, this=find_run(tx.connection, key))


def mark_complete(tx: Transaction, key: RunKey, *, complete: bool) -> None:
    """Whether the run's manifest stands."""
    tx.connection.write(frozen.MARK_COMPLETE, this=tx.run_id(key), complete=complete)


def newest_complete(connection: Connection, repo: RepoName) -> tuple[RunKey | None, RunKey | None]:
    """The newest complete run, and the newest complete one that was a success."""
    repo_id = find_repo(connection, repo)
    return (
        _key(repo, connection.value(frozen.NEWEST_COMPLETE, repo_id=repo_id)),
        _key(repo, connection.value(frozen.NEWEST_SUCCESS, repo_id=repo_id)),
    )


def _key(repo: RepoName, slug: str | None) -> RunKey | None:
    return None if slug is None else RunKey(repo, slug)
