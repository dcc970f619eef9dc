"""What the daemon's log says of passes: each trouble once, and again when it comes again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from structlog.testing import capture_logs

from artifact_sync.daemon.pass_log import PassLog
from artifact_sync.domain.errors import Reason
from artifact_sync.domain.events import Failed, Noticed, RepoEnded, RunCompleted, RunPlanned
from artifact_sync.domain.model import ArtifactKey, Failure, Plan, RepoName, Run, RunKey
from artifact_sync.domain.report import Report

if TYPE_CHECKING:
    from artifact_sync.domain.events import Event

ROCKET = RunKey(RepoName("acme", "rocket"), "7")


def key(path: str) -> ArtifactKey:
    return ArtifactKey("acme", "rocket", "7", "ci", "build", "build", path)


def failed(path: str, reason: Reason, message: str = "it failed") -> Failed:
    return Failed(Failure.of(key(path), reason, message), key(path))


def of_run(reason: Reason, message: str = "it failed") -> Failed:
    return Failed(Failure("acme/rocket", reason, message, "7"))


def planned() -> RunPlanned:
    return RunPlanned(Plan(Run(ROCKET, "success"), ()))


def warnings(*events: Event) -> list[str]:
    pass_log = PassLog()
    with capture_logs() as logs:
        for event in events:
            pass_log.notify(event)
    return [line["event"] for line in logs if line["log_level"] == "warning"]


def test_a_failure_is_said_once_for_each_artifact_and_reason() -> None:
    again = (failed("a", Reason.INTEGRITY), failed("b", Reason.INTEGRITY)) * 2
    assert len(warnings(*again)) == 2
    assert len(warnings(*again, failed("a", Reason.GONE))) == 3


def test_what_a_whole_network_has_is_said_once_for_the_repository_until_it_is_well() -> None:
    many = [failed(str(n), Reason.UNREACHABLE, f"no answer for {n}") for n in range(100)]
    assert warnings(*many, of_run(Reason.UNREACHABLE)) == ["no answer for 0"]
    assert len(warnings(*many, RunCompleted(ROCKET, 100), *many)) == 2


def test_a_disk_that_is_gone_is_said_once_and_other_troubles_of_the_disk_each() -> None:
    gone = [failed(str(n), Reason.DISK, "the mirror is gone") for n in range(100)]
    assert warnings(*gone) == ["the mirror is gone"]
    others = [failed(name, Reason.DISK, f"{name} cannot be written") for name in ("a", "b")]
    assert len(warnings(*others, *others)) == 2


def test_a_run_that_could_not_be_looked_at_is_said_again_when_it_fails_anew() -> None:
    bad = of_run(Reason.BAD_ANSWER)
    assert len(warnings(bad, bad)) == 1
    assert len(warnings(bad, planned(), bad)) == 2


def test_what_the_daemon_says_by_itself_is_not_said_here() -> None:
    assert (
        warnings(
            Failed(Failure("acme/rocket", Reason.UNREACHABLE, "the list of runs cannot be had")),
            of_run(Reason.INTERRUPTED),
            failed("a", Reason.NO_SPACE),
        )
        == []
    )


def test_a_run_of_which_thousands_fail_makes_few_lines_and_none_at_the_next_look() -> None:
    many = [failed(f"{n:05}", Reason.GONE, f"{n} is gone") for n in range(10_001)]
    ended = RepoEnded(ROCKET.repo, Report())
    first = warnings(*many, ended)
    assert first == [*(f"{n} is gone" for n in range(20)), "and 9,981 more"]
    again = [failed(f"{n:05}", Reason.GONE, f"{n} is gone") for n in reversed(range(10_001))]
    assert warnings(*many, ended, *again, ended, *many, ended) == first
    worse = failed("another", Reason.GONE)
    assert warnings(*many, ended, *many, worse, ended)[21:] == ["and 9,982 more"]


def test_what_is_said_of_a_repository_is_bounded_however_many_runs_fail() -> None:
    ended = RepoEnded(ROCKET.repo, Report())
    bad = [
        Failed(Failure("acme/rocket", Reason.BAD_ANSWER, f"{n} is odd", str(n)))
        for n in range(5_000)
    ]
    first = warnings(*bad, ended)
    assert first[:200] == [f"{n} is odd" for n in range(200)]
    assert (len(first), first[-1]) == (221, "and 4,780 more")
    assert warnings(*bad, ended, *bad, ended) == first


def test_notices_are_said_once_and_few_at_a_time() -> None:
    ended = RepoEnded(ROCKET.repo, Report())
    notices = [Noticed(f"unknown status {n}") for n in range(100)]
    said = warnings(*notices, ended, *notices, ended)
    assert said == [*(f"unknown status {n}" for n in range(20)), "and 80 more notices"]


def test_what_failed_long_ago_leaves_room_to_say_what_fails_now() -> None:
    ended = RepoEnded(ROCKET.repo, Report())
    story: list[Event] = []
    for n in range(300):
        story += [Failed(Failure("acme/rocket", Reason.BAD_ANSWER, f"{n} is odd", str(n))), ended]
    assert warnings(*story) == [f"{n} is odd" for n in range(300)]
