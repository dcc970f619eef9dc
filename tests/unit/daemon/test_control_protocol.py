"""The lines on the daemon's socket: what they look like, and what is not taken."""

from __future__ import annotations

import json

import pytest

from artifact_sync.daemon.control.protocol import (
    LONGEST_ANSWER,
    LONGEST_REQUEST,
    Error,
    Garbled,
    Result,
    Status,
    StatusRequest,
    SyncRequest,
    event_line,
    line_of,
    read_answer,
    read_request,
    result_lines,
    status_request,
    sync_request,
)
from artifact_sync.domain.errors import Reason, UsageError
from artifact_sync.domain.events import (
    BytesArrived,
    Failed,
    LinkRenewed,
    Noticed,
    RepoBegan,
    RepoEnded,
    RunPlanned,
)
from artifact_sync.domain.model import (
    Action,
    Artifact,
    ArtifactKey,
    Failure,
    Plan,
    RepoName,
    Run,
    RunKey,
    Step,
)
from artifact_sync.domain.report import Report
from artifact_sync.domain.request import PassOptions, PassRequest
from artifact_sync.domain.settings import RepoSettings

ROCKET = RepoName("acme", "rocket")
KEY = ArtifactKey("acme", "rocket", "7", "ci", "build", "cube", "./a.tar")
SYNC = {"do": "sync", "v": 1, "base_url": "https://h", "repos": [{"name": "acme/rocket"}]}


def as_line(value: object) -> bytes:
    return json.dumps(value).encode()


def test_a_request_is_a_line_with_the_settings_of_its_repositories() -> None:
    settings = RepoSettings(name="acme/rocket", include=("*.tar",), since=86400.0)
    line = sync_request(PassRequest((settings,), ("7",), PassOptions(insist=True)), "https://h")
    assert line.endswith(b"}\n")
    said = json.loads(line)
    (repo,) = said.pop("repos")
    assert said == {"do": "sync", "v": 1, "base_url": "https://h", "runs": ["7"], "insist": True}
    assert (repo["name"], repo["include"], repo["since"]) == ("acme/rocket", ["*.tar"], 86400.0)


def test_a_request_written_by_hand_needs_little() -> None:
    request = read_request(as_line(SYNC))
    assert isinstance(request, SyncRequest)
    assert request.pass_request == PassRequest((RepoSettings(name="acme/rocket"),))


def test_the_request_for_the_status() -> None:
    assert status_request() == b'{"do":"status","v":1}\n'
    assert read_request(b'{"v":1,"do":"status"}') == StatusRequest(1)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", "truncated"),
        (b"\n", "truncated"),
        (b"GET / HTTP/1.1", "malformed"),
        (b"\xff\xfe", "malformed"),
        (b"[]", "Expected `object`"),
        (b"{}", "missing required field `v`"),
        (b'{"v":"1","do":"status"}', "Expected `int`"),
        (b'{"v":1}', "missing required field `do`"),
        (b'{"v":1,"do":"wipe"}', "Invalid value 'wipe'"),
        (b'{"v":1,"do":"status","and":1}', "unknown field `and`"),
        (b'{"v":1,"do":"status","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "recursion"),
        (as_line(SYNC | {"repos": []}), "length >= 1"),
        (as_line(SYNC | {"runs": [""]}), "length >= 1"),
        (as_line(SYNC | {"runs": "7"}), "Expected `array`"),
        (as_line(SYNC | {"dry_run": True}), "unknown field `dry_run`"),
        (as_line(SYNC | {"repos": [{"name": None}]}), "Expected `str`"),
    ],
)
def test_what_is_no_request_is_refused_with_its_reason(line: bytes, why: str) -> None:
    with pytest.raises(Garbled, match=r"no line of artifact-sync's: .*" + why):
        read_request(line)


def test_another_version_is_refused_whatever_else_it_says() -> None:
    with pytest.raises(Garbled, match=r"speaks version 1 and was asked in version 2: .* restart"):
        read_request(b'{"v":2,"do":"dance","how":["slowly"]}')


