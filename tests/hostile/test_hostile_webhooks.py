"""Whoever can reach the web port may send whatever they like; nobody is held up or woken by it."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import socket
import struct
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from fake_daemon_api import wait_for
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from web_trial import HOOK, Raw, RecordingDaemon, Trial, request, run_complete, signed, web

from artifact_sync.web.context import WebLimits
from artifact_sync.web.deadlines import with_deadlines
from artifact_sync.web.server import affordable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from artifact_sync.web.deadlines import ConnectionDeadlines

MiB = 1024 * 1024
QUICK = WebLimits(head=0.3, body=0.3, exchange=1.0, idle=0.3, grace=0.1)
_POST = b"POST /hooks/sourcecraft HTTP/1.1\r\nHost: x\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

protocols = pytest.mark.parametrize(
    "kind",
    [with_deadlines(HttpToolsProtocol), with_deadlines(H11Protocol)],
    ids=lambda it: it.__name__,
)


def tell(folder: Path, story: Callable[[Trial], Awaitable[Any]], **about: Any) -> Any:
    async def told() -> Any:
        async with web(folder, **about) as trial:
            return await story(trial)

    with structlog.testing.capture_logs() as logs:
        result = asyncio.run(told())
    words = json.dumps(logs, default=str)
    assert "whsec" not in words
    assert signed(run_complete()) not in words
    return result


async def status_of(trial: Trial, sent: bytes) -> int:
    async with await trial.raw(sent) as client:
        return (await client.answer())[0]


BODY = run_complete()
RIGHT = signed(BODY)


def bare(**fields: str) -> bytes:
    """A request for the hook that is signed by nobody."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    head = f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n{lines}\r\n"
    return head.encode("latin-1") + BODY


WELL_FORMED = ["0" * 64, signed(BODY, b""), signed(BODY + b" "), signed(b"")]


@protocols
@pytest.mark.parametrize(
    "sent",
    [
        bare(),
        bare(X_Src_Signature=""),
        bare(X_Src_Signature=RIGHT[:-1]),
        bare(X_Src_Signature=RIGHT[:32]),
        bare(X_Src_Signature=RIGHT.upper()),
        bare(X_Src_Signature=f"sha256={RIGHT}"),
        bare(X_Src_Signature="\xe9" * 64),
        *(bare(X_Src_Signature=it) for it in WELL_FORMED),
        bare(X_Hub_Signature_256=f"sha256={RIGHT}"),
        bare(Authorization=f"Bearer {RIGHT}"),
    ],
)
def test_without_the_right_signature_nobody_is_woken(
    tmp_path: Path, kind: type[ConnectionDeadlines], sent: bytes
) -> None:
    async def story(trial: Trial) -> None:
        assert await status_of(trial, sent) == 401
        assert trial.daemon.woken == []
        formed = any(f"{it}\r\n".encode() in sent for it in WELL_FORMED)
        assert trial.counted("wrong_signature") == formed
        assert trial.counted("unsigned") == (not formed)

    tell(tmp_path, story, kind=kind)


def test_forgers_get_one_line_a_minute_in_the_log(tmp_path: Path) -> None:
    async def story() -> int:
        async with web(tmp_path) as trial:
            for seconds in (0, 1, 58.9, 0.2, 1):
                trial.clock.seconds += seconds
                for _ in range(5):
                    await status_of(trial, request(BODY, signature="0" * 64))
            return trial.counted("wrong_signature")

    with structlog.testing.capture_logs() as logs:
        assert asyncio.run(story()) == 25
    assert [it["times"] for it in logs] == [1, 15]


@protocols
def test_a_gigabyte_that_is_announced_is_refused_at_once_and_closed(
    tmp_path: Path, kind: type[ConnectionDeadlines]
) -> None:
    async def story(trial: Trial) -> None:
        for length in (str(MiB + 1), "1000000000", "999999999999999999"):
            head = f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
            async with await trial.raw(head.encode()) as client:
                status, headers, _ = await client.answer()
                assert (status, headers["connection"]) == (413, "close")
                assert await client.closed(1.0) == b""
        assert trial.counted("too_large") == 3

    tell(tmp_path, story, kind=kind)


