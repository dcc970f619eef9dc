"""The report of a pass: counts and failures."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from artifact_sync.domain.errors import (
    ArtifactSyncError,
    CredentialsRefused,
    DiskError,
    ExitCode,
    Incomplete,
    IntegrityFailure,
    Interrupted,
    Reason,
    Unreachable,
    UsageError,
    exit_code,
)
from artifact_sync.domain.model import AT_REST, Failure, State, Upstream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from artifact_sync.domain.model import ArtifactRow, RunRow


_ERRORS: Mapping[ExitCode, type[ArtifactSyncError]] = MappingProxyType(
    {
        ExitCode.USAGE: UsageError,
        ExitCode.CREDENTIALS: CredentialsRefused,
        ExitCode.UNREACHABLE: Unreachable,
        ExitCode.INTEGRITY: IntegrityFailure,
        ExitCode.NO_SPACE: DiskError,
        ExitCode.INTERRUPTED: Interrupted,
    }
)


_SUMMED = (
    *("runs", "found", "downloaded", "kept", "planned", "bytes", "pending"),
    *("final", "expired", "lost"),
)


class Report(Struct):
    """Counts of a pass over one repository, or the sum over several."""

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
    final: int = 0
    """Failures that no later pass can mend by itself: gone upstream, or refused for their names."""
    expired: int = 0
    """Selected artifacts that upstream had forgotten before they were wanted: no failures."""
    lost: int = 0
    """Failures of files that were here, and that upstream has no more."""
    failures: list[Failure] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Number of failures: artifacts, and runs or repositories that were not read."""
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
        """Whether a retry would change nothing."""
        return self.failed <= self.final

    def raise_for_failures(self) -> None:
        """Raise if there are failures; the error's ``report`` is this one.

        Its class goes by the exit code: ``UsageError`` (2), ``CredentialsRefused`` (3),
        ``Unreachable`` (4), ``IntegrityFailure`` (5), ``DiskError`` (6), else ``Incomplete``.
        """
        if self.failures:
            raise pass_error(self.exit_code, _sentence(self.failures), self)

    @property
    def repeated(self) -> Report:
        """What the next pass reports when nothing has changed."""
        kept = self.kept + self.downloaded
        return replace(self, kept=kept, downloaded=0, bytes=0)

    def add(self, other: Report) -> None:
        """Add the counts of another report to this one."""
        for name in _SUMMED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.failures.extend(other.failures)


def pass_error(code: ExitCode, sentence: str, report: object) -> ArtifactSyncError:
    """Make the error of an exit code, with its report."""
    error = _ERRORS.get(code, Incomplete)(sentence)
    error.report = report
    return error


def _sentence(failures: Sequence[Failure]) -> str:
    """What has failed first, and how much beside it."""
    first = failures[0]
    text = f"{first.place}: {first.message}" if first.place else first.message
    others = f" (and {len(failures) - 1:,} more)" if len(failures) > 1 else ""
    return (text if text.isprintable() else ascii(text)[1:-1]) + others


_FINAL = frozenset({State.GONE, State.REFUSED, State.LOST})
_UNKNOWN = "fetching it failed, and the ledger could not note why"


def report_of(rows: Iterable[ArtifactRow]) -> Report:
    """Report artifacts that a pass does not look at.

    Earlier failures count again.
    """
    report = Report()
    for row in rows:
        if row.state is State.MIRRORED:
            report.kept += 1
        elif row.state is State.PENDING:
            report.pending += 1
        elif row.state is State.EXPIRED:
            report.expired += 1
        elif row.state not in AT_REST:
            report.failures.append(_failure(row))
            report.final += row.state in _FINAL
            report.lost += row.state is State.LOST
    report.found = report.kept + report.failed
    return report


def _failure(row: ArtifactRow) -> Failure:
    if row.state is State.LOST:
        return lost_failure(row)
    return Failure.of(row.key, Reason(row.reason or Reason.DISK), row.message or _UNKNOWN)


def lost_failure(row: ArtifactRow, why: str = "") -> Failure:
    """The failure of a lost file: its hash, since when, why."""
    since = (
        f"{row.lost_since:%Y-%m-%d %H:%M} UTC" if row.lost_since is not None else "an earlier pass"
    )
    gone = row.upstream is Upstream.GONE
    unknown = (
        "the service has it no more" if gone else "the service has not been asked for it since"
    )
    why = why or row.message or unknown
    text = f"lost since {since} (SHA-256 {row.sha256}): it was here, and {why}"
    return Failure.of(row.key, Reason.LOST, text)


_SHARED = frozenset(
    {
        Reason.UNREACHABLE,
        Reason.CREDENTIALS,
        Reason.PERMISSION,
        Reason.THROTTLED,
        Reason.TIMEOUT,
        Reason.CUT,
        Reason.BAD_RESPONSE,
        Reason.NO_SPACE,
    }
)
"""Of the network or the disk: they hit many artifacts at once."""


def shared_causes(repo: str) -> Iterator[tuple[str, str]]:
    """Causes that many failures of a repository may have."""
    return ((repo, reason) for reason in _SHARED)


def shared_cause(failure: Failure) -> tuple[str, str] | None:
    """What a failure has in common with others: together they are worth one line.

    None: it stands for itself.
    """
    if failure.reason in _SHARED:
        return failure.repo, failure.reason
    return (failure.repo, failure.message) if failure.reason is Reason.DISK else None


def report_of_unasked(rows: Iterable[ArtifactRow]) -> Report:
    """Report a finished run that the service could not be asked for.

    What is outstanding is no failure of its own.
    """
    report = report_of(row for row in rows if row.state is not State.WANTED)
    report.runs = 1
    return report


def report_of_put_off(run: RunRow, rows: Iterable[ArtifactRow]) -> Report:
    """Report a finished run that a pass does not look at yet."""
    report = report_of(rows)
    report.runs = 1
    if not (run.complete or report.failures or report.pending):
        message = f"the last look at {run.key} failed: the next one is at {run.next_look}"
        failure = Failure(str(run.key.repo), Reason.UNFINISHED, message, run.key.run)
        report.failures.append(failure)
    return report
