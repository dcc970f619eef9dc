"""Writes artifacts, and keeps the counts in their runs' rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from artifact_sync.domain.hooks import HookEvent
from artifact_sync.domain.model import REMOVED, State, Strength, Upstream
from artifact_sync.ledger.queries.keys import by_run, key_digest, known_rows, rows_of_run
from artifact_sync.ledger.queries.posting import post_pruned
from artifact_sync.ledger.queries.sharing import leave_blocks, share_blocks
from artifact_sync.ledger.queries.transaction import find_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from artifact_sync.domain.model import (
        ArtifactKey,
        ArtifactNote,
        ArtifactRow,
        Failure,
        Mirrored,
    )
    from artifact_sync.ledger.queries.transaction import Tally, Transaction
    from artifact_sync.ledger.sql.connection import Row

_FRESH = {
    "path": None,
    "size": None,
    "sha256": "",
    "strength": Strength.NONE.value,
    "evidence": (),
    "version": "",
    "etag": "",
    "content_encoding": "",
    "reason": "",
    "message": "",
    "first_seen": None,
    "mirrored_at": None,
    "is_wanted": True,
    "upstream": Upstream.UNKNOWN.value,
    "gone_since": None,
    "verified_at": None,
    "lost_since": None,
    "archive": "",
}
"""What an artifact's row holds when nothing but its key is known."""
_TRIES_KEPT = 20
"""Failed tries of each artifact that are known: a pass is made every minute or so."""


def record_mirrored(tx: Transaction, files: Sequence[Mirrored]) -> None:
    """These files are durable under their names. Of one key the last counts."""
    last = {file.key: file for file in files}
    changes = {key: _mirrored(file) for key, file in last.items()}
    _write(tx, "set_mirrored", changes, {key: file.fetched_at for key, file in last.items()})
    for file in last.values():
        if file.shares is not None:
            for row in known_rows(tx.connection, [file.key]):
                share_blocks(tx, row, file.shares)


def _mirrored(file: Mirrored) -> dict[str, Any]:
    return {
        "state": State.MIRRORED.value,
        "path": file.path,
        "size": file.size,
        "sha256": file.sha256,
        "strength": file.strength.value,
        "evidence": file.evidence,
        "version": file.version,
        "etag": file.etag,
        "content_encoding": file.content_encoding,
        "mirrored_at": file.fetched_at,
        "archive": file.archive,
        "upstream": Upstream.LISTED.value,
        "is_new": file.is_new,
    }


def take_over(tx: Transaction, rows: Sequence[ArtifactRow], at: datetime) -> None:
    """Record a run's artifacts as these rows have them; recorded ones stay."""
    known = {it[1]: it for it in known_rows(tx.connection, [row.key for row in rows])}
    held = {digest for digest, it in known.items() if it[4] or State(it[2]) in REMOVED}
    changes = {
        row.key: _found(row) if row.sha256 else _absent(row, at)
        for row in rows
        if key_digest(row.key) not in (held if row.on_record else known)
    }
    _write(tx, "set_taken_over", changes, dict.fromkeys(changes, at))


def _absent(row: ArtifactRow, at: datetime) -> dict[str, Any]:
    return {
        "state": row.state.value,
        "reason": row.reason,
        "message": row.message,
        "is_wanted": row.wanted,
        "upstream": row.upstream.value,
        "gone_since": at if row.upstream is Upstream.GONE else None,
    }


def _found(row: ArtifactRow) -> dict[str, Any]:
    return {
        "state": row.state.value,
        "path": row.path,
        "size": row.size,
        "sha256": row.sha256,
        "strength": row.strength.value,
        "evidence": row.evidence,
        "version": row.version,
        "etag": row.etag,
        "content_encoding": row.content_encoding,
        "mirrored_at": row.mirrored_at,
        "verified_at": row.verified_at,
        "archive": row.archive,
        "lost_since": row.lost_since,
        **({} if row.wanted else {"is_wanted": False}),  # such a row is new
    }


