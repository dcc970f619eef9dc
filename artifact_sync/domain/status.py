"""What ``status --json`` says of a repository: the same from the command and from the daemon.

Reading the ledger is the caller's; the daemon's own state is ``daemon.desk``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from artifact_sync.domain.model import REMOVED

if TYPE_CHECKING:
    from datetime import datetime

    from artifact_sync.domain.model import Totals


class RepoStatus(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of ``repositories``. Moments are ISO 8601; None: never."""

    repo: str
    runs: int = 0
    settled: int = 0
    bytes: int = 0
    states: dict[str, int] = {}
    newest_run: str = ""
    last_mirrored: str | None = None
    last_pass: str | None = None
    last_complete: str | None = None
    last_error: str = ""

    @classmethod
    def of(cls, totals: Totals) -> RepoStatus:
        """What the ledger's counts come to."""
        return cls(
            repo=str(totals.repo),
            runs=totals.runs,
            settled=totals.settled,
            bytes=totals.bytes,
            states={
                str(state): count
                for state, count in totals.states.items()
                if count or state not in REMOVED
            },
            newest_run=totals.newest_run,
            last_mirrored=_moment(totals.last_mirrored),
            last_pass=_moment(totals.last_pass),
            last_complete=_moment(totals.last_complete),
            last_error=totals.last_error,
        )


def as_object(totals: Totals) -> dict[str, Any]:
    """The entry as builtins, for JSON."""
    return msgspec.structs.asdict(RepoStatus.of(totals))


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
