"""Apply changed rules to what the ledger holds of a run. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.domain.model import REMOVED, ArtifactNote, State
from artifact_sync.transfer.checksum_file import subject_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from artifact_sync.domain.model import ArtifactRow
    from artifact_sync.sync.rules import Rules


class Reselection(Struct, frozen=True):
    """What other rules want of a run, all of it here or expired."""

    notes: tuple[ArtifactNote, ...]
    """What is wanted now and was not, or the other way round."""
    kept: int
    expired: int


def reselected(rows: Collection[ArtifactRow], rules: Rules) -> Reselection | None:
    """Apply the rules to what a run's answer listed; None: ask the service."""
    if rules.lists_logs and not any(row.key.is_log for row in rows):
        return None  # nobody has noted yet which there are
    rows = [row for row in rows if row.state not in REMOVED]
    selected = {row.key for row in rows if rules.wants(row.key)}
    wanted = [row for row in rows if row.key in selected]
    kept = sum(row.here for row in wanted)
    expired = sum(row.state is State.EXPIRED for row in wanted)
    unclear = any(row.state is State.REFUSED or (row.on_record and not row.here) for row in rows)
    if kept + expired < len(wanted) or unclear:  # the manifests name what is refused or missing
        return None
    if _has_new_claim(wanted):
        return None
    notes = tuple(_note(row, wanted=row.key in selected) for row in rows)
    news = (note for note, row in zip(notes, rows, strict=True) if note.wanted != row.wanted)
    return Reselection(tuple(news), kept, expired)


def _has_new_claim(wanted: Sequence[ArtifactRow]) -> bool:
    """Whether a checksum file and the file beside it are wanted together for the first time."""
    known = {row.key: row for row in wanted}
    pairs = ((row, known.get(named)) for row in wanted if (named := subject_of(row.key)))
    return any(named and not (row.wanted and named.wanted) for row, named in pairs)


def _note(row: ArtifactRow, *, wanted: bool) -> ArtifactNote:
    state = row.state if wanted or row.here else State.UNWANTED
    return ArtifactNote(row.key, state, row.version, wanted, row.upstream)
