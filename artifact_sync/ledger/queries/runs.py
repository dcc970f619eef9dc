"""The verbs about repositories, their lists of runs, and runs."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from artifact_sync.domain.model import Creation, Horizon, RepoName, RunKey, RunRow
from artifact_sync.ledger.queries.artifact_writes import forget_artifacts_of
from artifact_sync.ledger.queries.posting import post_complete
from artifact_sync.ledger.queries.run_records import packed_record
from artifact_sync.ledger.queries.transaction import (
    FRESH_RUN,
    chunks,
    find_repo,
    find_run,
    identity,
)
from artifact_sync.ledger.sql.encoding import EVER, NEVER, read_moment, stored_moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from artifact_sync.domain.model import Run, RunScope
    from artifact_sync.ledger.queries.transaction import Transaction
    from artifact_sync.ledger.sql.connection import Connection, Row

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = 2**63 - 1
"""No number and no id is above this."""
READ_RUNS = 200
"""Rows that are read at a time."""

_NOTED = r"(?P<at>[0-9-]{10}T[0-9:.]{15}Z) [0-9]{1,4} (?P<digest>.+)"
"""A list's digest. The first version counts something in the middle; it still reads this."""


class Place(NamedTuple):
    """Where a reading of runs, newest first, has come to; at first, above all."""

    number: int = _LAST
    id: int = _LAST


def all_repositories(connection: Connection) -> Sequence[RepoName]:
    """Every repository, sorted."""
    return sorted(RepoName(*row) for row in connection.rows("repositories"))


def kept_repositories(connection: Connection, org: str) -> Sequence[RepoName]:
    """Those of an organisation of which more is known than failures, sorted."""
    return sorted(RepoName(*row) for row in connection.rows("kept_repositories", org=org))


def horizon(connection: Connection, repo: RepoName) -> Horizon | None:
    """How far the list of runs is known."""
    row = connection.row("horizon", **repo._asdict())
    return None if row is None or row[0] is None else Horizon(*row)


def raise_horizon(tx: Transaction, repo: RepoName, new: Horizon) -> None:
    """Raise the horizon; the order is replaced by what was seen last."""
    old = horizon(tx.connection, repo)
    kept = old if old is not None and old.covers(new) else new
    tx.connection.write(
        "set_horizon",
        id=tx.repo_id(repo),
        high=kept.high,
        since=kept.since,
        falling=new.falling,
    )


def list_digest(connection: Connection, repo: RepoName) -> tuple[str, datetime] | None:
    """The digest of a list's first page, and when it was noted."""
    value: str = connection.value("meta", key=digest_key(find_repo(connection, repo))) or ""
    return noted_digest(value)


def noted_digest(value: str) -> tuple[str, datetime] | None:
    """A list's digest as it was noted, and when."""
    found = re.fullmatch(_NOTED, value)
    return (found["digest"], read_moment(found["at"])) if found else None


def note_list_digest(tx: Transaction, repo: RepoName, digest: str, at: datetime) -> None:
    """The list began like this, and all that it says is known."""
    value = f"{stored_moment(at)} 0 {digest}"
    tx.connection.write("put_meta", key=digest_key(tx.repo_id(repo)), value=value)


def forget_list_digest(tx: Transaction, repo_id: int) -> None:
    """What is known of the list is not what it said any more."""
    tx.connection.write("drop_meta", key=digest_key(repo_id))


def digest_key(repo_id: int | None) -> str:
    """Where the digest of a repository's list is noted."""
    return f"mark/{repo_id}"


def count_unusable(tx: Transaction, repo: RepoName, entries: int) -> int:
    """Count listings in a row with so many unusable entries, this one included."""
    key = f"unusable/{tx.repo_id(repo)}"
    known: str = tx.connection.value("meta", key=key) or "0 0"
    before, times = map(int, known.split())
    times = times + 1 if before == entries else 1
    tx.connection.write("put_meta", key=key, value=f"{entries} {times}")
    return times


def note_runs(tx: Transaction, listed: Sequence[Run], at: datetime) -> None:
    """Insert or update runs of a listing; touch unchanged ones.

    What seems to be another run loses its status until it has told itself which one it is.
    """
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
    back = [{"id": row[0]} for row in known.values() if row[4] is not None]
    for slug, (run_id, _, fingerprint, status, _, *creation) in known.items():
        run = found[slug]
        if fingerprint != run.fingerprint:
            changed.append({"id": run_id, **_changed(run, Creation(*creation), at)})
            continue
        seen.append({"id": run_id, "seen_at": at})
        # the run's own answer may have said otherwise since: what was heard last counts
        if status and run.status not in {"", status}:
            words.append({"id": run_id, "status": run.status})
    new = [_new(repo_id, run, at) for slug, run in found.items() if slug not in known]
    if new or words or changed:
        forget_list_digest(tx, repo_id)
    steps = ("make_run", "see_run", "set_status", "return_run", "change_run")
    for name, rows in zip(steps, (new, seen, words, back, changed), strict=True):
        if rows:
            tx.connection.write_many(name, rows)
    if found:
        tx.connection.write("return_repository", id=repo_id)