def record_states(
    tx: Transaction, rows: Sequence[tuple[ArtifactKey, State, str]], at: datetime
) -> None:
    """Record states and versions. Of a repeated key the last one counts."""
    changes = {key: {"state": state.value, "version": version} for key, state, version in rows}
    _write(tx, "set_version", changes, dict.fromkeys(changes, at))


def note_artifacts(tx: Transaction, notes: Sequence[ArtifactNote], at: datetime) -> None:
    """Note the facts of artifacts. Of a repeated key the last one counts."""
    changes = {note.key: _noted(note, at) for note in notes}
    _write(tx, "set_facts", changes, dict.fromkeys(changes, at))


def _noted(note: ArtifactNote, at: datetime) -> dict[str, Any]:
    return {
        "state": note.state.value,
        "version": note.version,
        "is_wanted": note.wanted,
        "upstream": note.upstream.value,
        "gone_since": at if note.upstream is Upstream.GONE else None,
        "lost_since": at if note.lost else None,
        "at": at,
    }


def record_failure(
    tx: Transaction, key: ArtifactKey, state: State, failure: Failure, at: datetime
) -> None:
    """A pass has failed with it."""
    change = {"state": state.value, "reason": failure.reason.value, "message": failure.message}
    if state in {State.GONE, State.LOST}:
        lost_since = at if state is State.LOST else None
        gone = {"upstream": Upstream.GONE.value, "gone_since": at, "at": at}
        _write(tx, "set_gone", {key: {**change, **gone, "lost_since": lost_since}}, {key: at})
    else:
        _write(tx, "set_failure", {key: change}, {key: at})
    which = {"run_id": tx.run_id(key.run_key), "digest": key_digest(key)}
    tx.connection.write("count_attempt", **which)
    told = {"reason": failure.reason.value, "message": failure.message}
    tx.connection.write("note_try", **which, **told, tried_at=at)
    tx.connection.write("forget_old_tries", **which, kept=_TRIES_KEPT)


def forget(tx: Transaction, keys: Sequence[ArtifactKey]) -> None:
    """Drop rows; keys that nobody knows are fine."""
    rows = list(known_rows(tx.connection, keys))
    _forget(tx, rows)
    tx.connection.write_many("forget", _ids(rows))
    for name in ("forget_tries", "forget_unpacked"):
        tx.connection.write_many(name, _places(rows))


