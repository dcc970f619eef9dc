"""The short question about a list of runs: asked as the API's client asks, and believed less."""

from __future__ import annotations

import asyncio
import json
from random import Random

import pytest
from scripted_server import FakeClock, answer, answer_json, serving

from artifact_sync.domain.model import RepoName
from artifact_sync.source.api.probe import NoBriefAnswer, Service, brief_mark, goes_straight
from artifact_sync.source.api.question import ApiContext, ApiPolicy
from artifact_sync.source.api.sourcecraft import SourceCraft
from artifact_sync.source.transport.clients import TransportSettings, api_client
from artifact_sync.source.transport.tls import trusted

REPO = RepoName("org", "re%po~x")
TOKEN = "pv1_t0psecret"
LIST = {"runs": [{"slug": "1"}], "next_page_token": ""}
BODY = json.dumps(LIST).encode()


def chunked(*parts: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x;x=y\r\n%s\r\n" % (len(it), it) for it in parts) + end


def asked(reply: bytes, prefix: str = "", token: str = TOKEN, *, close: bool = True):
    """What the short question comes to, and the requests that the server has seen."""

    async def script(_, writer) -> None:
        writer.write(reply)
        if close:
            writer.close()

    async def main():
        async with serving(script) as server:
            service = Service(server.origin + prefix, token)
            try:
                told = await asyncio.to_thread(brief_mark, service, REPO)
            except NoBriefAnswer:
                told = None
            return told, server.requests

    return asyncio.run(main())


@pytest.mark.parametrize("prefix", ["", "/api/v1", "/api/v1/"])
@pytest.mark.parametrize("token", [TOKEN, ""])
def test_it_asks_what_the_client_asks_and_hears_the_same_mark(prefix: str, token: str) -> None:
    async def script(_, writer) -> None:
        writer.write(answer_json(LIST))

    async def main():
        async with serving(script) as server:
            settings = TransportSettings(server.origin + prefix, token)
            manners = ApiPolicy(token=token)
            async with api_client(settings, trusted(None).context()) as client:
                source = SourceCraft(client, manners, ApiContext(FakeClock(), Random(1)))  # noqa: S311 - jitter
                mark = await source.mark(REPO)
            brief = await asyncio.to_thread(
                brief_mark, Service(server.origin + prefix, token), REPO
            )
            return mark, brief, server.requests

    mark, brief, (long, short) = asyncio.run(main())
    assert mark == brief
    assert short.line == long.line
    kept = {**long.headers, "connection": "close"}
    assert short.headers == kept


@pytest.mark.parametrize(
    "reply", [answer(BODY), chunked(BODY), chunked(BODY[:5], BODY[5:]), answer(BODY, "200 Fine")]
)
def test_a_plain_answer_is_its_digest(reply: bytes) -> None:
    told, requests = asked(reply)
    assert told == asked(answer(BODY))[0]
    assert told is not None
    assert len(requests) == 1


@pytest.mark.parametrize(
    "reply",
    [
        answer(BODY, "404 Not Found"),
        answer(BODY, "206 Partial Content"),
        answer(b"", "302 Found", "Location: /elsewhere"),
        answer(BODY, "200 OK", "Content-Encoding: gzip"),
        answer(BODY, "200 OK", "Content-Length: 3"),
        answer(BODY, "200 OK", "Transfer-Encoding: chunked"),
        answer(BODY, length=len(BODY) + 1),
        answer(BODY, length=1 << 40),
        chunked(BODY, end=b""),
        chunked(BODY, end=b"-1\r\n"),
        chunked(BODY, end=b"zz\r\n"),
        b"HTTP/1.1 200 OK\r\n\r\n" + BODY,
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nno field\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"",
        b"\xff\xfe",
    ],
)
def test_any_other_answer_is_none(reply: bytes) -> None:
    assert asked(reply)[0] is None


def test_a_service_that_says_nothing_is_not_waited_for_long() -> None:
    assert asked(b"", close=False)[0] is None


def test_a_service_that_drips_is_not_waited_for_long() -> None:
    """Each byte comes in time, and there is no end of them."""

    async def script(_, writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX: ")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.1)

    async def main() -> None:
        async with serving(script) as server, asyncio.timeout(20):
            with pytest.raises(NoBriefAnswer):
                await asyncio.to_thread(brief_mark, Service(server.origin), REPO)

    asyncio.run(main())


@pytest.mark.parametrize(
    "service",
    [
        Service("http://127.0.0.1:9"),
        Service("ftp://127.0.0.1"),
        Service("http://user:word@127.0.0.1"),
        Service("http://127.0.0.1:port"),
        Service("http://name.invalid"),
        Service("http://127.0.0.1:9", "to ken"),
        Service("http://127.0.0.1:9", "to\r\nken"),
        Service("http://имя.example"),
    ],
)
def test_what_cannot_be_asked_is_no_answer(service: Service) -> None:
    with pytest.raises(NoBriefAnswer):
        brief_mark(service, REPO)


def test_a_proxy_is_for_the_client_alone() -> None:
    assert not goes_straight({"HTTPS_PROXY": "http://proxy"})
    assert not goes_straight({"all_proxy": "socks5://proxy"})
    assert not goes_straight({"no_proxy": "localhost"})


def test_the_token_is_in_no_repr() -> None:
    assert TOKEN not in repr(Service("http://127.0.0.1", TOKEN))