@protocols
def test_a_client_that_waits_to_be_asked_is_not_asked_for_a_gigabyte(
    tmp_path: Path, kind: type[ConnectionDeadlines]
) -> None:
    async def story(trial: Trial) -> None:
        head = f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n"
        assert await status_of(trial, f"{head}Expect: 100-continue\r\n\r\n".encode()) == 413

    tell(tmp_path, story, kind=kind)


@protocols
def test_a_gigabyte_in_chunks_is_refused_when_it_passes_the_limit_and_takes_no_memory(
    tmp_path: Path, kind: type[ConnectionDeadlines]
) -> None:
    async def story(trial: Trial) -> int:
        head = f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nX-Src-Signature: {RIGHT}\r\n"
        chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
        async with await trial.raw(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode()) as client:
            answer = asyncio.ensure_future(client.answer())
            sent = 0
            while not answer.done() and sent < 1000 * MiB:
                client.writer.write(chunk)
                await client.writer.drain()
                await asyncio.sleep(0)
                sent += 65_536
            status, headers, _ = await answer
            assert (status, headers["connection"]) == (413, "close")
            return sent

    tracemalloc.start()
    try:
        assert tell(tmp_path, story, kind=kind) < 64 * MiB
        assert tracemalloc.get_traced_memory()[1] < 32 * MiB
    finally:
        tracemalloc.stop()


@protocols
def test_a_body_of_the_limit_is_taken_and_one_byte_more_is_not(
    tmp_path: Path, kind: type[ConnectionDeadlines]
) -> None:
    async def story(trial: Trial) -> None:
        full = BODY + b" " * (MiB - len(BODY))
        assert await status_of(trial, request(full)) == 202
        assert await status_of(trial, request(full + b" ")) == 413

    tell(tmp_path, story, kind=kind)


@protocols
def test_a_body_that_does_not_come_is_408_and_closed(
    tmp_path: Path, kind: type[ConnectionDeadlines]
) -> None:
    async def story(trial: Trial) -> None:
        async with await trial.raw(request(BODY)[:-1]) as client:
            status, headers, _ = await client.answer()
            assert (status, headers["connection"]) == (408, "close")
            assert await client.closed(1.0) == b""
        assert trial.counted("slow") == 1

    tell(tmp_path, story, kind=kind, limits=QUICK)


