"""Posts events into the outbox, in the transaction of what they tell."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from artifact_sync.domain.hooks import HookEvent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from artifact_sync.ledger.queries.transaction import Transaction
    from artifact_sync.ledger.sql.connection import Connection


def post(tx: Transaction, event: HookEvent, facts: Mapping[str, Any]) -> None:
    """Put an event into the outbox, for each hook that hears of it."""
    text, now = json.dumps(facts), tx.subscriptions.now()
    for hook in tx.subscriptions.hooks.get(event, ()):
        delivery = os.urandom(16).hex()
        values = {"delivery": delivery, "hook": hook, "event": event.value, "facts": text}
        tx.connection.write("post", **values, happened_at=now)


def post_complete(tx: Transaction, run_id: int) -> None:
    """Tell that a run is complete, if its row does not say so yet."""
    if HookEvent.RUN_COMPLETE in tx.subscriptions.hooks:
        facts = run_facts(tx.connection, run_id)
        if not tx.connection.value("is_complete", id=run_id):
            post(tx, HookEvent.RUN_COMPLETE, facts)


def post_pruned(tx: Transaction, run_id: int, files: int, size: int) -> None:
    """Tell that so many files of a run were removed."""
    if HookEvent.PRUNED in tx.subscriptions.hooks:
        facts = run_facts(tx.connection, run_id)
        post(tx, HookEvent.PRUNED, {**facts, "files": files, "bytes": size})


def run_facts(connection: Connection, run_id: int) -> dict[str, Any]:
    """What is told of a run."""
    row = connection.row("run_facts", id=run_id)
    if row is None:
        raise LookupError(f"the ledger has no run {run_id}")
    org, repo, run, status, event, created_at, finished_at, files, size, failed, outstanding = row
    return {
        "repo": f"{org}/{repo}",
        "run": run,
        "status": status,
        "run_event": event,
        "created_at": moment_text(created_at),
        "finished_at": moment_text(finished_at),
        "files": files,
        "bytes": size,
        "failed": failed,
        "outstanding": outstanding,
    }


def moment_text(moment: datetime | None) -> str | None:
    """A moment as JSON has it; ISO 8601."""
    return moment.isoformat() if moment is not None else None
