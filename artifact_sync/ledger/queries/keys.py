"""Artifacts' rows by their keys."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from artifact_sync.ledger.queries.transaction import chunks, find_run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from artifact_sync.domain.model import ArtifactKey, RunKey
    from artifact_sync.ledger.sql.connection import Connection, Row


def known_rows(connection: Connection, keys: Sequence[ArtifactKey]) -> Iterator[Row]:
    """The rows that there are of these artifacts."""
    for run, some in by_run(keys).items():
        run_id = find_run(connection, run)
        if run_id is not None:
            yield from rows_of_run(connection, run_id, list(some))


def by_run(keys: Iterable[ArtifactKey]) -> Mapping[RunKey, Mapping[bytes, ArtifactKey]]:
    """The keys by run and, within it, by digest."""
    runs: dict[tuple[str, ...], dict[bytes, ArtifactKey]] = {}
    for key in keys:
        runs.setdefault(key[:3], {})[key_digest(key)] = key
    return {next(iter(some.values())).run_key: some for some in runs.values()}


def rows_of_run(connection: Connection, run_id: int, digests: Sequence[bytes]) -> Iterator[Row]:
    """Those artifacts of a run that there are, as ``leave_blocks`` takes them."""
    for some in chunks(digests):
        yield from connection.rows("known_artifacts", run_id=run_id, these=some)


def key_digest(key: ArtifactKey) -> bytes:
    """A digest of what tells an artifact from the others of its run.

    The lengths keep the parts apart.
    """
    parts = [part.encode("utf-8", "surrogatepass") for part in key[3:]]
    return hashlib.sha256(b"".join(b"%d:%s" % (len(part), part) for part in parts)).digest()
