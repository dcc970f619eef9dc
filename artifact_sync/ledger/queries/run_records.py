"""Keeps what the service told of runs."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import msgspec

from artifact_sync.ledger.queries.transaction import find_run

if TYPE_CHECKING:
    from artifact_sync.domain.model import RunKey
    from artifact_sync.domain.run_record import RunRecord
    from artifact_sync.ledger.sql.connection import Connection


def record(connection: Connection, key: RunKey) -> RunRecord | None:
    """What was last told of a run; None: nothing that was kept."""
    from artifact_sync.domain.run_record import RunRecord  # noqa: PLC0415 - few commands read one

    if not connection.has_table("run_records"):  # an older ledger, which may only be read
        return None
    packed = connection.value("record", run_id=find_run(connection, key))
    return None if packed is None else msgspec.json.decode(zlib.decompress(packed), type=RunRecord)


def packed_record(told: RunRecord) -> bytes:
    """A record as it is stored; equal ones are equal."""
    return zlib.compress(msgspec.json.encode(told))
