"""The service is silent, gone in mid-download, renamed or of another time: nothing is lost."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from keeping import APP, LOG, ORG, Keeping, Named, small_organisation, small_run
from switched import Switched
from user import TOKEN

from artifact_sync import Mirror
from artifact_sync.app.assemble_pass import passes_over
from artifact_sync.app.selection import Overrides, request_of
from artifact_sync.app.storage import open_storage
from artifact_sync.config import load
from artifact_sync.config.api_token import given_token
from artifact_sync.domain.events import BytesArrived, Failed, Retrying
from artifact_sync.domain.model import RepoName
from artifact_sync.runtime.clock import SystemClock
from artifact_sync.simulator.faults import CutFault, Delay, StatusFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from artifact_sync.domain.events import Event
    from artifact_sync.domain.report import Report
    from artifact_sync.simulator import Simulator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="calls fork")

ROCKET, TOOL = f"{ORG}/rocket", f"{ORG}/tool"
ALL = {Named(repo, run, path) for repo in (ROCKET, TOOL) for run in "12" for path in (APP, LOG)}
NEW = {Named(ROCKET, "3", path) for path in (APP, LOG)}
LOST = Named(ROCKET, "1", APP)
WELL = (0, 0)
YEAR = timedelta(days=365)


@pytest.fixture
def switched() -> Iterator[Switched]:
    service = Switched(small_organisation("rocket", "tool"))
    with service.stack:
        yield service


@pytest.fixture
def simulator(switched: Switched) -> Simulator:
    return switched.simulator


@pytest.fixture
def keeping(tmp_path: Path, switched: Switched, monkeypatch: pytest.MonkeyPatch) -> Keeping:
    """A complete mirror of two repositories with two runs of two files each."""
    keeping = Keeping(tmp_path, switched.running)
    for name, value in keeping.environ.items():
        monkeypatch.setenv(name, value)
    assert passed().downloaded == len(ALL)
    return keeping


@dataclass
class SetClock(SystemClock):
    """A clock that is wrong, or right at another time."""

    ahead: timedelta

    def now(self) -> datetime:
        return super().now() + self.ahead


class Ignorant:
    """An observer of nothing."""

    def notify(self, event: Event) -> None:
        """Look away."""


def passed(ahead: timedelta = timedelta()) -> Report:
    """A pass over all repositories, at another time."""
    config = load(None, os.environ).config
    request = request_of(config, Overrides(repos=(ROCKET, TOOL)), os.environ)

    async def whole() -> Report:
        async with open_storage(config, rehearse=False) as store:
            then = msgspec.structs.replace(store, clock=SetClock(ahead))
            token = given_token(TOKEN)
            async with passes_over(then, config, Ignorant(), token, set()) as begin:
                return (await begin(request).run()).report

    return asyncio.run(whole())


def refuse(switched: Switched) -> None:
    switched.off()


def hang(switched: Switched) -> None:
    switched.simulator.add_fault(Delay(on="api", seconds=3600))


def fail(switched: Switched) -> None:
    switched.simulator.add_fault(StatusFault(on="api", status=503))


@pytest.mark.parametrize("silence", [refuse, hang, fail])
def test_a_week_without_an_answer_costs_nothing(
    keeping: Keeping,
    switched: Switched,
    monkeypatch: pytest.MonkeyPatch,
    silence: Callable[[Switched], None],
) -> None:
    if silence is hang:
        monkeypatch.setenv("ARTIFACT_SYNC_DOWNLOAD__TIMEOUT", "300ms")
    switched.simulator.add_run(ROCKET, small_run("3"))
    switched.simulator.add_fault(StatusFault(on="file", run="3", status=503))
    assert len(passed().failures) == 2
    silence(switched)
    keeping.unlink([LOST])
    for day in (0, 3, 8):
        report = passed(timedelta(days=day))
        assert (report.exit_code, report.expired, report.downloaded) == (1, 0, 0), report
        assert {it.reason for it in report.failures} == {"unreachable", "lost", "throttled"}
        assert (report.kept, report.lost, report.found) == (7, 1, 10), report
    assert keeping.run("verify")[0] == 1
    assert keeping.states() == (
        dict.fromkeys(ALL, "mirrored") | dict.fromkeys(NEW, "failed") | {LOST: "lost"}
    )
    monkeypatch.delenv("ARTIFACT_SYNC_DOWNLOAD__TIMEOUT", raising=False)
    switched.simulator.clear_faults()
    if silence is refuse:
        switched.on()
    report = passed(timedelta(days=8))
    assert (report.exit_code, report.downloaded) == (0, 3), report
    story = keeping.story()
    assert (story.codes, story.named("mirrored")) == (WELL, ALL | NEW)


NOT_READ = [
    ("repos", 401, "credentials", Named(ROCKET, "1", APP)),
    ("runs", 503, "unreachable", Named(ROCKET, "2", LOG)),
    ("run", 503, "unreachable", Named(TOOL, "1", APP)),
    ("*", 503, "unreachable", Named(TOOL, "2", LOG)),
]
"""An endpoint that fails, how, and a file that is lost then."""


def test_what_is_lost_is_told_though_the_service_cannot_be_asked(
    keeping: Keeping, simulator: Simulator
) -> None:
    lost = set()
    for endpoint, status, reason, file in NOT_READ:
        simulator.add_fault(StatusFault(on="api", endpoint=endpoint, status=status))
        keeping.unlink([file])
        lost.add(file)
        story = keeping.story()
        assert (story.codes, story.named("lost")) == ((1, 1), lost)
        assert {it["reason"] for it in story.report["failures"]} == {"lost", reason}
        simulator.clear_faults()
    story = keeping.story()
    assert (story.codes, story.named("mirrored")) == (WELL, ALL)


def take_files(simulator: Simulator) -> None:
    simulator.objects.clear()


def take_runs(simulator: Simulator) -> None:
    for repo in simulator.repos.values():
        repo.runs = {}


def take_repositories(simulator: Simulator) -> None:
    simulator.repos.clear()


TAKEN = {
    "files": [take_files],
    "runs": [take_runs],  # links that were given work all the same
    "repositories": [take_files, take_repositories],
    "in-turn": [take_files, take_runs, take_repositories],
}


@pytest.mark.parametrize("steps", TAKEN.values(), ids=TAKEN)
def test_what_goes_in_mid_download_is_told_and_comes_when_it_is_back(
    keeping: Keeping,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    steps: Sequence[Callable[[Simulator], None]],
) -> None:
    monkeypatch.setenv("ARTIFACT_SYNC_DOWNLOAD__ATTEMPTS", "2")
    monkeypatch.setenv("ARTIFACT_SYNC_DOWNLOAD__JOBS", "1")
    simulator.add_run(ROCKET, small_run("3"))
    back = Everything(simulator)
    simulator.add_fault(CutFault(first=1))
    left = list(steps)

    def on_event(event: Event) -> None:
        """Take away a thing more each time that the download goes on, or is given up."""
        if left and isinstance(event, BytesArrived | Retrying | Failed):
            left.pop(0)(simulator)

    async def whole() -> Report:
        async with Mirror(token=TOKEN, on_event=on_event) as mirror:
            return await mirror.sync(ROCKET, TOOL)

    report = asyncio.run(whole())
    assert not left
    came = report.downloaded
    assert report.exit_code == min(1, len(NEW) - came), report
    assert {it.reason for it in report.failures} <= {"gone", "not_found"}, report
    story = keeping.story()
    assert story.codes == (report.exit_code, 0)
    assert story.named("mirrored") >= ALL
    assert story.named("gone") == NEW - story.named("mirrored")
    assert len(story.named("gone")) == len(NEW) - came
    back.put()
    story = keeping.story()
    assert (story.codes, story.named("mirrored")) == (WELL, ALL | NEW)
    assert not list((keeping.root / ".artifact-sync/staging").glob("*.part"))


class Everything:
    """What a service has, to be put back."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._objects, self._repos = dict(simulator.objects), dict(simulator.repos)
        self._runs = {name: repo.runs for name, repo in self._repos.items()}

    def put(self) -> None:
        self._simulator.objects.update(self._objects)
        for name, repo in self._repos.items():
            repo.runs = self._runs[name]
            self._simulator.repos[name] = repo


