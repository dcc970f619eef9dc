"""The API's quick transport: which connections are kept, and what is heard of broken ones.

What a client of the API relies on beyond this, the source's contract tests over it.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import sys
from contextlib import ExitStack

import httpx
import pytest
from scripted_server import answer, serving

from artifact_sync.source.transport import clients
from artifact_sync.source.transport.clients import TransportSettings, api_client
from artifact_sync.source.transport.direct import DirectTransport
from artifact_sync.source.transport.tls import trust_nobody


def talk(script, story, *, most: int = 4, keep: float = 30.0, seconds: float | None = 5.0):
    """What a story comes to that is given a client and the server."""

    async def main():
        transport = DirectTransport(trust_nobody(), most, keep)
        timeout = httpx.Timeout(seconds, pool=None)
        async with (
            serving(script) as server,
            httpx.AsyncClient(transport=transport, timeout=timeout) as client,
        ):
            return await asyncio.wait_for(story(client, server), 20)

    return asyncio.run(main())


def replies(*bodies: bytes):
    """Answers in turn, and the port that each request came from."""
    ports: list[int] = []
    left = iter(bodies)

    async def script(_, writer) -> None:
        ports.append(writer.get_extra_info("peername")[1])
        writer.write(next(left))

    return script, ports


@pytest.mark.parametrize(
    "body",
    [
        answer(b"some"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + answer(b"some"),
    ],
)
def test_a_connection_whose_answer_was_read_is_used_again(body: bytes) -> None:
    script, ports = replies(body, body)

    async def story(client, server):
        return [(await client.get(server.origin)).content for _ in range(2)]

    assert talk(script, story) == [b"some", b"some"]
    assert len(set(ports)) == 1


@pytest.mark.parametrize("closing", [answer(b"some", "200 OK", "Connection: close"), None])
def test_a_connection_that_the_server_closes_is_not_used_again(closing: bytes | None) -> None:
    ports: list[int] = []
    closed = asyncio.Event()

    async def script(_, writer) -> None:
        ports.append(writer.get_extra_info("peername")[1])
        writer.write(closing or answer(b"some"))
        writer.close()
        await writer.wait_closed()
        closed.set()

    async def story(client, server):
        first = await client.get(server.origin)
        await closed.wait()
        for _ in range(3):  # turns of the event loop, in which the client hears of it
            await asyncio.sleep(0)
        return first.content, (await client.get(server.origin)).content

    assert talk(script, story) == (b"some", b"some")
    assert len(set(ports)) == 2


def test_a_connection_that_was_idle_for_too_long_is_not_used_again() -> None:
    script, ports = replies(answer(b"a"), answer(b"b"))

    async def story(client, server):
        return [(await client.get(server.origin)).content for _ in range(2)]

    assert talk(script, story, keep=0.0) == [b"a", b"b"]
    assert len(set(ports)) == 2


def test_an_answer_that_is_given_up_takes_its_connection_with_it() -> None:
    script, ports = replies(answer(b"part", length=1000), answer(b"whole"))

    async def story(client, server):
        async with client.stream("GET", server.origin) as response:
            part = await anext(response.aiter_raw())
        await server.closed.wait()
        return part, (await client.get(server.origin)).content

    assert talk(script, story, most=1) == (b"part", b"whole")
    assert len(set(ports)) == 2


def test_no_more_requests_than_connections_are_under_way() -> None:
    under_way, most = [0], [0]

    async def script(_, writer) -> None:
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        await asyncio.sleep(0.02)
        under_way[0] -= 1
        writer.write(answer(b"x"))

    async def story(client, server):
        return await asyncio.gather(*(client.get(server.origin) for _ in range(8)))

    assert len(talk(script, story, most=2)) == 8
    assert most == [2]


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"", httpx.RemoteProtocolError),
        (b"\x16\x03\x01", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, httpx.RemoteProtocolError),
        (answer(b"short", length=10), httpx.RemoteProtocolError),
        (None, httpx.ReadTimeout),
    ],
)
def test_what_is_no_answer_is_httpxs_error_and_frees_its_place(sent, error) -> None:
    async def script(request, writer) -> None:
        if request.target == "/well":
            writer.write(answer(b"well"))
        elif sent is not None:
            writer.write(sent)
            writer.close()

    async def story(client, server):
        with pytest.raises(error):
            await client.get(f"{server.origin}/ill")
        return (await client.get(f"{server.origin}/well")).content

    assert talk(script, story, most=1, seconds=1.0) == b"well"


def test_who_is_cancelled_frees_the_place() -> None:
    asked = asyncio.Event()

    async def script(request, writer) -> None:
        if request.target == "/well":
            writer.write(answer(b"well"))
        asked.set()

    async def story(client, server):
        waiting = asyncio.ensure_future(client.get(f"{server.origin}/hang"))
        await asked.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return (await client.get(f"{server.origin}/well")).content

    assert talk(script, story, most=1, seconds=None) == b"well"


def test_where_nobody_listens_there_is_no_connection() -> None:
    async def story(client, _):
        with pytest.raises(httpx.ConnectError):
            await client.get("http://127.0.0.1:9/")

    talk(replies()[0], story)


def test_a_context_that_trusts_nobody_refuses_every_certificate() -> None:
    context = trust_nobody()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.get_ca_certs() == []


@pytest.mark.parametrize(
    ("proxy", "environ", "direct"),
    [
        (None, {}, True),
        ("http://127.0.0.1:9", {}, False),
        (None, {"http_proxy": "http://127.0.0.1:9"}, False),
    ],
)
def test_proxies_are_for_httpxs_own_transport(monkeypatch, proxy, environ, direct) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    script, _ = replies(answer(b"direct"))

    async def main() -> bool:
        async with serving(script) as server:
            settings = TransportSettings(server.origin, proxy=proxy)
            async with api_client(settings, trust_nobody()) as client:
                try:
                    return (await client.get("/")).content == b"direct"
                except httpx.ProxyError:
                    return False

    assert asyncio.run(main()) is direct
    settings = TransportSettings("http://127.0.0.1:9", proxy=proxy)
    assert clients.uses_tls(settings) is not direct


@pytest.mark.filterwarnings("error")
def test_a_cancellation_at_any_moment_leaves_no_connection_open() -> None:
    """A kind: asyncio forgets a socket that is connected while its waiter is cancelled."""
    script, _ = replies(*[answer(b"some")] * 40)
    forgotten: list[str] = []

    async def story(client, server):
        for turns in range(40):
            asked = asyncio.create_task(client.get(server.origin))
            for _ in range(turns):
                await asyncio.sleep(0)
            asked.cancel()
            await asyncio.wait([asked])

    hook, sys.unraisablehook = sys.unraisablehook, lambda it: forgotten.append(str(it.exc_value))
    try:
        talk(script, story)
        gc.collect()
    finally:
        sys.unraisablehook = hook
    assert forgotten == []


def test_a_connection_that_comes_too_late_is_given_up() -> None:
    """A kind: what is left to itself so that it can be closed must not go on for minutes."""

    async def main() -> set[asyncio.Task[None]]:
        transport = DirectTransport(trust_nobody(), 4, 30.0)
        timeout = httpx.Timeout(5.0, connect=0.1, pool=None)
        async with httpx.AsyncClient(transport=transport, timeout=timeout) as client:
            with pytest.raises(httpx.ConnectTimeout):
                await client.get(f"http://127.0.0.1:{port}")
            for _ in range(5):
                await asyncio.sleep(0)  # what was cancelled ends
            return asyncio.all_tasks() - {asyncio.current_task()}

    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as stack:
        port = full.getsockname()[1]
        for _ in range(4):  # nobody accepts, so that there is room for one of them
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(("127.0.0.1", port))
        assert asyncio.run(main()) == set()