def _ids(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [{"id": row[0]} for row in rows]


def _places(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [{"run_id": row[7], "digest": row[1]} for row in rows]


def _forget(tx: Transaction, rows: Sequence[Row]) -> None:
    """These rows are about to be dropped."""
    leave_blocks(tx, rows)
    for row in rows:
        tx.tally(row[7]).leave(State(row[2]), (row[3] or 0) + row[8])


def begin_pruning(tx: Transaction, keys: Sequence[ArtifactKey]) -> None:
    """Their files are about to be removed; keys that nobody knows are fine."""
    _restate(tx, keys, {"state": State.PRUNING.value})


def end_pruning(tx: Transaction, keys: Sequence[ArtifactKey]) -> None:
    """Their files are removed; keys that nobody knows are fine.

    Of a run that was pruned as a whole nothing stays but its tombstone.
    """
    post_removed(tx, keys)
    _restate(tx, keys, {"state": State.PRUNED.value})
    _drop_extractions(tx, keys)
    for run in by_run(keys):
        run_id = find_run(tx.connection, run)
        if run_id is not None and tx.connection.value("is_buried", run_id=run_id):
            forget_artifacts_of(tx, run_id)


def forget_artifacts_of(tx: Transaction, run_id: int) -> None:
    """Nothing is known of a run's artifacts any more."""
    _forget(tx, tx.connection.rows("rows_of_run", run_id=run_id))
    for name in _OF_RUN:
        tx.connection.write(name, run_id=run_id)


_OF_RUN = (
    "forget_of_run",
    "forget_unpacked_of_run",
    "forget_record",
    "forget_told_of_run",
    "forget_tries_of_run",
)
"""Statements that forget what is known of a run, but for its row."""


def restate_found(
    tx: Transaction, rows: Sequence[Row], change: Mapping[str, Any], update: str = "set_state"
) -> None:
    """Another state, in which no file is here, for these rows of ``known_artifacts``."""
    leave_blocks(tx, rows)
    for row in rows:
        _count(tx.tally(row[7]), row, change)
    tx.connection.write_many(update, [{"id": row[0], **change} for row in rows])


def forget_artifacts(tx: Transaction, keys: Sequence[ArtifactKey]) -> None:
    """They are let go; keys that nobody knows are fine."""
    _restate(tx, keys, {"state": State.FORGOTTEN.value}, "set_forgotten")


def end_removal(tx: Transaction, keys: Sequence[ArtifactKey], at: datetime) -> None:
    """Their files are removed, and they are let go. Unknown keys are fine."""
    post_removed(tx, keys)
    _restate(tx, keys, {"state": State.FORGOTTEN.value, "at": at}, "set_removed")
    _drop_extractions(tx, keys)


def remember_artifacts(tx: Transaction, states: Sequence[tuple[ArtifactKey, State]]) -> None:
    """What was let go has these states again; what is in another one stays."""
    wanted = dict(states)
    by_state: dict[State, list[ArtifactKey]] = {}
    for key, state in wanted.items():
        by_state.setdefault(state, []).append(key)
    for state, keys in by_state.items():
        _restate(tx, keys, {"state": state.value}, only=State.FORGOTTEN)


def post_removed(tx: Transaction, keys: Sequence[ArtifactKey]) -> None:
    """Post that files of these artifacts were removed, by run."""
    if HookEvent.PRUNED not in tx.subscriptions.hooks:
        return
    for run, some in by_run(keys).items():
        run_id = find_run(tx.connection, run)
        rows = [] if run_id is None else list(rows_of_run(tx.connection, run_id, list(some)))
        sizes = [(row[3] or 0) + row[8] for row in rows if row[2] == State.PRUNING]
        if run_id is not None and sizes:
            post_pruned(tx, run_id, len(sizes), sum(sizes))


def _drop_extractions(tx: Transaction, keys: Sequence[ArtifactKey]) -> None:
    """Their folders are removed with them, and count no more."""
    rows = list(known_rows(tx.connection, keys))
    tx.connection.write_many("forget_unpacked", _places(rows))
    tx.connection.write_many("clear_extraction", _ids(rows))


def known_ids(tx: Transaction, keys: Sequence[ArtifactKey]) -> Iterator[tuple[ArtifactKey, int]]:
    """The rows that there are of these artifacts."""
    for run, some in by_run(keys).items():
        run_id = find_run(tx.connection, run)
        if run_id is not None:
            for row in rows_of_run(tx.connection, run_id, list(some)):
                yield some[row[1]], row[0]


def note_verified(tx: Transaction, rows: Sequence[ArtifactRow], at: datetime) -> None:
    """These files were found as recorded; others have been recorded since."""
    ids = []
    for row in _still(tx, rows, {State.MIRRORED}):
        tx.tally(row[7]).aged = True
        ids.append({"id": row[0], "at": at})
    tx.connection.write_many("set_verified", ids)


def begin_reading(tx: Transaction, rows: Sequence[ArtifactRow], at: datetime) -> None:
    """The reading of these files has begun; others have been recorded since."""
    ids = [{"id": row[0], "at": at} for row in _still(tx, rows, {State.MIRRORED})]
    tx.connection.write_many("set_reading", ids)


def note_lost(tx: Transaction, rows: Sequence[ArtifactRow], at: datetime) -> None:
    """These files were found missing or changed; others have been recorded since."""
    change = {"state": State.LOST.value, "at": at}
    restate_found(tx, list(_still(tx, rows, {State.MIRRORED})), change, "set_lost")


def note_adopted(tx: Transaction, rows: Sequence[ArtifactRow], at: datetime) -> None:
    """These files are as recorded again; others have been recorded since."""
    change = {"state": State.MIRRORED.value, "at": at}
    ids = []
    for row in _still(tx, rows, _MISSED):
        tally = tx.tally(row[7])
        _count(tally, row, change)
        tally.kept += bool(row[5])
        ids.append({"id": row[0], **change})
    tx.connection.write_many("set_adopted", ids)


_MISSED = frozenset({State.WANTED, State.FAILED, State.GONE, State.LOST, State.UNWANTED})
"""States of a file on record that may have been put back."""


def _still(
    tx: Transaction, rows: Sequence[ArtifactRow], states: AbstractSet[State]
) -> Iterator[Row]:
    """The ledger's rows that still record the same content, in one of these states."""
    known = {row.key: row for row in rows}
    for run, some in by_run(known).items():
        run_id = find_run(tx.connection, run)
        if run_id is not None:
            for row in rows_of_run(tx.connection, run_id, list(some)):
                if State(row[2]) in states and row[4] == known[some[row[1]]].sha256:
                    yield row


def _restate(
    tx: Transaction,
    keys: Sequence[ArtifactKey],
    change: Mapping[str, Any],
    update: str = "set_state",
    only: State | None = None,
) -> None:
    """Another state for those of the artifacts that are known; all else stays."""
    known = (
        row for row in known_rows(tx.connection, keys) if only is None or State(row[2]) is only
    )
    restate_found(tx, list(known), change, update)


def _write(
    tx: Transaction,
    update: str,
    changes: Mapping[ArtifactKey, Mapping[str, Any]],
    first_seen: Mapping[ArtifactKey, datetime | None],
) -> None:
    """Update these artifacts or insert them; ``first_seen`` is only for those that are new."""
    inserts, updates, leaving = [], [], []
    for run, keys in by_run(changes).items():
        run_id = tx.run_id(run)
        tally = tx.tally(run_id)
        known = {row[1]: row for row in rows_of_run(tx.connection, run_id, list(keys))}
        for digest, key in keys.items():
            old = known.get(digest)
            change = _unless_forgotten(changes[key], old)
            _count(tally, old, change)
            if old is not None:
                updates.append({"id": old[0], **change})
                leaving += [old] if change.get("is_new") or not _is_here(change) else []
            else:
                who = {"run_id": run_id, "digest": digest, **key.in_run}
                inserts.append({**_FRESH, **who, "first_seen": first_seen[key], **change})
    leave_blocks(tx, leaving)
    if inserts:
        tx.connection.write_many("make_artifact", inserts)
    if updates:
        tx.connection.write_many(update, updates)


def _is_here(change: Mapping[str, Any]) -> bool:
    return bool(change["state"] == State.MIRRORED.value)


def _unless_forgotten(change: Mapping[str, Any], old: Row | None) -> Mapping[str, Any]:
    """A change of what is let go leaves it so, as where its download ends only now."""
    forgotten = State.FORGOTTEN.value
    return {**change, "state": forgotten} if old is not None and old[2] == forgotten else change


def _count(tally: Tally, old: Row | None, change: Mapping[str, Any]) -> None:
    held = unpacked = 0
    if old is not None:
        held, unpacked = old[3] or 0, old[8]
        tally.leave(State(old[2]), held + unpacked)
    state, mirrored_at = State(change["state"]), change.get("mirrored_at")
    tally.enter(state, change.get("size", held) + unpacked)
    tally.mirrored(mirrored_at)
    if state is not State.MIRRORED:
        return
    verified = change.get("verified_at") or mirrored_at
    tally.verified(verified)
    tally.aged = tally.aged or verified is None  # its file was here before