def test_a_dry_run_and_a_repair_cannot_be_said() -> None:
    for mode in (PassOptions(dry_run=True), PassOptions(recorded=True)):
        with pytest.raises(ValueError, match="not for the daemon"):
            sync_request(PassRequest((RepoSettings(name="a/b"),), mode=mode), "https://h")


def test_a_pattern_that_is_no_text_is_refused() -> None:
    with pytest.raises(UsageError, match="no text"):
        sync_request(PassRequest((RepoSettings(name="a/b", include=("\udc80",)),)), "https://h")


def test_a_request_that_the_daemon_would_not_read_is_not_sent() -> None:
    request = PassRequest((RepoSettings(name="a/b", include=("x" * LONGEST_REQUEST,)),))
    with pytest.raises(UsageError, match="name fewer"):
        sync_request(request, "https://h")


def test_events_are_lines_that_people_can_read_too() -> None:
    key = json.dumps(KEY, separators=(",", ":"))
    assert event_line(RepoBegan(ROCKET)) == b'{"is":"repo_began","repo":["acme","rocket"]}\n'
    assert event_line(BytesArrived(KEY, 5)) == (
        f'{{"is":"bytes_arrived","key":{key},"count":5}}\n'.encode()
    )
    assert event_line(LinkRenewed(RunKey(ROCKET, "7"), 2)) == (
        b'{"is":"link_renewed","run":[["acme","rocket"],"7"],"links":2}\n'
    )


def test_a_plan_is_not_sent_for_it_holds_links() -> None:
    artifact = Artifact(KEY, "success", url="https://storage/x?X-Amz-Signature=secret")
    plan = Plan(Run(RunKey(ROCKET, "7"), "success"), (Step(Action.DOWNLOAD, artifact),))
    assert event_line(RunPlanned(plan)) is None
    assert event_line(RepoEnded(ROCKET, Report())) is None


def test_what_is_no_text_is_sent_with_question_marks() -> None:
    line = event_line(Noticed("odd: \ud800 é"))
    assert line is not None
    assert read_answer(line) == Noticed("odd: ? é")


def test_a_result_comes_after_its_failures_however_many() -> None:
    failures = [
        Failure("a/b", Reason.CUT, "m" * 300, "1", "w", "t", "c", f"{n}") for n in range(5000)
    ]
    lines = list(result_lines(Report(runs=2, found=5001, downloaded=1, failures=failures)))
    assert len(lines) == 11
    assert max(map(len, lines)) < LONGEST_ANSWER / 16
    *before, last = map(read_answer, lines)
    assert isinstance(last, Result)
    told = [failure for some in before for failure in some.failures]
    report = last.report(told)
    assert (report.runs, report.found, report.downloaded) == (2, 5001, 1)
    assert report.failures == failures


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b'{"is":"run_planned","plan":{}}',
        b'{"is":"error","reason":"bored","message":""}',
        b'{"is":"repo_began","repo":["acme"]}',
        b'{"is":"bytes_arrived","key":["a"],"count":1}',
        b'{"is":"result"}',
        b'{"is":"status","status":[]}',
    ],
)
def test_what_is_no_line_of_an_answer_is_refused(line: bytes) -> None:
    with pytest.raises(Garbled, match="no line of artifact-sync's"):
        read_answer(line)


def test_an_error_and_a_status_as_lines() -> None:
    error = line_of(Error(Reason.USAGE, "no"))
    assert error == b'{"is":"error","reason":"usage","message":"no"}\n'
    assert read_answer(error) == Error(Reason.USAGE, "no")
    assert read_answer(line_of(Status({"daemon": None}))) == Status({"daemon": None})


def test_a_failure_of_a_whole_repository_has_no_artifact() -> None:
    failure = Failure("acme/rocket", Reason.UNREACHABLE, "no answer")
    line = event_line(Failed(failure))
    assert line is not None
    assert read_answer(line) == Failed(failure, None)
