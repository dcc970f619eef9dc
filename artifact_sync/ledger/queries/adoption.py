"""Takes over a run of which the ledger may know nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.ledger.queries import runs
from artifact_sync.ledger.queries.artifact_writes import take_over
from artifact_sync.ledger.queries.transaction import chunks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from artifact_sync.domain.model import ArtifactRow, Run
    from artifact_sync.ledger.queries.transaction import Transaction


def adopt_run(tx: Transaction, run: Run, rows: Sequence[ArtifactRow], at: datetime) -> None:
    """Record a complete run and its files; what is known of either counts more."""
    known = runs.run(tx.connection, run.key)
    if known is None or not known.status:
        runs.note_run(tx, run, at)
    for some in chunks(rows):
        take_over(tx, some, at)
    if rows:
        runs.unsettle(tx, run.key)
    runs.mark_complete(tx, run.key, complete=True)