async def drip(client: Raw, sent: bytes) -> float:
    """Send a byte every 20 ms until the server has had enough; how long that took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    end = asyncio.ensure_future(client.closed())
    for byte in sent:
        if end.done():
            break
        client.writer.write(bytes([byte]))
        await asyncio.sleep(0.02)
    await end
    return loop.time() - began


@protocols
def test_a_body_that_drips_is_cut_off_in_the_same_time(
    tmp_path: Path, kind: type[ConnectionDeadlines]
) -> None:
    async def story(trial: Trial) -> None:
        head = f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
        async with await trial.raw(head.encode()) as client:
            assert 0.25 < await drip(client, b"x" * 1000) < 2.0
        assert trial.counted("slow") == 1

    tell(tmp_path, story, kind=kind, limits=QUICK)


@protocols
@pytest.mark.parametrize("first", [b"", HEALTH], ids=["first request", "later request"])
def test_a_head_that_drips_is_cut_off_too(
    tmp_path: Path, kind: type[ConnectionDeadlines], first: bytes
) -> None:
    async def story(trial: Trial) -> None:
        async with await trial.raw(first) as client:
            if first:
                await client.answer()
            endless = b"GET /healthz HTTP/1.1\r\n" + b"X-Drip: 1\r\n" * 1000
            assert 0.25 < await drip(client, endless) < 2.0

    tell(tmp_path, story, kind=kind, limits=WebLimits(head=0.3))


@protocols
@pytest.mark.parametrize("first", [b"", HEALTH], ids=["no request", "idle"])
def test_a_connection_that_says_nothing_is_closed(
    tmp_path: Path, kind: type[ConnectionDeadlines], first: bytes
) -> None:
    async def story(trial: Trial) -> None:
        async with await trial.raw(first) as client:
            if first:
                await client.answer()
            assert await client.closed(2.0) == b""

    tell(tmp_path, story, kind=kind, limits=QUICK)


@protocols
def test_a_client_that_does_not_read_its_answers_is_dropped(
    tmp_path: Path, kind: type[ConnectionDeadlines]
) -> None:
    async def story(trial: Trial) -> None:
        for number in range(5000):  # a long answer
            trial.metrics.counts["artifacts"][f"{number}" * 50, "downloaded"] = 1
        async with await trial.raw(b"") as client:
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            client.writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
            lost = asyncio.get_running_loop().create_task(broken(client))
            await asyncio.wait_for(lost, 10)

    tell(tmp_path, story, kind=kind, limits=QUICK)


async def broken(client: Raw) -> None:
    """Write now and then, until the connection is gone."""
    while not client.writer.transport.is_closing():
        client.writer.write(b"\r\n")
        await asyncio.sleep(0.05)


@protocols
@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\nX-Huge: " + b"x" * 50 * MiB,
        b"GET /healthz HTTP/1.1\r\n" + b"X-Many: 1\r\n" * 1_000_000,
        b"GET /" + b"x" * 50 * MiB,
    ],
    ids=["one huge field", "many fields", "a huge path"],
)
def test_a_huge_head_is_refused_before_it_takes_memory(
    tmp_path: Path, kind: type[ConnectionDeadlines], head: bytes
) -> None:
    async def story(trial: Trial) -> None:
        tracemalloc.start()
        try:
            async with await trial.raw(b"") as client:
                answer = asyncio.ensure_future(client.answer())
                for at in range(0, len(head), 65_536):
                    client.writer.write(head[at : at + 65_536])
                    await asyncio.sleep(0)
                    if answer.done():
                        break
                assert (await answer)[0] in {400, 431}
            assert tracemalloc.get_traced_memory()[1] < 8 * MiB
        finally:
            tracemalloc.stop()
        assert await status_of(trial, HEALTH) == 200

    tell(tmp_path, story, kind=kind)


@protocols
def test_endless_trailers_are_broken_off(tmp_path: Path, kind: type[ConnectionDeadlines]) -> None:
    async def story(trial: Trial) -> None:
        head = f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        async with await trial.raw(head.encode()) as client:
            end = asyncio.ensure_future(client.closed())
            for _ in range(1000):
                client.writer.write(b"X-Trailer: 1\r\n" * 1000)
                await asyncio.sleep(0)
                if end.done():
                    break
            await end
        assert await status_of(trial, HEALTH) == 200

    tell(tmp_path, story, kind=kind)


@protocols
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[" * MiB,
        b'{"a":' * 200_000,
        b'{"header": {"type": "run.complete"}}',
        b'{"header": {"type": "run.complete"}, "repository": {"slug": "\xff"}}',
        run_complete(org="../.."),
        run_complete(repo="a\x1b[31m"),
        run_complete(run="../../etc"),
    ],
)
def test_what_is_signed_but_makes_no_sense_is_400(
    tmp_path: Path, kind: type[ConnectionDeadlines], body: bytes
) -> None:
    async def story(trial: Trial) -> None:
        assert await status_of(trial, request(body)) == 400
        assert trial.daemon.woken == []
        assert trial.counted("malformed") == 1
        assert await status_of(trial, request(BODY)) == 202

    tell(tmp_path, story, kind=kind)


@protocols
@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x00" * 1000,
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
        _POST + b"Content-Length: -1\r\n\r\n",
        _POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
        _POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        _POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nBad\x00Name: 1\r\n\r\n",
    ],
    ids=range(13),
)
def test_what_is_not_http_is_refused_and_closed(
    tmp_path: Path, kind: type[ConnectionDeadlines], sent: bytes
) -> None:
    async def story(trial: Trial) -> None:
        async with await trial.raw(sent, eof=True) as client:
            said = await client.closed()
            assert said == b"" or said[9:12] in {b"400", b"404", b"405", b"413"}, said[:60]
        assert await status_of(trial, HEALTH) == 200
        assert trial.daemon.woken == []

    tell(tmp_path, story, kind=kind, limits=QUICK)


@protocols
def test_length_and_chunks_together_smuggle_nothing(
    tmp_path: Path, kind: type[ConnectionDeadlines]
) -> None:
    async def story(trial: Trial) -> None:
        head = f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
        smuggled = b"0\r\n\r\n" + request(BODY, signature="0" * 64)
        sent = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + smuggled
        async with await trial.raw(sent, eof=True) as client:
            await client.closed()
        assert trial.daemon.woken == []

    tell(tmp_path, story, kind=kind, limits=QUICK)


@protocols
def test_a_body_that_is_cut_short_wakes_nobody(
    tmp_path: Path, kind: type[ConnectionDeadlines]
) -> None:
    async def story(trial: Trial) -> None:
        async with await trial.raw(request(BODY)[:-5]) as client:
            client.writer.close()
        while not trial.counted("cut"):  # noqa: ASYNC110 - counters tell nobody
            await asyncio.sleep(0.01)
        assert trial.daemon.woken == []

    tell(tmp_path, story, kind=kind)


@protocols
def test_requests_in_one_packet_are_answered_in_order(
    tmp_path: Path, kind: type[ConnectionDeadlines]
) -> None:
    async def story(trial: Trial) -> None:
        forged = request(BODY, signature="0" * 64)
        events = b"".join(request(run_complete(str(it), event=str(it))) for it in range(50))
        async with await trial.raw(HEALTH + forged + events + HEALTH) as client:
            statuses = [(await client.answer())[0] for _ in range(53)]
        assert statuses == [200, 401, *[202] * 50, 200]
        assert trial.daemon.woken == [("acme/app", str(it)) for it in range(50)]

    tell(tmp_path, story, kind=kind)


@protocols
def test_a_body_that_nobody_reads_is_not_taken_for_a_request(
    tmp_path: Path, kind: type[ConnectionDeadlines]
) -> None:
    async def story(trial: Trial) -> None:
        hidden = request(BODY)
        head = f"POST /nope HTTP/1.1\r\nHost: x\r\nContent-Length: {len(hidden)}\r\n\r\n"
        async with await trial.raw(head.encode()) as client:
            assert (await client.answer())[0] == 404
            client.writer.write(hidden)
            assert await client.closed() == b""
        assert trial.daemon.woken == []

    tell(tmp_path, story, kind=kind)


@protocols
def test_replays_wake_nobody_a_second_time(tmp_path: Path, kind: type[ConnectionDeadlines]) -> None:
    async def story(trial: Trial) -> None:
        sent = request(BODY)
        first = await status_of(trial, sent)
        others = await asyncio.gather(*(status_of(trial, sent) for _ in range(50)))
        assert [first, *others] == [202] * 51
        assert trial.daemon.woken == [("acme/app", "7")]
        assert trial.counted("repeat") == 50

    tell(tmp_path, story, kind=kind)


@protocols
def test_hundreds_of_events_at_once_are_all_answered(
    tmp_path: Path, kind: type[ConnectionDeadlines]
) -> None:
    async def story(trial: Trial) -> None:
        events = [request(run_complete(str(it), event=str(it))) for it in range(300)]
        statuses = await asyncio.gather(*(status_of(trial, it) for it in events))
        assert statuses == [202] * 300
        assert sorted(trial.daemon.woken) == sorted(("acme/app", str(it)) for it in range(300))
        assert trial.counted("accepted") == 300

    tell(tmp_path, story, kind=kind)


@protocols
def test_many_slow_clients_do_not_keep_a_quick_one_out(
    tmp_path: Path, kind: type[ConnectionDeadlines]
) -> None:
    async def story(trial: Trial) -> None:
        parts = (b"GET /healthz HTTP/1.1\r\n", request(BODY)[:-1], b"")
        slow = [await trial.raw(parts[it % 3]) for it in range(200)]
        try:
            assert await asyncio.wait_for(status_of(trial, request(BODY)), 8) == 202
        finally:
            for client in slow:
                await client.__aexit__()

    few = WebLimits(connections=16, grace=0.05)
    tell(tmp_path, story, kind=kind, limits=few)


@protocols
def test_clients_that_are_too_many_wait_until_there_is_room(
    tmp_path: Path, kind: type[ConnectionDeadlines]
) -> None:
    async def story(trial: Trial) -> None:
        first, *_ = others = [await trial.raw(HEALTH) for _ in range(4)]
        for client in others:
            await client.answer()
        late = asyncio.ensure_future(status_of(trial, HEALTH))
        done, _ = await asyncio.wait([late], timeout=0.3)
        assert not done
        await first.__aexit__()
        assert await late == 200
        for client in others:
            await client.__aexit__()

    tell(tmp_path, story, kind=kind, limits=WebLimits(connections=4, grace=60.0))


@protocols
@pytest.mark.parametrize("path", ["/api/status", "/readyz"])
def test_nothing_is_left_of_clients_that_ask_and_hang_up(
    tmp_path: Path, kind: type[ConnectionDeadlines], path: str
) -> None:
    asked = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    free = asyncio.Event()

    class Stuck(RecordingDaemon):
        async def status(self) -> dict[str, Any]:
            await free.wait()
            return {}

        async def unready(self) -> tuple[str, ...]:
            await free.wait()
            return ()

    async def story(trial: Trial) -> None:
        for _ in range(50):
            async with await trial.raw(asked):
                await asyncio.sleep(0.005)
        await wait_for(lambda: len(asyncio.all_tasks()) <= 3)  # this, accept, and one question
        assert await status_of(trial, HEALTH) == 200
        free.set()
        await wait_for(lambda: len(asyncio.all_tasks()) == 2)

    tell(tmp_path, story, kind=kind, daemon=Stuck())


@protocols
def test_connections_leave_most_descriptors_to_the_mirror(
    tmp_path: Path, kind: type[ConnectionDeadlines], few_descriptors: int
) -> None:
    async def story(trial: Trial) -> None:
        clients = [await trial.raw(HEALTH) for _ in range(few_descriptors // 4)]
        for client in clients:
            await client.answer()
        late = asyncio.ensure_future(status_of(trial, HEALTH))
        done, _ = await asyncio.wait([late], timeout=0.3)
        assert not done
        for client in clients:
            await client.__aexit__()
        assert await late == 200

    tell(tmp_path, story, kind=kind, limits=WebLimits(grace=60.0))


@pytest.fixture(autouse=True)
def quick_collections() -> Iterator[None]:
    """Collections look at what a test makes, and not at all that the process has imported."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def few_descriptors() -> Iterator[int]:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, before[1]))
    yield 200
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    ("descriptors", "connections"), [(None, 256), (1 << 20, 256), (64, 16), (3, 1)]
)
def test_connections_are_at_most_a_quarter_of_the_descriptors(
    descriptors: int | None, connections: int
) -> None:
    assert affordable(256, descriptors) == connections