def _known(connection: Connection, repo_id: int, slugs: Sequence[str]) -> Iterator[Row]:
    for some in chunks(slugs):
        yield from connection.rows("known_runs", repo_id=repo_id, these=some)


def _changed(run: Run, known: Creation, at: datetime) -> dict[str, Any]:
    if known.is_another(run.creation):
        return {**_told(run, at), **_creation(known), "status": ""}
    return {**_told(run, at), **_creation(known.completed(run.creation))}


def _creation(it: Creation) -> dict[str, Any]:
    return {"creation_at": it.at or "", "creation_id": it.id}


def _new(repo_id: int, run: Run, at: datetime) -> dict[str, Any]:
    who = {**FRESH_RUN, **identity(repo_id, run.key)}
    return {**who, **_told(run, at), **_creation(run.creation), "first_seen": at}


def _told(run: Run, at: datetime) -> dict[str, Any]:
    """What a run's answer says of it."""
    return {
        "status": run.status,
        "event": run.event,
        "created_at": run.created_at,
        "finished_at": run.finished_at,
        "seen_at": at,
        "fingerprint": run.fingerprint,
    }


def lose_run(tx: Transaction, key: RunKey, at: datetime) -> None:
    """Upstream has forgotten a run. The list is read anew, until it is back."""
    tx.connection.write("lose_run", id=find_run(tx.connection, key), at=at)
    forget_list_digest(tx, tx.repo_id(key.repo))


def lose_repository(tx: Transaction, repo: RepoName, at: datetime) -> None:
    """Upstream has forgotten a repository. Its list is read anew once it is back."""
    repo_id = find_repo(tx.connection, repo)
    if repo_id is not None:
        tx.connection.write("lose_repository", id=repo_id, at=at)
        forget_list_digest(tx, repo_id)


def note_run(tx: Transaction, run: Run, at: datetime) -> None:
    """A run's own answer; the fingerprint that a listing gave it stays."""
    run_id = tx.run_id(run.key)
    status, *creation, record = tx.connection.row("known_run", id=run_id) or ("", None)
    if status != run.status:
        # the next listing may say otherwise again
        forget_list_digest(tx, tx.repo_id(run.key.repo))
    known = _creation(Creation(*creation).completed(run.creation))
    tx.connection.write("note_run", id=run_id, **_told(run, at), **known)
    if run.record is not None and (packed := packed_record(run.record)) != record:
        tx.connection.write("put_record", run_id=run_id, record=packed)
        tx.connection.write("unsettle", id=run_id)  # its run.json follows, also after a crash


def forget_run(tx: Transaction, key: RunKey) -> None:
    """A run that nobody knows any more, and what was wanted of it."""
    run_id = find_run(tx.connection, key)
    if run_id is not None:
        tx.connection.write("forget_of_run", run_id=run_id)
        tx.connection.write("forget_record", run_id=run_id)
        tx.connection.write("forget_run", id=run_id)
        forget_list_digest(tx, tx.repo_id(key.repo))


def begin_anew(tx: Transaction, run: Run, at: datetime) -> None:
    """Another run has this number now; nothing is known of its artifacts."""
    run_id = tx.run_id(run.key)
    forget_artifacts_of(tx, run_id)
    tx.connection.write("begin_anew", id=run_id)
    note_run(tx, run, at)


def run(connection: Connection, key: RunKey) -> RunRow | None:
    """One run."""
    row = connection.row("run", **key.repo._asdict(), run=key.run)
    return None if row is None else _run(row)


def _run(row: Row) -> RunRow:
    """A row of ``run_columns``, and what may stand behind them."""
    org, repo, run = row[:3]
    rest: list[Any] = [*row[3:14], Creation(*row[14:16]), *row[16:19]]
    return RunRow(RunKey(RepoName(org, repo), run), *rest)


def newest(
    connection: Connection, after: Place | None, repo: RepoName
) -> tuple[Sequence[RunRow], Place | None]:
    """Read a batch of runs, newest first; the cursor, or None at the end."""
    which = {"repo_id": find_repo(connection, repo), **(after or Place())._asdict()}
    found = connection.rows("newest_runs", **which, limit=READ_RUNS)
    last = Place(*found[-1][-2:]) if len(found) == READ_RUNS else None
    return [_run(row) for row in found], last


def selected(connection: Connection, scope: RunScope) -> dict[str, Any]:
    """What statements about a scope are given."""
    since = scope.since if scope.since is not None else EVER
    until = scope.until if scope.until is not None else NEVER
    repo_id = find_repo(connection, scope.repo)
    return {"repo_id": repo_id, "selection": scope.selection, "since": since, "until": until}


