"""The daemon's socket, both sides: a pass and the status are asked for beside the daemon."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from fake_daemon_api import QUICK, REQUEST, STATE, URL, FakeDaemonApi, served, wait_for
from structlog.testing import capture_logs

from artifact_sync.daemon.control.client import (
    ClientTimeouts,
    DaemonClient,
    DaemonLost,
    NoDaemon,
)
from artifact_sync.domain.errors import (
    ArtifactSyncError,
    ConfigError,
    DiskError,
    ExitCode,
    Interrupted,
    Reason,
    Unreachable,
    UsageError,
)
from artifact_sync.domain.events import Event, FetchBegan, Noticed, RepoBegan
from artifact_sync.domain.model import Failure, RepoName, RunKey
from artifact_sync.domain.report import Report
from artifact_sync.domain.request import PassRequest
from artifact_sync.domain.settings import RepoSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")

ROCKET = RepoName("acme", "rocket")
EVENTS = (RepoBegan(ROCKET), FetchBegan(RunKey(ROCKET, "7"), 3), Noticed("look out"))
LOST = Failure("acme/rocket", Reason.CUT, "cut short", "7", "w", "t", "c", "a.tar")


@dataclass
class Seen:
    """An observer that keeps what it is told."""

    events: list[Event] = field(default_factory=list)

    def notify(self, event: Event) -> None:
        self.events.append(event)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / ".artifact-sync"


def told(own: Path, daemon: FakeDaemonApi, story: Callable[[Path], Awaitable[None]]) -> None:
    """Run a story beside a control that serves the daemon."""

    async def whole() -> None:
        async with served(own, daemon) as path:
            await story(path)

    asyncio.run(whole())


def test_a_pass_is_asked_for_and_its_events_and_report_come_back(own: Path) -> None:
    report = Report(runs=2, found=3, downloaded=2, bytes=99, failures=[LOST])
    daemon, seen, begun = FakeDaemonApi(EVENTS, report), Seen(), list[int]()

    async def story(_: Path) -> None:
        assert await DaemonClient(own).sync(REQUEST, URL, seen, begun.append) == report

    told(own, daemon, story)
    assert seen.events == list(EVENTS)
    assert begun == [os.getpid()]
    assert daemon.requests == [REQUEST]


def test_events_are_shown_while_the_pass_goes_on(own: Path) -> None:
    daemon, seen = FakeDaemonApi(EVENTS, waits=True), Seen()

    async def story(_: Path) -> None:
        asking = asyncio.create_task(DaemonClient(own).sync(REQUEST, URL, seen))
        await wait_for(lambda: len(seen.events) == len(EVENTS))
        assert not asking.done()
        daemon.go_on.set()
        await asking

    told(own, daemon, story)


def test_a_repository_that_the_daemon_does_not_know_comes_with_its_settings(own: Path) -> None:
    wanted = PassRequest((RepoSettings(name="other/*", include=("*.tar",), since=60.0),), ("7",))
    daemon = FakeDaemonApi()

    async def story(_: Path) -> None:
        await DaemonClient(own).sync(wanted, URL + "/", Seen())

    told(own, daemon, story)
    assert daemon.requests == [wanted]


def test_the_status_is_the_daemons(own: Path) -> None:
    async def story(_: Path) -> None:
        status = await DaemonClient(own).status()
        assert status is not None
        assert status["repositories"] == []
        assert status["daemon"]["pid"] == STATE.pid

    told(own, FakeDaemonApi(), story)


@pytest.mark.parametrize(
    ("daemon", "why"),
    [
        (FakeDaemonApi(error=DiskError("the ledger is damaged")), "the ledger is damaged"),
        (FakeDaemonApi(mute=True), "the ledger gives no answer"),
    ],
)
def test_without_the_ledger_the_status_is_still_the_daemons(
    own: Path, daemon: FakeDaemonApi, why: str
) -> None:
    async def story(_: Path) -> None:
        status = await DaemonClient(own).status()
        assert status is not None
        assert (status["repositories"], status["error"]) == ([], why)
        assert status["daemon"]["pid"] == STATE.pid

    told(own, daemon, story)


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (Interrupted("the daemon is stopping"), Interrupted, ExitCode.INTERRUPTED),
        (Unreachable("no answer"), Unreachable, ExitCode.UNREACHABLE),
        (DiskError("read-only"), DiskError, ExitCode.NO_SPACE),
        (ConfigError(["two"]), UsageError, ExitCode.USAGE),
    ],
)
def test_what_kept_the_pass_from_beginning_is_raised_here_too(
    own: Path, error: ArtifactSyncError, kind: type[ArtifactSyncError], code: ExitCode
) -> None:
    async def story(_: Path) -> None:
        with pytest.raises(kind) as caught:
            await DaemonClient(own).sync(REQUEST, URL, Seen())
        assert (str(caught.value), caught.value.exit_code) == (str(error), code)

    told(own, FakeDaemonApi(error=error), story)


def test_a_bug_in_the_daemon_is_logged_there_and_does_not_end_it(own: Path) -> None:
    daemon = FakeDaemonApi(error=KeyError("secret"))

    async def story(_: Path) -> None:
        with pytest.raises(ArtifactSyncError) as caught:
            await DaemonClient(own).sync(REQUEST, URL, Seen())
        assert str(caught.value) == "a bug in artifact-sync: KeyError"
        daemon.error = None
        assert await DaemonClient(own).sync(REQUEST, URL, Seen()) == Report()

    with capture_logs() as logs:
        told(own, daemon, story)
    assert [it["event"] for it in logs if it["log_level"] == "error"] == ["a bug"]


@pytest.mark.parametrize(
    ("wanted", "url", "why"),
    [
        (REQUEST, "https://other.example", "mirrors from https://api.example, and this config"),
        (PassRequest((RepoSettings(name="../x/y"),)), URL, "repository"),
    ],
)
def test_what_the_daemon_cannot_do_is_a_matter_of_usage(
    own: Path, wanted: PassRequest, url: str, why: str
) -> None:
    daemon, begun = FakeDaemonApi(), list[int]()

    async def story(_: Path) -> None:
        with pytest.raises(UsageError, match=why):
            await DaemonClient(own).sync(wanted, url, Seen(), begun.append)

    told(own, daemon, story)
    assert (daemon.requests, begun) == ([], [])


def test_who_waits_hears_that_somebody_is_there(own: Path) -> None:
    daemon, seen = FakeDaemonApi(waits=True), Seen()
    timeouts = ClientTimeouts(silence=0.2)  # the control says something every 0.05 s

    async def story(_: Path) -> None:
        asking = asyncio.create_task(DaemonClient(own, timeouts).sync(REQUEST, URL, seen))
        await asyncio.sleep(1)
        assert not asking.done()
        daemon.go_on.set()
        await asking

    told(own, daemon, story)
    assert seen.events == []


def test_the_pass_goes_on_when_the_client_does_not(own: Path) -> None:
    daemon = FakeDaemonApi(EVENTS, waits=True)

    async def story(_: Path) -> None:
        asking = asyncio.create_task(DaemonClient(own).sync(REQUEST, URL, Seen()))
        await wait_for(lambda: bool(daemon.requests))
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.sleep(0.2)  # two signs of life that nobody takes
        daemon.observers[0].notify(Noticed("nobody hears it"))
        daemon.go_on.set()
        await wait_for(lambda: daemon.finished == 1)

    told(own, daemon, story)


def test_without_a_daemon_there_is_nobody_to_ask(own: Path) -> None:
    async def story() -> None:
        assert await DaemonClient(own).status() is None
        with pytest.raises(NoDaemon):
            await DaemonClient(own).sync(REQUEST, URL, Seen())

    asyncio.run(story())
    own.mkdir()
    assert asyncio.run(DaemonClient(own).status()) is None


def test_the_socket_that_a_killed_daemon_left_is_nobody_and_the_next_daemon_takes_its_place(
    own: Path,
) -> None:
    own.mkdir()
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(own / "daemon.sock"))
    assert asyncio.run(DaemonClient(own).status()) is None

    async def story(_: Path) -> None:
        assert await DaemonClient(own).status() is not None

    told(own, FakeDaemonApi(), story)


def test_the_socket_is_the_owners_alone_and_goes_with_the_daemon(own: Path) -> None:
    before = os.umask(0)
    try:

        async def story(path: Path) -> None:
            mode = (await asyncio.to_thread(path.lstat)).st_mode
            assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o600)

        told(own, FakeDaemonApi(), story)
    finally:
        os.umask(before)
    assert list(own.iterdir()) == []


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs Linux's /proc")  # noqa: PTH112
def test_a_root_with_a_long_name_has_a_socket_too(tmp_path: Path) -> None:
    own = tmp_path / ("long" * 50) / ".artifact-sync"
    assert len(str(own)) > 200

    async def story(path: Path) -> None:
        assert await asyncio.to_thread(path.is_socket)
        assert await DaemonClient(own).status() is not None

    told(own, FakeDaemonApi(), story)
    assert list(own.iterdir()) == []


def test_what_is_no_socket_stays_and_the_daemon_runs_without(own: Path) -> None:
    own.mkdir()
    (own / "daemon.sock").write_text("mine")

    async def story(_: Path) -> None:
        assert await DaemonClient(own).status() is None

    with capture_logs() as logs:
        told(own, FakeDaemonApi(), story)
    assert (own / "daemon.sock").read_text() == "mine"
    (line,) = logs
    assert line["event"] == "no socket: sync and status cannot ask this daemon"
    assert line["why"] == "is there already, and is no socket"


def test_when_the_daemon_ends_its_clients_hear_of_it(own: Path) -> None:
    async def story() -> None:
        daemon = FakeDaemonApi(waits=True)
        async with served(own, daemon):
            asking = asyncio.create_task(DaemonClient(own).sync(REQUEST, URL, Seen()))
            await wait_for(lambda: bool(daemon.requests))
        with pytest.raises(Interrupted, match="the daemon has ended"):
            await asking

    asyncio.run(story())


def test_a_pass_that_ends_with_the_daemon_is_still_reported(own: Path) -> None:
    async def story() -> None:
        daemon = FakeDaemonApi(waits=True, report=Report(runs=1))
        async with served(own, daemon):
            asking = asyncio.create_task(DaemonClient(own).sync(REQUEST, URL, Seen()))
            await wait_for(lambda: bool(daemon.requests))
            daemon.go_on.set()
        assert await asking == Report(runs=1)

    asyncio.run(story())


def test_no_more_are_answered_than_a_few_at_a_time(own: Path) -> None:
    daemon = FakeDaemonApi(waits=True)

    async def story(_: Path) -> None:
        client = DaemonClient(own)
        asking = [
            asyncio.create_task(client.sync(REQUEST, URL, Seen())) for _ in range(QUICK.clients)
        ]
        await wait_for(lambda: len(daemon.requests) == QUICK.clients)
        with pytest.raises(ArtifactSyncError, match="too many ask") as caught:
            await client.sync(REQUEST, URL, Seen())
        assert caught.value.exit_code is ExitCode.BUSY
        daemon.go_on.set()
        assert await asyncio.gather(*asking) == [Report()] * QUICK.clients
        assert await DaemonClient(own).status() is not None

    told(own, daemon, story)


@asynccontextmanager
async def scripted(own: Path, *lines: bytes, hold: bool = False) -> AsyncIterator[None]:
    """A server in the daemon's place that says this to whoever asks."""
    answers = set[asyncio.Task[None]]()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.writelines(lines)
        if hold:
            await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers.add(asyncio.create_task(answer(reader, writer)))

    await asyncio.to_thread(own.mkdir)
    async with await asyncio.start_unix_server(accept, own / "daemon.sock"):
        yield
    await asyncio.gather(*answers)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", "ended before it had answered: its log tells more; run the command again"),
        (b'{"is":"begun"', "ended in the midst of its answer"),
        (b"hello\n", r"cannot be understood .*: if it is of another version"),
        (b'{"is":"begun","pid":1}\n', "ended before it had answered"),
        (b"x" * (40 << 20) + b"\n", "a line that is too long"),
    ],
)
def test_a_daemon_that_does_not_answer_to_the_end_is_lost(own: Path, line: bytes, why: str) -> None:
    async def story() -> None:
        async with scripted(own, line):
            for asking in (
                DaemonClient(own).sync(REQUEST, URL, Seen()),
                DaemonClient(own).status(),
            ):
                with pytest.raises(DaemonLost, match=why) as caught:
                    await asking
                assert caught.value.exit_code is ExitCode.INCOMPLETE

    asyncio.run(story())


