"""Finds files of the same bytes, and keeps account of which share their blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.domain.model import SameFile, State
from artifact_sync.ledger.queries.transaction import chunks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from artifact_sync.ledger.queries.transaction import Transaction
    from artifact_sync.ledger.sql.connection import Connection, Row

_FEW = 8
"""Files that are offered: any of them may be damaged, or have no room for another link."""


def same_bytes(connection: Connection, sha256: str) -> Sequence[SameFile]:
    """A few mirrored files of a SHA-256, those that came last first."""
    return [SameFile(*row) for row in connection.rows("same_bytes", sha256=sha256, limit=_FEW)]


def share_blocks(tx: Transaction, row: Row, number: int) -> None:
    """This file, as ``known_artifacts`` tells it, shares the blocks of another one."""
    found = tx.connection.row("whose_blocks", id=number)
    if found is None or found != (row[4], found[1]) or row[2] != State.MIRRORED.value:
        return  # it has ceased to be here meanwhile
    if found[1] != row[0]:
        tx.connection.write("share_blocks", id=row[0], owner=found[1])
        tx.tally(row[7]).share(row[3] or 0)


def leave_blocks(tx: Transaction, rows: Iterable[Row]) -> None:
    """These files, as ``known_artifacts`` tells them, are not here as they were.

    Where others shared the blocks of one, the first of these counts for all of them from now on.
    """
    leaving = {row[0]: row for row in rows if row[2] == State.MIRRORED.value}
    if not leaving or not tx.connection.value("any_share"):
        return
    sharing = [row for row in leaving.values() if row[6] is not None]
    for row in sharing:
        tx.tally(row[7]).share(-(row[3] or 0))
    tx.connection.write_many("share_alone", [{"id": row[0]} for row in sharing])
    for some in chunks(list(leaving)):
        heirs: dict[int, int] = {}
        for owner, number, run_id, size in tx.connection.rows("sharers", these=some):
            if owner not in heirs:
                heirs[owner] = number
                tx.tally(run_id).share(-(size or 0))
        tx.connection.write_many("share_alone", [{"id": it} for it in heirs.values()])
        moves = [{"id": owner, "heir": heir} for owner, heir in heirs.items()]
        tx.connection.write_many("hand_on_shares", moves)