class UnsettledPlace(NamedTuple):
    """Where a reading of unsettled runs has come to."""

    at: datetime
    number: int = _LAST
    id: int = _LAST
    part: int = 0
    """Of ``_PARTS``."""


_PARTS = ("unsettled_there", "unsettled_undated", "unsettled_vanished")
"""In the order in which they are read."""
_CREATED = 5
"""Where a run's creation stands in ``run_columns``."""


def unsettled(
    connection: Connection,
    after: UnsettledPlace | None,
    scope: RunScope,
    vanished: datetime | None = None,
) -> tuple[Sequence[RunRow], UnsettledPlace | None]:
    """Read a batch of unsettled runs, by when they vanish; the cursor, or None.

    The index is read only where it holds other selections than this one, so that the cost does not
    grow with the runs that are settled.
    """
    start = UnsettledPlace(vanished or EVER)
    place = after or start
    found: list[Row] = []
    for which in _unsettled_scopes(connection, scope):
        cursor: dict[str, Any] = {"number": place.number, "id": place.id, "limit": READ_RUNS}
        cursor |= {"at": place.at} if _PARTS[place.part] != "unsettled_undated" else {}
        found += connection.rows(_PARTS[place.part], **which, **cursor)
    found.sort(key=lambda row: (row[_CREATED] or EVER, *row[-2:]), reverse=place.part > 0)
    found = found[:READ_RUNS]
    following: UnsettledPlace | None = None
    if len(found) == READ_RUNS:
        last = found[-1]
        following = UnsettledPlace(last[_CREATED] or start.at, last[-2], last[-1], place.part)
    elif place.part + 1 < len(_PARTS):
        following = start._replace(part=place.part + 1)
    return [_run(row) for row in found], following


def _unsettled_scopes(connection: Connection, scope: RunScope) -> Iterator[dict[str, Any]]:
    """The same for each selection but this one, each found by one step in the index."""
    which = selected(connection, scope)
    value = connection.value("first_selection", repo_id=which["repo_id"])
    while value is not None:
        if value != scope.selection:
            yield {**which, "selection": value}
        value = connection.value("next_selection", repo_id=which["repo_id"], selection=value)


def next_look(connection: Connection, scope: RunScope) -> datetime | None:
    """When the first unsettled run is due; without a time, long ago."""
    moments: list[datetime] = []
    for which in _unsettled_scopes(connection, scope):
        every, timed, first = connection.row("next_look", **which) or (0, 0, None)
        moments += [_LONG_AGO] if timed < every else [first] if every else []
    return min(moments, default=None)


def expired(connection: Connection, scope: RunScope) -> int:
    """Artifacts that upstream forgot before they were wanted, in runs settled for the selection."""
    return int(connection.value("expired", **selected(connection, scope)) or 0)


def settle(tx: Transaction, key: RunKey, selection: str, kept: int | None) -> None:
    """Nothing is left to do under this selection."""
    tx.connection.write("settle", id=tx.run_id(key), selection=selection, kept=kept)


def look_again(tx: Transaction, key: RunKey, at: datetime) -> None:
    """Something is outstanding, so the run is not settled for any selection."""
    tx.connection.write("look_again", id=tx.run_id(key), next_look=at)


def unsettle(tx: Transaction, key: RunKey) -> None:
    """The run needs a look at once. A run that nobody knows needs none."""
    tx.connection.write("unsettle", id=find_run(tx.connection, key))


def recount(tx: Transaction, key: RunKey) -> None:
    """Count anew what a settled run keeps; make any other due."""
    run_id = find_run(tx.connection, key)
    tx.connection.write("recount", id=run_id)
    tx.connection.write("look_now", id=run_id)


def mark_noted(tx: Transaction, key: RunKey, *, noted: bool) -> None:
    """Whether every artifact of the run's last answer is in the ledger."""
    tx.connection.write("set_noted", id=find_run(tx.connection, key), noted=noted)


def mark_complete(tx: Transaction, key: RunKey, *, complete: bool) -> None:
    """Whether the run's manifest stands."""
    run_id = tx.run_id(key)
    if complete:
        post_complete(tx, run_id)
    tx.connection.write("set_complete", id=run_id, complete=complete)


def newest_complete(connection: Connection, repo: RepoName) -> tuple[RunKey | None, RunKey | None]:
    """The newest complete run, and the newest complete one that was a success."""
    repo_id = find_repo(connection, repo)
    return (
        _key(repo, connection.value("newest_complete", repo_id=repo_id)),
        _key(repo, connection.value("newest_success", repo_id=repo_id)),
    )


def _key(repo: RepoName, slug: str | None) -> RunKey | None:
    return None if slug is None else RunKey(repo, slug)
