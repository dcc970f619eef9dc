"""Keeps what the service told of runs."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import msgspec

from artifact_sync.ledger.queries.transaction import find_run

if TYPE_CHECKING:
    from artifact_sync.domain.model import RunKey
    from artifact_sync.domain.run_record import RunRecord
    from artifact_sync.ledger.queries.transaction import Transaction
    from artifact_sync.ledger.sql.connection import Connection


def record(connection: Connection, key: RunKey) -> RunRecord | None:
    """What was last told of a run; None: nothing that was kept."""
    from artifact_sync.domain.run_record import RunRecord  # noqa: PLC0415 - few commands read one

    if not connection.has_table("run_records"):  # an older ledger, which may only be read
        return None
    packed = connection.value("record", run_id=find_run(connection, key))
    return None if packed is None else msgspec.json.decode(zlib.decompress(packed), type=RunRecord)


def put_record(tx: Transaction, run_id: int, told: RunRecord) -> None:
    """Keep what was told of a run; news of it unsettles the run.

    Its ``run.json`` is then to follow, also after a crash.
    """
    packed = zlib.compress(msgspec.json.encode(told))
    if tx.connection.value("record", run_id=run_id) != packed:
        tx.connection.write("put_record", run_id=run_id, record=packed)
        tx.connection.write("unsettle", id=run_id)
