"""Whoever plays with the daemon's socket harms nobody: rubbish, floods, and clients that hang."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import stat
import sys
import tempfile
import time
import tracemalloc
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fake_daemon_api import QUICK, REQUEST, URL, FakeDaemonApi, served, wait_for

from artifact_sync.daemon.control.client import DaemonClient
from artifact_sync.daemon.control.protocol import LONGEST_REQUEST, DaemonBusy, sync_request
from artifact_sync.daemon.control.server import ConnectionLimits
from artifact_sync.domain.errors import ArtifactSyncError, UsageError
from artifact_sync.domain.events import BytesArrived, Event, Noticed
from artifact_sync.domain.model import ArtifactKey
from artifact_sync.domain.report import Report

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")

ASK = sync_request(REQUEST, URL)
KEY = ArtifactKey("acme", "rocket", "7", "ci", "build", "cube", "a.tar")


class Silent:
    def notify(self, event: Event) -> None:
        del event


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / ".artifact-sync"


def beside(
    own: Path,
    daemon: FakeDaemonApi,
    story: Callable[[Path], Awaitable[None]],
    limits: ConnectionLimits = QUICK,
) -> None:
    """Run a story beside a control; at its end it serves as it should, and nothing is left."""

    async def whole() -> None:
        async with served(own, daemon, limits) as path:
            await story(path)
            daemon.go_on.set()
            await welcomed(own)
            assert await DaemonClient(own).sync(REQUEST, URL, Silent()) == Report()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    before = descriptors()
    asyncio.run(whole())
    gc.collect()
    assert descriptors() - before == set()


async def welcomed(own: Path) -> None:
    """Wait until those who have left are not counted any more."""
    end = time.monotonic() + 10
    while True:
        try:
            assert await DaemonClient(own).status() is not None
        except DaemonBusy:
            assert time.monotonic() < end, "the daemon stays busy"
            await asyncio.sleep(0.01)
        else:
            return


def descriptors() -> set[tuple[str, str]]:
    """What the process has open, by number and by what it is.

    No mere count: the threads of the client in Rust close what an earlier test has left to them
    at a time of their own, and that must neither fail a test nor make up for a leak.
    """
    found = set()
    for path in Path("/proc/self/fd").glob("*"):
        with suppress(OSError):  # that of the listing itself, and what is closed meanwhile
            found.add((path.name, str(path.readlink())))
    return found


async def said(path: Path, request: bytes, *, end: bool = False) -> list[dict[str, Any]]:
    """Every line that the daemon answers before it hangs up."""
    reader, writer = await asyncio.open_unix_connection(path)
    with suppress(ConnectionError):
        writer.write(request)
        if end:
            writer.write_eof()
        await writer.drain()
    lines = bytearray()
    with suppress(ConnectionError):  # of what was sent beyond the limit
        while part := await reader.read(1 << 16):
            lines += part
    writer.close()
    return [json.loads(line) for line in lines.splitlines()]


@pytest.mark.parametrize(
    "request_",
    [
        b"\n",
        b"\0" * 100 + b"\n",
        b"GET /api/status HTTP/1.1\r\nHost: x\r\n\r\n",
        b'{"v":1,"do":"sync"}\n',
        b'{"v":1,"do":"sync","base_url":"https://api.example","repos":[{"name":"/etc/passwd"}]}\n',
        b'{"v":1,"do":"sync","base_url":"https://api.example","repos":[{"name":"a/.."}]}\n',
        pytest.param(b'{"v":1,"do":"status","v":' + b"9" * 10_000 + b"}\n", id="big number"),
        pytest.param(b'{"v":1,"do":"status","x":' + b"[" * 500_000 + b"\n", id="deep"),
        pytest.param(os.urandom(1000).replace(b"\n", b"") + b"\n", id="noise"),
    ],
)
def test_rubbish_gets_an_error_and_nothing_else(own: Path, request_: bytes) -> None:
    daemon = FakeDaemonApi()

    async def story(path: Path) -> None:
        (answer,) = await said(path, request_)
        assert (answer["is"], answer["reason"]) == ("error", "usage")
        assert len(answer["message"]) < 300
        assert daemon.requests == []

    beside(own, daemon, story)


def test_a_request_without_an_end_is_refused_at_its_limit(own: Path) -> None:
    async def story(path: Path) -> None:
        answers = await said(path, b"x" * (3 * LONGEST_REQUEST))
        assert answers in ([], [{"is": "error", "reason": "usage", "message": TOO_LONG}])

    beside(own, FakeDaemonApi(), story)


TOO_LONG = f"a request has at most {LONGEST_REQUEST} bytes"


def test_a_request_that_is_just_too_long_is_refused(own: Path) -> None:
    async def story(path: Path) -> None:
        (answer,) = await said(path, b"x" * (LONGEST_REQUEST + 1))
        assert answer["message"] == TOO_LONG

    beside(own, FakeDaemonApi(), story)


def test_a_request_that_ends_in_the_midst_is_refused(own: Path) -> None:
    async def story(path: Path) -> None:
        (answer,) = await said(path, ASK[:30], end=True)
        assert answer["message"] == "the request ends in the midst of its line"
        assert await said(path, b"", end=True) == []

    beside(own, FakeDaemonApi(), story)


def test_a_client_that_says_half_of_its_request_and_waits_is_dropped(own: Path) -> None:
    async def story(path: Path) -> None:
        begun = time.monotonic()
        for half in (b"", ASK[:-1]):
            assert await said(path, half) == []
        assert time.monotonic() - begun < 30

    beside(own, FakeDaemonApi(), story)


def test_a_client_that_drips_its_request_is_dropped(own: Path) -> None:
    async def story(path: Path) -> None:
        reader, writer = await asyncio.open_unix_connection(path)
        for number in range(1000):
            writer.write(ASK[number : number + 1])
            await asyncio.sleep(0.01)
            if reader.at_eof() or writer.is_closing():
                break
        writer.close()
        assert number < 200

    daemon = FakeDaemonApi()
    beside(own, daemon, story)
    assert len(daemon.requests) == 1  # that of ``beside``


def test_a_client_that_ends_its_side_still_gets_its_answer(own: Path) -> None:
    async def story(path: Path) -> None:
        begun, result = await said(path, ASK, end=True)
        assert (begun["is"], result["is"]) == ("begun", "result")

    beside(own, FakeDaemonApi(), story, ConnectionLimits(keepalive=10))


def test_more_behind_the_request_is_not_read(own: Path) -> None:
    async def story(path: Path) -> None:
        answers = await said(path, ASK + ASK + b"x" * 100_000)
        assert [it["is"] for it in answers if it["is"] != "alive"] == ["begun", "result"]
        assert len(daemon.requests) == 1

    daemon = FakeDaemonApi()
    beside(own, daemon, story)


def test_a_hundred_clients_at_once_are_answered_or_refused(own: Path) -> None:
    daemon = FakeDaemonApi(waits=True)

    async def story(_: Path) -> None:
        asking = [
            asyncio.create_task(DaemonClient(own).sync(REQUEST, URL, Silent())) for _ in range(100)
        ]
        await wait_for(lambda: sum(it.done() for it in asking) == 100 - QUICK.clients)
        daemon.go_on.set()
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
        assert sum(it == Report() for it in outcomes) == QUICK.clients
        refused = [it for it in outcomes if isinstance(it, ArtifactSyncError)]
        assert {str(it) for it in refused} == {
            "too many ask the daemon at the same time: try again in a while"
        }
        assert len(refused) == 100 - QUICK.clients

    beside(own, daemon, story, replace(QUICK, request=10))


def test_five_hundred_that_say_nothing_are_gone_after_a_while(own: Path) -> None:
    async def story(path: Path) -> None:
        clients = []
        for _ in range(500):
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(0)
            while True:
                try:
                    client.connect(str(path))
                    break
                except BlockingIOError:
                    await asyncio.sleep(0.001)
            clients.append(client)
        await wait_for(lambda: len(descriptors() - before) < 520)
        for client in clients:
            client.close()

    before = descriptors()
    beside(own, FakeDaemonApi(), story)


def test_those_that_say_nothing_count_as_long_as_they_are_there(own: Path) -> None:
    async def story(path: Path) -> None:
        silent = [await asyncio.open_unix_connection(path) for _ in range(QUICK.clients)]
        with pytest.raises(DaemonBusy):
            await DaemonClient(own).status()
        for _, writer in silent:
            writer.close()

    beside(own, FakeDaemonApi(), story, ConnectionLimits(request=60))


def test_an_answer_is_waited_for_until_it_was_taken_however_big(own: Path) -> None:
    async def last_line(number: int) -> str:
        daemon, place = FakeDaemonApi([Noticed("x" * 1000)] * (40 * number)), own / f"{number}"
        async with served(place, daemon) as path:
            reader, writer = await asyncio.open_unix_connection(path)
            writer.transport.pause_reading()
            writer.write(ASK)
            await wait_for(lambda: daemon.finished == 1)
            await asyncio.sleep(0.3)  # what the system takes was taken, and the rest waits
            writer.transport.resume_reading()
            answer = await reader.read()
            writer.close()
        return str(json.loads(answer.splitlines()[-1])["is"])

    async def whole() -> list[str]:
        return await asyncio.gather(*map(last_line, range(1, 16)))

    assert asyncio.run(whole()) == ["result"] * 15


def test_who_never_takes_its_answer_is_hung_up_on(own: Path) -> None:
    daemon = FakeDaemonApi([Noticed("x" * 1000)] * 2000)

    async def story(path: Path) -> None:
        before = descriptors()
        reader, writer = await asyncio.open_unix_connection(path, limit=1024)
        writer.write(ASK)
        await wait_for(lambda: daemon.finished == 1)
        writer.transport.pause_reading()
        await wait_for(lambda: len(descriptors() - before) == 1)  # the client's own
        del reader
        writer.close()

    beside(own, daemon, story, ConnectionLimits(send=1.0))


def test_clients_that_leave_at_any_moment_leave_nothing_behind(own: Path) -> None:
    daemon = FakeDaemonApi([Noticed("x" * 1000)] * 100)

    async def story(path: Path) -> None:
        for taken in (0, 1, 100, 10_000):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(ASK)
            if taken:
                await reader.readexactly(taken)
            writer.transport.abort()
        await wait_for(lambda: daemon.finished == 4)

    beside(own, daemon, story)


def test_who_asks_and_leaves_again_and_again_does_not_heap_up_passes(own: Path) -> None:
    daemon = FakeDaemonApi(waits=True)

    async def story(path: Path) -> None:
        for _ in range(60):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(ASK)
            await reader.readline()
            writer.transport.abort()
            await welcomed(own)
        assert len(daemon.requests) == QUICK.clients
        daemon.go_on.set()
        await wait_for(lambda: daemon.finished == len(daemon.requests))

    beside(own, daemon, story)


def test_memory_does_not_grow_with_a_client_that_does_not_read(own: Path) -> None:
    daemon = FakeDaemonApi(waits=True)

    async def story(path: Path) -> None:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(ASK)
        await reader.readline()
        writer.transport.pause_reading()
        await wait_for(lambda: bool(daemon.observers))
        observer = daemon.observers[0]
        tracemalloc.start()
        for number in range(100_000):
            observer.notify(BytesArrived(KEY._replace(local_path=f"{number}"), 1))
            observer.notify(Noticed(f"file {number} " + "x" * 200))
            if number % 1000 == 0:
                await asyncio.sleep(0.001)
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert grown < 2_000_000
        daemon.go_on.set()
        await wait_for(lambda: daemon.finished == 1)  # its pass was carried out all the same
        writer.transport.resume_reading()
        rest = await reader.read()
        assert b'"result"' not in rest  # it was let go
        writer.close()

    beside(own, daemon, story)


def test_a_slow_reader_gets_all_that_it_is_not_too_slow_for(own: Path) -> None:
    daemon = FakeDaemonApi([Noticed(f"{n} " + "x" * 500) for n in range(5000)])

    async def story(path: Path) -> None:
        reader, writer = await asyncio.open_unix_connection(path, limit=1024)
        writer.write(ASK)
        lines = bytearray()
        while part := await reader.read(20_000):
            lines += part
            await asyncio.sleep(0.001)
        kinds = [json.loads(line)["is"] for line in lines.splitlines()]
        assert kinds[0] == "begun"
        assert kinds.count("noticed") == 5000
        assert kinds[-1] == "result"
        writer.close()

    beside(own, daemon, story)


@pytest.mark.root
@pytest.mark.skipif(getattr(os, "geteuid", int)() != 0, reason="only root can be another user")
def test_another_user_is_refused_even_where_the_modes_would_let_him_in() -> None:
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / ".artifact-sync"

        async def whole() -> None:
            async with served(own, FakeDaemonApi()) as path:
                await asyncio.to_thread(os.chmod, folder, 0o755)
                denied = await asyncio.to_thread(as_nobody, own)
                assert (
                    denied == f"the daemon of {folder} runs as root: run the command as that user"
                )
                for place, mode in ((own, 0o755), (path, 0o666)):
                    await asyncio.to_thread(os.chmod, place, mode)
                refused = await asyncio.to_thread(as_nobody, own)
                assert refused == "the daemon answers its own user and root only"

        asyncio.run(whole())


def as_nobody(own: Path) -> str:
    """What a user without rights is told who asks for the status."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            asyncio.run(DaemonClient(own).status())
        except UsageError as error:
            os.write(write, str(error).encode())
        except BaseException as error:  # noqa: BLE001 - whatever it is, the parent shall see it
            os.write(write, repr(error).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        words = answer.read().decode()
    os.waitpid(child, 0)
    return words


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the folder alone keeps others out")
def test_the_mode_is_tight_from_the_first_instant_whatever_the_umask(own: Path) -> None:
    modes = []

    def look(event: str, arguments: tuple[object, ...]) -> None:
        """Python calls this before it changes a mode; a hook cannot be taken away again."""
        if event == "os.chmod" and arguments[0] == "daemon.sock" and not modes:
            modes.append(stat.S_IMODE((own / "daemon.sock").lstat().st_mode))

    async def whole() -> None:
        async with served(own, FakeDaemonApi()):
            pass

    sys.addaudithook(look)
    before = os.umask(0)
    try:
        asyncio.run(whole())
    finally:
        os.umask(before)
    assert modes == [0o600]
