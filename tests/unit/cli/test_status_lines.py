"""A daemon's state in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from artifact_sync.cli.commands.status import check_errors, live_lines, next_check
from artifact_sync.domain.status import (
    ConfigState,
    DaemonState,
    PassState,
    RepoState,
    ServiceState,
    WatchState,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SINCE = (NOW - timedelta(days=3)).isoformat()
HOUR = (NOW - timedelta(hours=1)).isoformat()


def test_an_idle_daemon_is_one_line() -> None:
    state = DaemonState(pid=42, version="1", since=SINCE)
    assert live_lines(state, NOW) == ["daemon: process 42, started 3d ago"]


def test_a_busy_one_says_what_it_does_and_what_keeps_it_from_more() -> None:
    state = DaemonState(
        pid=42, version="1", since=SINCE, stopping=True, free=5 << 30,
        passes=(
            PassState(repo="acme/rocket", why="webhook", seconds=72.5, planned=40, done=12,
                      failed=1, bytes=3 << 20),
            PassState(repo="acme/website", why="interval", seconds=2),
        ),
        downloads=3, rate=2.5 * (1 << 20), limit=50 << 20, queue=1,
        trouble=("no space: 3 B are free",),
        service=ServiceState(reachable=False, since=HOUR, why="no answer"),
        config=ConfigState(path="/etc/c.toml", problems=("/etc/c.toml:3: mirror.root: what?",),
                           restart_needed=("mirror.root", "ledger.url")),
        watch=WatchState(mode="restore", working=True, damaged=2, restored=1),
    )  # fmt: skip
    assert live_lines(state, NOW) == [
        "daemon: process 42, started 3d ago, 5.0 GiB free, stopping",
        "acme/rocket: under way for 1m (webhook), 12 of 40 files, 3.0 MiB, 1 failed",
        "acme/website: under way for 2s (interval)",
        "3 downloads at 2.5 MiB/s (limit 50.0 MiB/s)",
        "due and waiting for the service: 1",
        "trouble: no space: 3 B are free",
        "the service cannot be reached (began 1h ago): no answer",
        "/etc/c.toml was not taken as it is now:",
        "  /etc/c.toml:3: mirror.root: what?",
        "these count only after a restart of the daemon: mirror.root, ledger.url",
        "watching the mirror (restore): 2 files damaged, 1 restored",
    ]


def test_a_watch_that_does_not_work_says_why() -> None:
    watch = WatchState(mode="report", why="too many folders")
    state = DaemonState(pid=42, version="1", since=SINCE, watch=watch)
    assert live_lines(state, NOW)[1:] == [
        "the watch over the mirror does not work, and each pass looks instead: too many folders"
    ]


def test_remote_words_cannot_steer_the_terminal() -> None:
    state = DaemonState(pid=42, version="1", since="\x1b[2J", trouble=("a\nb",))
    assert live_lines(state, NOW) == [
        "daemon: process 42, started \\x1b[2J",
        "trouble: a\\nb",
    ]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (None, "-"),
        (RepoState(repo="a/b"), "-"),
        (RepoState(repo="a/b", running=True), "running"),
        (RepoState(repo="a/b", due_in=0.0), "due"),
        (RepoState(repo="a/b", due_in=59.9), "in 59s"),
        (RepoState(repo="a/b", due_in=300.0), "in 5m"),
        (RepoState(repo="a/b", due_in=90000.0), "in 1d"),
    ],
)
def test_when_a_repository_is_looked_at_next(state: RepoState | None, words: str) -> None:
    assert next_check(state) == words


def test_a_look_that_failed_says_how_often_and_why() -> None:
    repos = (
        RepoState(repo="a/a"),
        RepoState(repo="a/b", failing=1, error="no answer"),
        RepoState(repo="a/c", failing=7, error="refused"),
    )
    state = DaemonState(pid=42, version="1", since=SINCE, repositories=repos)
    assert check_errors(state) == {
        "a/b": "the last look at a/b failed: no answer",
        "a/c": "the last look at a/c failed (7 in a row): refused",
    }
