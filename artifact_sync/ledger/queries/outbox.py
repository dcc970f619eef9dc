"""The outbox of hooks: what lasts is told once, and deliveries wait here."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from artifact_sync.domain.hooks import Delivery, HookEvent
from artifact_sync.domain.model import FINISHED
from artifact_sync.ledger.queries.artifact_reads import artifact_of
from artifact_sync.ledger.queries.posting import moment_text, post, run_facts
from artifact_sync.ledger.queries.transaction import find_repo, find_run
from artifact_sync.ledger.sql.encoding import EVER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from artifact_sync.domain.model import ArtifactRow, RunKey, RunScope
    from artifact_sync.ledger.queries.transaction import Transaction
    from artifact_sync.ledger.sql.connection import Connection, Row

_OF_RUN = b"\0"
"""In the place of an artifact's digest: the run itself."""

_SOON = timedelta(days=2)
"""What vanishes within this time is expiring."""

_READ = 200
"""Deliveries, or runs, that are read at a time."""

_LONGEST_TRY = timedelta(hours=2)
"""No try is put off for longer: it is due at once where the clock was set back."""

_LONGEST_MESSAGE = 2000
"""Characters of a failure's message, which may quote an answer."""


def end_run(tx: Transaction, key: RunKey, failed: int, message: str) -> None:
    """Post what has come of a look at a run."""
    run_id = find_run(tx.connection, key)
    if run_id is None:
        return
    if HookEvent.RUN_INCOMPLETE in tx.subscriptions.hooks:
        _tell_incomplete(tx, run_id, failed, message)
    if HookEvent.FILE_LOST in tx.subscriptions.hooks:
        _tell_lost(tx, run_id)


def _tell_incomplete(tx: Transaction, run_id: int, failed: int, message: str) -> None:
    what = {"run_id": run_id, "digest": _OF_RUN, "event": HookEvent.RUN_INCOMPLETE.value}
    told = tx.connection.value("told", **what) is not None
    if told and not failed:
        tx.connection.write("forget_told", **what)
    elif failed and not told:
        facts = run_facts(tx.connection, run_id)
        more = {"failed": failed, "message": message[:_LONGEST_MESSAGE]}
        post(tx, HookEvent.RUN_INCOMPLETE, {**facts, **more})
        tx.connection.write("note_told", **what, since=tx.subscriptions.now())


def _tell_lost(tx: Transaction, run_id: int) -> None:
    for row in tx.connection.rows("untold_losses", run_id=run_id):
        artifact = artifact_of(row)
        post(tx, HookEvent.FILE_LOST, _artifact_facts(artifact))
        what = {"run_id": run_id, "digest": row[-1], "event": HookEvent.FILE_LOST.value}
        tx.connection.write("note_told", **what, since=artifact.lost_since)


def post_expiring(tx: Transaction, scope: RunScope) -> None:
    """Tell of runs that vanish soon and of which something is outstanding, once each."""
    now, retention = tx.subscriptions.now(), timedelta(seconds=tx.subscriptions.retention)
    which = {"vanished": now - retention, "vanishing": now - retention + _SOON}
    which["since"] = scope.since if scope.since is not None else EVER
    repo_id = find_repo(tx.connection, scope.repo)
    found = tx.connection.rows(
        "untold_expiring", repo_id=repo_id, **which, these=sorted(FINISHED), limit=_READ
    )
    for (run_id,) in found:
        facts = run_facts(tx.connection, run_id)
        vanishes_at = _vanishes_at(facts["created_at"], retention)
        post(tx, HookEvent.EXPIRING, {**facts, "vanishes_at": vanishes_at})
        what = {"run_id": run_id, "digest": _OF_RUN, "event": HookEvent.EXPIRING.value}
        tx.connection.write("note_told", **what, since=now)


def due(connection: Connection, hook: str, now: datetime) -> Delivery | None:
    """The next delivery of a hook that is due."""
    latest = now + _LONGEST_TRY
    row = connection.row("due_delivery", hook=hook, now=now, latest=latest)
    return None if row is None else _delivery(row)


def next_try(connection: Connection, hook: str) -> datetime | None:
    """When the next delivery of a hook is due."""
    found: datetime | None = connection.value("next_try", hook=hook)
    return found


def deliveries(connection: Connection, after: int | None) -> tuple[Sequence[Delivery], int | None]:
    """Read a batch of deliveries, oldest first; the cursor, or None."""
    if not connection.has_table("outbox"):  # an older ledger, which is only read
        return [], None
    found = connection.rows("deliveries", after=after or 0, limit=_READ)
    last = found[-1][-1] if len(found) == _READ else None
    return [_delivery(row) for row in found], last


def put_off(
    tx: Transaction, delivery: str, at: datetime, again: datetime | None, error: str
) -> None:
    """A try has failed; the next one, or None: no more."""
    tx.connection.write(
        "put_off", delivery=delivery, first_try=at, next_try=again, last_error=error
    )


def put_off_hook(tx: Transaction, hook: str, until: datetime) -> None:
    """Nothing that waits for a hook is due before a moment."""
    tx.connection.write("put_off_hook", hook=hook, until=until)


def try_again(tx: Transaction, ids: Sequence[str], now: datetime) -> None:
    """These are due now, as if they were new."""
    tx.connection.write_many("try_again", [{"delivery": it, "now": now} for it in ids])


def delete_deliveries(tx: Transaction, ids: Sequence[str]) -> None:
    """Forget deliveries, also when they were made."""
    tx.connection.write_many("drop_delivery", [{"delivery": it} for it in ids])


def waiting_hooks(connection: Connection) -> Mapping[str, int]:
    """Count what is in the outbox, by hook."""
    return dict(connection.rows("hooks_in_outbox"))


def drop_unsubscribed(tx: Transaction) -> Mapping[str, int]:
    """Forget what waits for hooks not subscribed; how much, by hook."""
    found, hooks = waiting_hooks(tx.connection), tx.subscriptions.names
    gone = {hook: count for hook, count in found.items() if hook not in hooks}
    for hook in gone:
        tx.connection.write("drop_hook", hook=hook)
    return gone


def _delivery(row: Row) -> Delivery:
    delivery, hook, event, happened_at, facts, *rest = row[:9]
    return Delivery(delivery, hook, HookEvent(event), happened_at, json.loads(facts), *rest)


def _artifact_facts(row: ArtifactRow) -> dict[str, Any]:
    """What is told of an artifact, named as in ``ls --json``."""
    return {
        "repo": str(row.key.run_key.repo),
        "run": row.key.run,
        **row.key.in_run,
        "path": row.path,
        "size": row.size,
        "sha256": row.sha256 or None,
        "state": row.state.value,
        "upstream": row.upstream.value,
        "mirrored_at": moment_text(row.mirrored_at),
        "verified_at": moment_text(row.verified_at),
        "lost_since": moment_text(row.lost_since),
    }


def _vanishes_at(created_at: str | None, retention: timedelta) -> str | None:
    if created_at is None:
        return None
    return (datetime.fromisoformat(created_at) + retention).isoformat()
