"""What a pass reports of artifacts and runs that it does not look at."""

from __future__ import annotations

from datetime import UTC, datetime

from artifact_sync.domain.errors import Reason
from artifact_sync.domain.model import (
    ArtifactKey,
    ArtifactRow,
    Failure,
    RepoName,
    RunKey,
    RunRow,
    State,
)
from artifact_sync.domain.report import Report, report_of, report_of_put_off

RUN = RunKey(RepoName("acme", "rocket"), "7")
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def row(path: str, state: State, reason: str = "", message: str = "") -> ArtifactRow:
    key = ArtifactKey("acme", "rocket", "7", "ci", "build", "build", path)
    return ArtifactRow(key, state, reason=reason, message=message)


def put_off(*, complete: bool = False) -> RunRow:
    return RunRow(RUN, "success", next_look=NOON, complete=complete)


def test_what_has_failed_before_has_failed_still() -> None:
    failed = row("a", State.FAILED, "integrity", "it is spoilt")
    gone = row("b", State.GONE, "gone", "it is gone")
    report = report_of_put_off(put_off(), [failed, gone, row("c", State.MIRRORED)])
    assert report == Report(
        runs=1,
        found=3,
        kept=1,
        final=1,
        failures=[
            Failure.of(failed.key, Reason.INTEGRITY, "it is spoilt"),
            Failure.of(gone.key, Reason.GONE, "it is gone"),
        ],
    )
    assert not report.complete
    assert not report.caught_up


def test_what_is_only_waited_for_is_no_failure() -> None:
    rows = [row("a", State.PENDING), row("b", State.MIRRORED)]
    report = report_of_put_off(put_off(complete=True), rows)
    assert report == Report(runs=1, found=1, kept=1, pending=1)
    assert report.caught_up


def test_what_was_pruned_counts_nowhere() -> None:
    rows = [row("a", State.PRUNED), row("b", State.PRUNING), row("c", State.MIRRORED)]
    assert report_of(rows) == Report(found=1, kept=1)


def test_a_failure_that_could_not_be_noted_is_one_all_the_same() -> None:
    (failure,) = report_of([row("a", State.WANTED)]).failures
    assert failure.reason is Reason.DISK


def test_a_run_that_could_not_be_read_is_missing_as_a_whole() -> None:
    report = report_of_put_off(put_off(), [])
    (failure,) = report.failures
    assert (failure.repo, failure.run, failure.reason) == ("acme/rocket", "7", Reason.UNFINISHED)
    assert failure.message == (
        "the last look at acme/rocket run 7 failed: the next one is at 2026-11-24 12:00:00+00:00"
    )


def test_a_run_that_is_complete_and_put_off_lacks_nothing() -> None:
    assert report_of_put_off(put_off(complete=True), [row("a", State.MIRRORED)]).complete