def test_a_silent_daemon_is_noticed_and_in_the_end_given_up(own: Path) -> None:
    seen, timeouts = Seen(), ClientTimeouts(silence=0.05, silences=3, status=0.1)

    async def story() -> None:
        async with scripted(own, hold=True):
            with pytest.raises(DaemonLost, match="silent for too long"):
                await DaemonClient(own, timeouts).sync(REQUEST, URL, seen)
            with pytest.raises(DaemonLost, match="gives no answer within 0 s"):
                await DaemonClient(own, timeouts).status()

    asyncio.run(story())
    assert seen.events == [Noticed("the daemon is silent, and may hang: its log tells more")]


def test_a_daemon_of_another_version_says_so(own: Path) -> None:
    async def story(path: Path) -> None:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b'{"v":9,"do":"sync"}\n')
        answer = await reader.read()
        assert answer.startswith(b'{"is":"error","reason":"usage","message":"the daemon speaks')
        writer.close()

    told(own, FakeDaemonApi(), story)


@pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root may use every socket")
def test_another_users_daemon_is_named(own: Path) -> None:
    async def story(path: Path) -> None:
        await asyncio.to_thread(path.chmod, 0)
        with pytest.raises(UsageError, match=r"runs as .*: run the command as that user"):
            await DaemonClient(own).status()

    told(own, FakeDaemonApi(), story)
