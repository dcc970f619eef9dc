"""What the daemon's log says of passes: each trouble once, and again when it comes again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from structlog.testing import capture_logs

from artifact_sync.daemon.chronicle import Chronicle
from artifact_sync.errors import Reason
from artifact_sync.events import Failed, RunCompleted, RunPlanned
from artifact_sync.model import ArtifactKey, Failure, Plan, RepoName, Run, RunKey

if TYPE_CHECKING:
    from artifact_sync.events import Event

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
    chronicle = Chronicle()
    with capture_logs() as logs:
        for event in events:
            chronicle.notify(event)
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
