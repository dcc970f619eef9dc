"""What a pass has done: the value that the summary, ``sync --json`` and the exit code come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field

from artifact_sync.domain.errors import ExitCode, Reason, exit_code
from artifact_sync.domain.model import Failure, State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from artifact_sync.domain.model import ArtifactRow, RunRow


class Report(Struct):
    """Counts of one pass over one repository or, added up, over all of them."""

    runs: int = 0
    """Finished runs that the selection holds."""
    found: int = 0
    """Artifacts selected: downloaded + kept + failed artifacts (+ planned, in a dry run)."""
    downloaded: int = 0
    kept: int = 0
    """Present and verified before this pass."""
    planned: int = 0
    """In a dry run: what would be downloaded."""
    bytes: int = 0
    """Received from links, repeats included."""
    pending: int = 0
    """Artifacts and runs that may yet come, such as ``registered`` ones; not selected so far."""
    lost: int = 0
    """Failures that no later pass can mend by itself: gone upstream, or refused for their names."""
    failures: list[Failure] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Everything selected that is not there: artifacts, and runs or repositories unread."""
        return len(self.failures)

    @property
    def exit_code(self) -> ExitCode:
        """0 only when everything selected is present and verified."""
        code = exit_code(failure.reason for failure in self.failures)
        return ExitCode.INCOMPLETE if self.planned and code is ExitCode.COMPLETE else code

    @property
    def complete(self) -> bool:
        """Whether everything selected is present and verified."""
        return self.exit_code is ExitCode.COMPLETE

    @property
    def caught_up(self) -> bool:
        """Whether all is here that can be had: trying again would change nothing."""
        return self.failed <= self.lost

    def add(self, other: Report) -> None:
        """Take the counts of another report into this one."""
        for name in ("runs", "found", "downloaded", "kept", "planned", "bytes", "pending", "lost"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.failures.extend(other.failures)


_LOST = frozenset({State.GONE, State.REFUSED})
_UNKNOWN = "fetching it failed, and the ledger could not note why"


def report_of(rows: Iterable[ArtifactRow]) -> Report:
    """What the ledger knows of artifacts that a pass need not look at, as it counts in its report.

    What has failed before has failed still.
    """
    report = Report()
    for row in rows:
        if row.state is State.MIRRORED:
            report.kept += 1
        elif row.state is State.PENDING:
            report.pending += 1
        else:
            reason = Reason(row.reason or Reason.DISK)
            report.failures.append(Failure.of(row.key, reason, row.message or _UNKNOWN))
            report.lost += row.state in _LOST
    report.found = report.kept + report.failed
    return report


def report_of_put_off(run: RunRow, rows: Iterable[ArtifactRow]) -> Report:
    """What the ledger knows of a finished run that a pass does not look at yet."""
    report = report_of(rows)
    report.runs = 1
    if not (run.complete or report.failures or report.pending):
        message = f"the last look at {run.key} failed: the next one is at {run.next_look}"
        failure = Failure(str(run.key.repo), Reason.UNFINISHED, message, run.key.run)
        report.failures.append(failure)
    return report
