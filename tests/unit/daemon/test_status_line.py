"""What ``systemctl status`` shows in its Status line."""

from __future__ import annotations

from artifact_sync.daemon.api import status_line
from artifact_sync.domain.status import ConfigState, DaemonState, PassState, RepoState, ServiceState


def state(**told: object) -> DaemonState:
    return DaemonState(pid=7, version="1", since="2026-11-24T12:00:00+00:00", **told)  # type: ignore[arg-type]


REPOS = (
    RepoState(repo="acme/*", due_in=600.0),
    RepoState(repo="acme/rocket", due_in=200.0),
    RepoState(repo="acme/site", due_in=None, running=True),
)


def test_an_idle_daemon_tells_when_it_looks_next() -> None:
    assert status_line(state(repositories=REPOS)) == "2 repositories, next look in 3 min"
    soon = (RepoState(repo="acme/rocket", due_in=3.0),)
    assert status_line(state(repositories=soon)) == "1 repository, next look in under a minute"
    late = (RepoState(repo="acme/rocket", due_in=7 * 3600.0),)
    assert status_line(state(repositories=late)) == "1 repository, next look in 7 h"


def test_a_daemon_without_repositories_says_so() -> None:
    assert status_line(state()) == "0 repositories, nothing to look at"


def test_a_working_daemon_tells_how_far_it_is() -> None:
    one = PassState(repo="acme/rocket", why="interval", seconds=3.0)
    assert status_line(state(repositories=REPOS, passes=(one,))) == "looking at 1 of 2 repositories"
    two = PassState(repo="acme/site", why="webhook", seconds=1.0, planned=10, done=3, failed=1,
                    bytes=5 << 20)  # fmt: skip
    told = status_line(state(repositories=REPOS, passes=(one, two), rate=1536.0))
    assert told == "looking at 2 of 2 repositories: 4/10 files, 5.0 MiB, 1.5 KiB/s"


def test_what_is_wrong_comes_first() -> None:
    out = ServiceState(reachable=False, since="2026-11-24T12:00:00+00:00", why="no answer")
    told = status_line(state(repositories=REPOS, service=out, trouble=("no room",)))
    assert told == (
        "no room; the service cannot be used since 2026-11-24T12:00:00+00:00;"
        " 2 repositories, next look in 3 min"
    )
    wrong = ConfigState(problems=("config.toml:3: …",))
    told = status_line(state(repositories=REPOS, config=wrong))
    assert told.startswith("the configuration file is not valid, the one before is used; ")
    failing = (RepoState(repo="acme/rocket", due_in=200.0, failing=3),)
    assert status_line(state(repositories=failing)).startswith("1 failing; 1 repository")


def test_a_daemon_that_stops_tells_what_it_waits_for() -> None:
    assert status_line(state(stopping=True, downloads=2)) == "stopping, 2 files in flight"