def _left(kind: type[ConnectionDeadlines]) -> bool:
    """Whether there is a connection yet, or a task besides the caller's and the listener's."""
    gc.collect()
    tasks = [it for it in asyncio.all_tasks() if "accept" not in repr(it.get_coro())]
    connections = [it for it in gc.get_objects() if type(it) is kind]
    return connections != [] or tasks != [asyncio.current_task()]


@protocols
def test_nothing_is_left_of_clients_that_have_gone(
    tmp_path: Path, kind: type[ConnectionDeadlines]
) -> None:
    async def story(trial: Trial) -> None:
        for sent in (HEALTH, request(BODY), request(BODY)[:-1], b"GET /he", b"\x00\r\n\r\n"):
            async with await trial.raw(sent):
                await asyncio.sleep(0.01)
        async with await trial.raw(HEALTH) as client:
            await client.answer()
        async with asyncio.timeout(10):
            while _left(kind):  # noqa: ASYNC110 - what ends late tells nobody
                await asyncio.sleep(0.05)

    tell(tmp_path, story, kind=kind)


_UPGRADE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: "
BROKEN_OFF = {
    "garbage behind a request": HEALTH + b"\x00\xff garbage\r\n\r\n",
    "garbage behind a slow request": b"GET /api/status HTTP/1.1\r\nHost: x\r\n\r\n\x00\r\n\r\n",
    "garbage behind many requests": HEALTH * 20 + b"\x00\r\n\r\n",
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "another version": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "half a head": b"GET /healthz HTTP/1.1\r\nHos",
    "half a body": request(BODY)[:-5],
    "a body and garbage in the next": request(BODY, signature="0" * 64) + b"\x00",
    "no answer is read": HEALTH * 200,
    "an upgrade": _UPGRADE + b"websocket\r\n\r\n",
    "an upgrade and more": _UPGRADE + b"h2c\r\n\r\n" + b"\x00" * 100,
    "chunks that are none": _POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a chunk that ends too soon": _POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    "a wrong length": _POST + b"Content-Length: -1\r\n\r\n",
    "a target that is none": b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n" + HEALTH,
    "CONNECT": b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n" + HEALTH,
    "a head without end": b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000,
    "nothing": b"",
}
"""What a client may send before it ends a connection."""


