"""A pass that the daemon carries out, as the command line reports it."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest
from fake_daemon_api import REQUEST, URL, FakeDaemonApi, served
from structlog.testing import capture_logs

from artifact_sync.cli.delegate import DelegatedReport, Delegation
from artifact_sync.daemon.control.client import DaemonLost
from artifact_sync.domain.errors import ExitCode, MirrorBusy, Reason, Unreachable, UsageError
from artifact_sync.domain.events import BytesArrived, Downloaded, Event, Failed
from artifact_sync.domain.model import ArtifactKey, Failure, Mirrored, MirrorPath, Strength
from artifact_sync.domain.report import Report
from artifact_sync.domain.settings import Config, MirrorSettings, SourceSettings

if TYPE_CHECKING:
    from pathlib import Path

KEY = ArtifactKey("acme", "rocket", "7", "ci", "build", "cube", "a.tar")
FAILURE = Failure.of(KEY, Reason.CUT, "cut short")
EVENTS: tuple[Event, ...] = (
    BytesArrived(KEY, 70),
    Failed(FAILURE, KEY),
    Downloaded(Mirrored(KEY, MirrorPath("p"), 70, "", Strength.LENGTH, ())),
    Failed(Failure("acme/rocket", Reason.UNREACHABLE, "no answer")),
)


class Kept:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def notify(self, event: Event) -> None:
        self.events.append(event)


def handing(root: Path, url: str = URL, jobs: int | None = None) -> Delegation:
    config = Config(mirror=MirrorSettings(root=root), source=SourceSettings(base_url=url))
    return Delegation(config, REQUEST, jobs, MirrorBusy(root, "process 1"))


def handed(root: Path, daemon: FakeDaemonApi, one: Delegation) -> Report:
    async def whole() -> Report:
        async with served(root / ".artifact-sync", daemon):
            return await one.run(Kept())

    return asyncio.run(whole())


def test_what_was_told_so_far_is_counted_and_handed_on() -> None:
    kept = Kept()
    heard = DelegatedReport(kept)
    for event in EVENTS:
        heard.notify(event)
    assert kept.events == list(EVENTS)
    report = heard.report
    assert (report.found, report.downloaded, report.bytes, report.failed) == (2, 1, 70, 2)


def test_in_the_end_the_daemons_own_report_counts(tmp_path: Path) -> None:
    report = Report(runs=1, found=9, downloaded=9, bytes=5)
    with capture_logs() as logs:
        assert handed(tmp_path, FakeDaemonApi(EVENTS, report), handing(tmp_path, jobs=2)) == report
    assert [line["event"] for line in logs] == [
        f"the daemon (process {os.getpid()}) holds the mirror, and does it",
        "--jobs does not count here: the daemon's own limit holds",
    ]


def test_what_ends_it_after_its_begin_stands_in_the_report(tmp_path: Path) -> None:
    report = handed(tmp_path, FakeDaemonApi(EVENTS, error=Unreachable("gone")), handing(tmp_path))
    assert (report.downloaded, report.exit_code) == (1, ExitCode.INCOMPLETE)
    assert report.failures[-1] == Failure("", Reason.UNREACHABLE, "gone")


def test_what_keeps_it_from_beginning_is_raised(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the daemon mirrors from"):
        handed(tmp_path, FakeDaemonApi(), handing(tmp_path, "https://other.example"))


def test_without_a_daemon_the_mirror_is_busy_as_ever(tmp_path: Path) -> None:
    one = handing(tmp_path)
    with pytest.raises(MirrorBusy) as caught:
        asyncio.run(one.run(Kept()))
    assert caught.value is one.busy


def test_a_lost_daemon_is_no_complete_pass() -> None:
    assert DaemonLost("x").exit_code is ExitCode.INCOMPLETE