def rename(simulator: Simulator, old: str, new: str) -> None:
    """Have a repository at another name, and nothing at the old one."""
    repo = simulator.repos.pop(RepoName.parse(old))
    simulator.repos[RepoName.parse(new)] = replace(repo, name=RepoName.parse(new))


def test_a_repository_that_is_renamed_and_named_back_loses_nothing(
    keeping: Keeping, simulator: Simulator
) -> None:
    other = f"{ORG}/falcon"
    renamed = {it._replace(repo=other) for it in ALL if it.repo == ROCKET}
    rename(simulator, ROCKET, other)
    story = keeping.story()
    assert (story.codes, story.named("mirrored")) == (WELL, ALL | renamed)
    assert f"{ROCKET} is not there any more" in story.words
    keeping.unlink([LOST])
    story = keeping.story()
    assert (story.codes, story.named("lost")) == ((1, 1), {LOST})
    rename(simulator, other, ROCKET)
    story = keeping.story()
    assert (story.codes, story.named("mirrored")) == (WELL, ALL | renamed)
    assert (story.report["downloaded"], story.report["kept"]) == (1, 11)
    assert f"{other} is not there any more" in story.words


def test_an_organisation_that_is_renamed_and_named_back_loses_nothing(
    keeping: Keeping, simulator: Simulator
) -> None:
    moved = {it._replace(repo=it.repo.replace(ORG, "orbit")) for it in ALL}
    for repo in (ROCKET, TOOL):
        rename(simulator, repo, repo.replace(ORG, "orbit"))
    story = keeping.story()
    assert (story.codes, story.named("mirrored")) == (WELL, ALL)
    assert f"{ORG} is not there any more" in story.words
    keeping.selected += ("orbit/*",)
    story = keeping.story()
    assert (story.codes, story.named("mirrored")) == (WELL, ALL | moved)
    for repo in (ROCKET, TOOL):
        rename(simulator, repo.replace(ORG, "orbit"), repo)
    story = keeping.story()
    assert (story.codes, story.named("mirrored")) == (WELL, ALL | moved)
    assert story.report["downloaded"] == 0
    simulator.add_run(ROCKET, small_run("3"))
    story = keeping.story()
    assert (story.codes, story.named("mirrored")) == (WELL, ALL | moved | NEW)


@pytest.mark.parametrize("wrong", [-YEAR, YEAR], ids=["back", "ahead"])
def test_a_clock_that_is_a_year_wrong_and_right_again_changes_nothing(
    keeping: Keeping, simulator: Simulator, wrong: timedelta
) -> None:
    simulator.add_run(ROCKET, small_run("3"))
    simulator.add_fault(StatusFault(path=APP, run="3", status=503))
    assert passed().downloaded == 1
    simulator.clear_faults()
    content = keeping.place(LOST).read_bytes()
    keeping.unlink([LOST])
    simulator.add_run(TOOL, small_run("3"))
    report = passed(wrong)
    assert (report.exit_code, report.downloaded) == (0, 4), report
    take_repositories(simulator)
    keeping.unlink([LOST])
    report = passed(wrong + timedelta(hours=1))
    assert (report.exit_code, report.lost, report.kept) == (1, 1, 11), report
    assert keeping.story().codes == (1, 1)
    keeping.place(LOST).write_bytes(content)
    report = passed(wrong + timedelta(hours=2))
    assert (report.exit_code, report.downloaded, report.kept) == (0, 0, 12), report
    story = keeping.story()
    assert (story.codes, story.report["kept"], story.report["downloaded"]) == (WELL, 12, 0)