@protocols
@pytest.mark.parametrize("end", ["closed", "half closed", "reset"])
@pytest.mark.parametrize("sent", BROKEN_OFF.values(), ids=BROKEN_OFF.keys())
def test_however_a_connection_ends_the_log_has_one_line_at_most(
    tmp_path: Path,
    kind: type[ConnectionDeadlines],
    sent: bytes,
    end: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Guards against: clients that write into the log, tracebacks above all."""

    class Slow(RecordingDaemon):
        async def status(self) -> dict[str, Any]:
            await asyncio.sleep(0.02)
            return {}

    async def one(trial: Trial) -> None:
        async with await trial.raw(sent, eof=end == "half closed") as client:
            await client.writer.drain()
            if end == "reset":
                raw = client.writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif end == "half closed":
                await client.closed()

    async def story() -> list[Any]:
        with structlog.testing.capture_logs() as logs:
            async with web(tmp_path, daemon=Slow(), kind=kind, limits=QUICK) as trial:
                for _ in range(5):
                    outcomes = [asyncio.ensure_future(one(trial)) for _ in range(4)]
                    await asyncio.wait(outcomes)
                    assert not [it for it in outcomes if isinstance(it.exception(), TimeoutError)]
                await asyncio.sleep(0.1)
                assert await status_of(trial, HEALTH) == 200
        gc.collect()  # tasks whose error nobody has fetched are told by now
        return [it for it in logs if it["log_level"] != "debug"]

    with caplog.at_level(logging.INFO):
        logs = asyncio.run(story())
    mine = [it for it in caplog.records if it.levelno >= logging.WARNING]
    assert len(logs) + len(mine) <= 1, (logs, [it.getMessage() for it in mine])
    assert not [it for it in [*logs, *mine] if getattr(it, "exc_info", None)]
