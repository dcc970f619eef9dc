"""Reads and writes what was unpacked of archives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from artifact_sync.domain.archives import ExtractionState, UnpackedEntry
from artifact_sync.domain.model import State
from artifact_sync.ledger.queries.artifact_reads import artifact_of
from artifact_sync.ledger.queries.artifact_writes import known_ids
from artifact_sync.ledger.queries.keys import key_digest
from artifact_sync.ledger.queries.transaction import find_repo, find_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from artifact_sync.domain.archives import Extraction
    from artifact_sync.domain.model import ArtifactKey, ArtifactRow, RepoName
    from artifact_sync.ledger.queries.transaction import Transaction
    from artifact_sync.ledger.sql.connection import Connection


def note_archives(tx: Transaction, formats: Sequence[tuple[ArtifactKey, str]]) -> None:
    """Note what kind of archive files are."""
    told = dict(formats)
    ids = known_ids(tx, list(told))
    tx.connection.write_many("set_archive", [{"id": it, "archive": told[k]} for k, it in ids])


def unpacked_entries(connection: Connection, key: ArtifactKey) -> Sequence[UnpackedEntry]:
    """What an archive was unpacked to."""
    if not connection.has_table("unpacked"):  # an older ledger, which may only be read
        return []
    found = connection.rows("unpacked", **_place(connection, key))
    return [UnpackedEntry(*row) for row in found]


def begin_extraction(
    tx: Transaction, key: ArtifactKey, extraction: Extraction, entries: Sequence[UnpackedEntry]
) -> None:
    """A folder is about to get its name."""
    if not _put(tx, key, _values(extraction, ExtractionState.PUBLISHING)):
        return
    place = _place(tx.connection, key)
    for begin in range(0, len(entries), _AT_ONCE):
        some = entries[begin : begin + _AT_ONCE]
        rows = [{**place, "entry": it.path, **it._asdict()} for it in some]
        tx.connection.write_many("put_unpacked", rows)


def end_extraction(tx: Transaction, key: ArtifactKey) -> None:
    """The folder has its name."""
    place = _place(tx.connection, key)
    row = tx.connection.row("known_extraction", **place)
    if row is None or row[2] != ExtractionState.PUBLISHING:
        return
    (_, found) = tx.connection.row("unpacked_bytes", **place) or (0, 0)
    size = int(found)  # PostgreSQL sums up to a Decimal
    tx.connection.write("set_here", id=row[0], bytes=size)
    _count(tx, key, State(row[1]), size - row[3])


def fail_extraction(tx: Transaction, key: ArtifactKey, extraction: Extraction) -> None:
    """An archive is not unpacked."""
    _put(tx, key, _values(extraction, extraction.state))


def drop_extraction(tx: Transaction, key: ArtifactKey) -> None:
    """Nothing is known of an extraction any more."""
    _put(tx, key, {"extraction": ""})


def _put(tx: Transaction, key: ArtifactKey, values: dict[str, Any]) -> bool:
    """Give an artifact, if it is known, the facts of an extraction that counts nothing yet."""
    place = _place(tx.connection, key)
    row = tx.connection.row("known_extraction", **place)
    if row is None:
        return False
    _count(tx, key, State(row[1]), -row[3])
    tx.connection.write("forget_unpacked", **place)
    tx.connection.write("set_extraction", **{**_NOTHING, "id": row[0], **values})
    return True


_AT_ONCE = 1000
"""Entries that are bound at a time; an archive may have many."""
_LONGEST_MESSAGE = 300
"""Characters, of which one may be stored as six."""
_NOTHING = {
    "extracted_of": "",
    "extracted_by": "",
    "extracted_files": 0,
    "extraction_reason": "",
    "extraction_error": "",
}


def _values(extraction: Extraction, state: ExtractionState) -> dict[str, Any]:
    return {
        "extraction": state.value,
        "extracted_of": extraction.sha256,
        "extracted_by": extraction.terms,
        "extracted_files": extraction.files,
        "extraction_reason": extraction.reason,
        "extraction_error": extraction.message[:_LONGEST_MESSAGE],
    }


def _count(tx: Transaction, key: ArtifactKey, state: State, size: int) -> None:
    run_id = find_run(tx.connection, key.run_key)
    if run_id is not None and state is State.MIRRORED:
        tx.tally(run_id).grow(size)


def unfinished_extractions(connection: Connection, repo: RepoName) -> Sequence[ArtifactRow]:
    """The archives whose extraction is not here."""
    if not connection.has_table("unpacked"):
        return []
    found = connection.rows("unfinished_extractions", repo_id=find_repo(connection, repo))
    return [artifact_of(row) for row in found]


def extract_terms(connection: Connection, repo: RepoName) -> str:
    """By which rules and limits all archives were looked at."""
    value: str | None = connection.value("meta", key=f"extract/{find_repo(connection, repo)}")
    return value or ""


def note_extract_terms(tx: Transaction, repo: RepoName, terms: str) -> None:
    """All archives were looked at by these rules and limits."""
    tx.connection.write("put_meta", key=f"extract/{tx.repo_id(repo)}", value=terms)


def _place(connection: Connection, key: ArtifactKey) -> dict[str, Any]:
    return {"run_id": find_run(connection, key.run_key), "digest": key_digest(key)}
