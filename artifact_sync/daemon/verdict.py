"""What a pass that has ended means for the schedule. Decides; the schedule remembers."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from artifact_sync.daemon.schedule import PassVerdict
from artifact_sync.domain.errors import CredentialsRefused, Unreachable
from artifact_sync.domain.model import FINISHED, RunKey

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.ports import Ledger
    from artifact_sync.domain.report import Report


def verdict_of(trouble: Exception | None) -> PassVerdict:
    """What it says of the repository, or of the service, that a look came to this end.

    401 means the token and so concerns every repository; 403 means this one.
    """
    if trouble is None:
        return PassVerdict.WELL
    if isinstance(trouble, Unreachable):
        return PassVerdict.UNREACHABLE
    if isinstance(trouble, CredentialsRefused) and trouble.status == HTTPStatus.UNAUTHORIZED:
        return PassVerdict.REFUSED
    return PassVerdict.FAILED


async def finished(ledger: Ledger, repo: RepoName, announced: Collection[str]) -> tuple[str, ...]:
    """Those of the announced runs that the ledger knows as finished."""
    rows = [await ledger.run(RunKey(repo, run)) for run in announced]
    return tuple(row.key.run for row in rows if row is not None and row.status in FINISHED)


async def record(ledger: Ledger, repo: RepoName, report: Report, at: datetime) -> None:
    """Put down a pass that has put down nothing itself. ``DiskError``."""
    await ledger.end_pass(await ledger.begin_pass(repo, at), report, at)
