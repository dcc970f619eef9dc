from __future__ import annotations

import asyncio
import logging
import os
import ssl
from contextlib import asynccontextmanager
from contextvars import ContextVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_server import Recorder, answer, serving, until

from artifact_sync.domain.errors import (
    BadResponse,
    Cut,
    DownloadError,
    HostUnreachable,
    HostUntrusted,
    LinkUnusable,
    RefusedResponse,
    Stalled,
    Verdict,
)
from artifact_sync.domain.model import Link, Validator
from artifact_sync.source.links.fetcher import HttpBackends, HttpFetcher
from artifact_sync.source.links.httpx_backend import HttpxBackend
from artifact_sync.source.links.link_url import NotALink, parse_target, resolve_redirect
from artifact_sync.source.transport.clients import (
    TransportSettings,
    download_client,
    hush_http_loggers,
)
from artifact_sync.source.transport.tls import trusted

SECRET = "sig=s3cr3t"


class OnlyHttpx:
    """What there is where the Rust client has no wheel."""

    def __init__(self, client) -> None:
        self._carrier = HttpxBackend(client)

    async def ready(self):
        return [self._carrier]

    async def aclose(self) -> None:
        pass


def with_rust(client, settings, trust):
    return HttpBackends(client, settings, trust, Recorder())


def without_rust(client, *_):
    return OnlyHttpx(client)


CARRIERS: ContextVar = ContextVar("carriers")


@pytest.fixture(params=[with_rust, without_rust], autouse=True)
def _carriers(request):
    """Every promise is kept by both ways."""
    before = CARRIERS.set(request.param)
    yield
    CARRIERS.reset(before)


@asynccontextmanager
async def fetching(patience: float = 5.0, ca_bundle=None, proxy=None):
    settings = TransportSettings("https://api.test", "pv1_hidden", proxy, patience, 2)
    trust = trusted(ca_bundle)
    async with download_client(settings, trust.context()) as client:
        carriers = CARRIERS.get()(client, settings, trust)
        try:
            yield HttpFetcher(carriers)
        finally:
            await carriers.aclose()


def script_of(*pieces: bytes | float, close: bool = False):
    """Send these bytes, sleeping where there is a number; then keep the connection or close it."""

    async def script(_request, writer) -> None:
        for piece in pieces:
            if isinstance(piece, float):
                await writer.drain()
                await asyncio.sleep(piece)
            else:
                writer.write(piece)
        if close:
            await writer.drain()
            writer.close()

    return script


async def read(fetcher: HttpFetcher, url: str, offset: int = 0, validator=None, last=None):
    """Status, headers, framing and body; the error stands in for what was not got."""
    async with fetcher.open(Link(url, 0.0), offset, validator, last) as opened:
        body = b"".join([chunk async for chunk in opened.chunks])
        return opened.status, opened.headers, opened.framing, body


def got(script, path: str = f"/b/k?{SECRET}", *args, **options):
    async def main():
        async with serving(script) as server, fetching(**options) as fetcher:
            async with asyncio.timeout(20):
                try:
                    return await read(fetcher, server.origin + path, *args), server
                except DownloadError as error:
                    return _discreet(error), server

    return asyncio.run(main())


def _discreet(error: DownloadError) -> DownloadError:
    assert "s3cr3t" not in str(error)
    return error


def error_of(script, **options) -> DownloadError:
    error, _ = got(script, **options)
    assert isinstance(error, DownloadError)
    return error


def test_a_link_is_opened_and_read_to_its_end():
    (status, headers, framing, body), server = got(script_of(answer(b"hello", "200 OK", "ETag: e")))
    assert (status, framing, body) == (200, "length", b"hello")
    assert (headers["content-length"], headers["etag"]) == ("5", "e")
    sent = server.requests[0].headers
    assert sent["accept-encoding"] == "identity"
    assert sent["user-agent"].startswith("artifact-sync/")
    assert sent.keys() - {"connection"} == {"host", "accept", "accept-encoding", "user-agent"}


@pytest.mark.parametrize(
    "path",
    [
        "/a/../b/./c//d",
        "/a%2fb%2Fc%7e~%41",
        "/k?X-Amz-Credential=A%2Fb&sig=a+b%2B/=&&x",
        "/k?",
        "/k??a=?&b={}|^`'\"<>[]\\",
        "/%",
        "/{a}|b\\c",
        "/@:user",
    ],
)
def test_path_and_query_arrive_byte_for_byte(path):
    _, server = got(script_of(answer(b"")), path)
    assert server.targets == [path]


@pytest.mark.parametrize(
    ("path", "wire"),
    [
        ("", "/"),
        ("?a=b", "/?a=b"),
        ("/a b\tc", "/a%20b%09c"),
        ("/отчёт?ü", "/%D0%BE%D1%82%D1%87%D1%91%D1%82?%C3%BC"),
        ("/a#fragment?x", "/a"),
        ("/\x7f\x1f", "/%7F%1F"),
    ],
)
def test_what_no_request_line_can_hold_is_encoded(path, wire):
    _, server = got(script_of(answer(b"")), path)
    assert server.targets == [wire]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "s3cr3t",
        "/only/a/path?s3cr3t",
        "//host/s3cr3t",
        "ftp://host/s3cr3t",
        "file:///etc/s3cr3t",
        "javascript:s3cr3t",
        "https://",
        "https:///s3cr3t",
        "https://?s3cr3t",
        "https://user:s3cr3t@host/",
        "https://user@host/",
        "https://host/s3cr3t\r\nX: y",
        "https://host/s3cr3t\n",
        "https://host/\0s3cr3t",
        "https://ho\r\nst/",
        "https://host:0/s3cr3t",
        "https://host:65536/s3cr3t",
        "https://host:999999999999/s3cr3t",
        "https://host:-1/s3cr3t",
        "https://host:x/s3cr3t",
        "https://ho st/s3cr3t",
        "https://host\t/s3cr3t",
        "https://[::1/s3cr3t",
        "https://[nonsense]/s3cr3t",
        "https://999.1.1.1/s3cr3t",
        "https://h\\evil/s3cr3t",
        "https://host/\ud800s3cr3t",
        " https://host/s3cr3t",
    ],
)
def test_what_is_no_link_is_unusable_and_not_quoted(url):
    async def main():
        async with fetching() as fetcher:
            await read(fetcher, url)

    with pytest.raises(LinkUnusable) as caught:
        asyncio.run(main())
    assert "s3cr3t" not in str(caught.value)


def test_a_host_name_that_cannot_be_one_is_unusable():
    async def main():
        async with fetching() as fetcher:
            await read(fetcher, f"http://{'a' * 70}..test/x")

    with pytest.raises((LinkUnusable, HostUnreachable)):
        asyncio.run(main())


def test_an_offset_asks_for_the_rest_under_the_validator():
    rest = answer(b"lo", "206 Partial Content", "Content-Range: bytes 3-4/5")
    (status, _, _, body), server = got(script_of(rest), "/k", 3, Validator('"e"', "Mon"))
    assert (status, body) == (206, b"lo")
    sent = server.requests[0].headers
    assert (sent["range"], sent["if-range"]) == ("bytes=3-", '"e"')


def test_a_part_is_asked_for_by_its_first_and_last_byte_under_the_validator():
    part = answer(b"lo", "206 Partial Content", "Content-Range: bytes 3-4/9")
    (status, _, _, body), server = got(script_of(part), "/k", 3, Validator('"e"'), 4)
    assert (status, body) == (206, b"lo")
    sent = server.requests[0].headers
    assert (sent["range"], sent["if-range"]) == ("bytes=3-4", '"e"')


def test_last_modified_serves_where_there_is_no_etag():
    date = "Mon, 23 Nov 2026 20:00:00 GMT"
    _, server = got(script_of(answer(b"")), "/k", 3, Validator("", date))
    assert server.requests[0].headers["if-range"] == date


def test_from_the_first_byte_no_range_is_sent():
    _, server = got(script_of(answer(b"")), "/k", 0, Validator('"e"'))
    assert not {"range", "if-range"} & server.requests[0].headers.keys()


@pytest.mark.parametrize("etag", ['"é"', '"a\r\nX: y"', '"\x00"'])
def test_a_validator_that_cannot_be_sent_asks_for_the_whole(etag):
    _, server = got(script_of(answer(b"")), "/k", 3, Validator(etag))
    assert not {"range", "if-range", "x"} & server.requests[0].headers.keys()


@pytest.mark.parametrize("status", [204, 304, 400, 403, 404, 416, 429, 500, 503])
def test_any_status_is_an_answer(status):
    body = b"" if status in {204, 304} else b"<Error/>"
    reply = answer(body, f"{status} X", "Retry-After: 3")
    if status == 204:
        reply = b"HTTP/1.1 204 X\r\nRetry-After: 3\r\n\r\n"
    (found, headers, framing, content), _ = got(script_of(reply))
    assert (found, framing, content) == (status, "length", body)
    assert headers["retry-after"] == "3"


def test_a_redirect_status_without_a_location_is_an_answer():
    (status, _, _, _), _ = got(script_of(answer(b"", "302 X")))
    assert status == 302


def test_headers_are_lower_case_and_joined():
    reply = answer(b"", "200 OK", "X-One: a", "x-one: b", "X-Odd: \xe9")
    (_, headers, _, _), _ = got(script_of(reply))
    assert headers["x-one"] == "a, b"
    assert headers["x-odd"] == "é"


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"


def test_a_chunked_body_is_unframed():
    reply = CHUNKED + b"Content-Length: 999\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    (_, headers, framing, body), _ = got(script_of(reply))
    assert (framing, body) == ("chunked", b"abcde")
    assert "content-length" not in headers


def test_a_body_that_ends_with_the_connection_says_so():
    (_, _, framing, body), _ = got(script_of(b"HTTP/1.0 200 OK\r\n\r\nabc", close=True))
    assert (framing, body) == ("close", b"abc")


def test_an_informational_answer_is_passed_over():
    reply = b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + answer(b"abc")
    (status, _, _, body), _ = got(script_of(reply))
    assert (status, body) == (200, b"abc")


def test_no_content_coding_is_undone():
    reply = answer(b"\x1f\x8bnot even gzip", "200 OK", "Content-Encoding: gzip")
    (_, headers, _, body), _ = got(script_of(reply))
    assert (headers["content-encoding"], body) == ("gzip", b"\x1f\x8bnot even gzip")


def test_a_big_body_comes_in_large_chunks():
    async def main():
        script = script_of(answer(b"x" * (8 << 20)))
        async with (
            serving(script) as server,
            fetching() as fetcher,
            fetcher.open(Link(server.origin, 0.0)) as opened,
        ):
            return [len(chunk) async for chunk in opened.chunks]

    sizes = asyncio.run(main())
    assert sum(sizes) == 8 << 20
    assert len(sizes) < 1000


@pytest.mark.parametrize(
    "script",
    [
        script_of(answer(b"abc", length=10), close=True),
        script_of(CHUNKED + b"\r\n3\r\nabc\r\n", close=True),
        script_of(CHUNKED + b"\r\nA\r\nabc", close=True),
        script_of(CHUNKED + b"\r\n3\r\nabc\r\nnonsense\r\n"),
    ],
    ids=["short of its length", "no last chunk", "within a chunk", "broken chunk"],
)
def test_a_body_without_its_end_is_cut_after_what_had_come(script):
    async def main():
        received: list[bytes] = []

        async def download(fetcher: HttpFetcher, url: str) -> None:
            async with fetcher.open(Link(url, 0.0)) as opened:
                async for chunk in opened.chunks:
                    received.append(chunk)  # noqa: PERF401 - what came before the error counts

        async with serving(script) as server, fetching() as fetcher:
            with pytest.raises(Cut) as caught:
                await download(fetcher, f"{server.origin}/?{SECRET}")
        return b"".join(received), str(caught.value), server.origin

    received, message, origin = asyncio.run(main())
    assert received == b"abc"
    assert message == f"the body from {origin.removeprefix('http://')} ended before its end"


def test_a_reset_within_the_body_is_a_cut():
    async def script(_request, writer) -> None:
        writer.write(answer(b"abc", length=10))
        await writer.drain()
        writer.transport.abort()

    assert type(error_of(script)) is Cut


def test_a_body_that_stalls_is_stalled():
    assert type(error_of(script_of(answer(b"abc", length=10), 5.0), patience=0.2)) is Stalled


def test_an_answer_that_never_comes_is_stalled():
    assert type(error_of(script_of(5.0), patience=0.2)) is Stalled


def test_a_slow_body_never_times_out():
    pieces = [answer(b"", length=8)]
    for _ in range(8):
        pieces += [0.1, b"x"]
    (_, _, _, body), _ = got(script_of(*pieces), patience=0.4)
    assert body == b"x" * 8


@pytest.mark.parametrize(
    "reply",
    [
        b"SSH-2.0-s3cr3t\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ns3cr3t without colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: s3cr3t\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * (1 << 20) + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 200_000 + b"\r\n",
        b"",
    ],
    ids=lambda reply: repr(reply[:50]),
)
def test_what_is_no_valid_http_is_a_bad_response(reply):
    assert type(error_of(script_of(reply, close=True))) is BadResponse


def test_a_repeated_equal_length_is_one_length():
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"
    (_, headers, framing, body), _ = got(script_of(reply))
    assert (headers["content-length"], framing, body) == ("3", "length", b"abc")


def test_nobody_listening_is_a_host_that_cannot_be_reached():
    async def main():
        async with serving(script_of()) as server:
            origin = server.origin
        async with fetching() as fetcher:
            with pytest.raises(HostUnreachable) as caught:
                await read(fetcher, f"{origin}/?{SECRET}")
        return str(caught.value), origin

    message, origin = asyncio.run(main())
    assert message == f"no connection to {origin.removeprefix('http://')}: connection refused"


def test_an_unknown_host_cannot_be_reached():
    async def main():
        async with fetching() as fetcher:
            await read(fetcher, f"http://nowhere.invalid/?{SECRET}")

    with pytest.raises(HostUnreachable) as caught:
        asyncio.run(main())
    assert "s3cr3t" not in str(caught.value)


def redirecting(*locations: str):
    """Redirect to these in turn, then answer; ``{}`` and ``{host}`` are the server's own."""
    left = list(locations)

    async def script(request, writer) -> None:
        if not left:
            writer.write(answer(b"there"))
            return
        host = request.headers["host"]
        location = left.pop(0).replace("{}", f"http://{host}").replace("{host}", host)
        writer.write(answer(b"moved", "302 Found", f"Location: {location}"))

    return script


def test_redirects_are_followed_with_the_range():
    script = redirecting("{}/a/../b%2f?x=1", "/c/../d", "e?y", "//{host}/f", "?z")

    async def main():
        async with serving(script) as server, fetching() as fetcher:
            found = await read(fetcher, f"{server.origin}/k?{SECRET}", 7, Validator('"e"'))
            return found, server

    (status, _, _, body), server = asyncio.run(main())
    assert (status, body) == (200, b"there")
    assert server.targets == [f"/k?{SECRET}", "/a/../b%2f?x=1", "/c/../d", "/e?y", "/f", "/f?z"]
    assert {request.headers["range"] for request in server.requests} == {"bytes=7-"}
    assert {request.headers["if-range"] for request in server.requests} == {'"e"'}
    assert all("authorization" not in request.headers for request in server.requests)
    assert all("referer" not in request.headers for request in server.requests)


def test_the_bytes_of_a_location_are_kept():
    async def script(request, writer) -> None:
        if request.target == "/k":
            writer.write(b"HTTP/1.1 302 X\r\nContent-Length: 0\r\nLocation: /\xc3\xbc?a\r\n\r\n")
        else:
            writer.write(answer(b""))

    _, server = got(script, "/k")
    assert set(server.targets[:-1]) == {"/k"}  # asked again where only httpx tells such bytes
    assert server.targets[-1] == "/%C3%BC?a"


def test_more_than_five_redirects_are_refused():
    error, server = got(redirecting(*(f"/{n}" for n in range(9))))
    assert type(error) is RefusedResponse
    assert "more than 5 redirects" in str(error)
    assert len(server.requests) == 6


@pytest.mark.parametrize("locations", [[f"/b/k?{SECRET}"], ["/x", f"/b/k?{SECRET}"]])
def test_a_redirect_loop_is_refused(locations):
    error, server = got(redirecting(*locations))
    assert type(error) is RefusedResponse
    assert "in a circle" in str(error)
    assert len(server.requests) == len(locations)


@pytest.mark.parametrize(
    "location",
    [
        "ftp://host/s3cr3t",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://user:s3cr3t@host/",
        "http://",
        "http://host:99999/s3cr3t",
        "http://[::1/s3cr3t",
        "//",
    ],
)
def test_a_redirect_to_what_cannot_be_followed_is_refused_for_good(location):
    error, _ = got(redirecting(location))
    assert type(error) is RefusedResponse
    assert error.verdict is Verdict.PERMANENT


def tls(certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.with_suffix(".crt"), certificate)
    return context


def over_tls(certificate, script, ca_bundle):
    async def main():
        async with serving(script, tls(certificate)) as server:
            url = server.origin.replace("http://", "https://") + f"/k?{SECRET}"
            async with fetching(ca_bundle=ca_bundle) as fetcher:
                try:
                    return await read(fetcher, url), server
                except DownloadError as error:
                    return _discreet(error), server

    return asyncio.run(main())


def test_a_redirect_from_https_to_http_is_refused(certificate):
    script = redirecting("http://127.0.0.1:1/x?s3cr3t")
    error, server = over_tls(certificate, script, certificate.with_suffix(".crt"))
    assert type(error) is RefusedResponse
    assert "from https to http (127.0.0.1:1)" in str(error)
    assert len(server.requests) == 1


def test_a_certificate_that_nobody_trusts_is_refused_for_good_with_a_hint(certificate, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")  # certifi's authorities
    error, server = over_tls(certificate, script_of(answer(b"abc")), None)
    assert type(error) is HostUntrusted
    assert "its certificate is not trusted" in str(error)
    assert "source.ca_bundle" in str(error)
    assert server.requests == []


def test_a_self_signed_certificate_that_calls_itself_an_authority_can_be_trusted(authority):
    """OpenSSL takes it and rustls does not; the user has named it."""
    found, server = over_tls(authority, script_of(answer(b"abc")), authority.with_suffix(".crt"))
    assert found[3] == b"abc"
    assert len(server.requests) == 1


def test_an_authority_that_is_named_is_the_only_one(certificate, authority):
    error, _ = over_tls(certificate, script_of(answer(b"abc")), authority.with_suffix(".crt"))
    assert type(error) is HostUntrusted


def test_the_environment_is_left_as_it_was(certificate, monkeypatch):
    """The Rust client is told in it whom to trust."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", "/nowhere")
    bundle = certificate.with_suffix(".crt")
    found, _ = over_tls(certificate, script_of(answer(b"abc")), bundle)
    assert found[3] == b"abc"
    assert os.environ.get("SSL_CERT_FILE") is None
    assert os.environ["SSL_CERT_DIR"] == "/nowhere"


def test_a_body_cut_without_a_tls_goodbye_is_a_cut(certificate):
    async def script(_request, writer) -> None:
        writer.write(answer(b"abc", length=10))
        await writer.drain()
        writer.transport.abort()

    error, _ = over_tls(certificate, script, certificate.with_suffix(".crt"))
    assert type(error) is Cut


def test_a_proxy_is_told_the_host_and_not_the_link(certificate):
    """httpcore repeats a request's extensions, ``target`` among them, on its CONNECT."""

    async def main():
        heads: list[bytes] = []
        async with serving(script_of(answer(b"abc")), tls(certificate)) as server:
            proxy = await asyncio.start_server(_tunnel(heads), "127.0.0.1", 0)
            address = f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
            url = f"https://127.0.0.1:{server.port}/k?{SECRET}"
            bundle = certificate.with_suffix(".crt")
            async with fetching(proxy=address, ca_bundle=bundle) as fetcher:
                found = await read(fetcher, url)
            proxy.close()
            return found, server, heads

    (status, _, _, body), server, heads = asyncio.run(main())
    assert (status, body) == (200, b"abc")
    assert server.targets == [f"/k?{SECRET}"]
    assert heads[0].startswith(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n".encode())
    assert b"s3cr3t" not in heads[0]


def _tunnel(heads: list[bytes]):
    async def handle(reader, writer) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        host, _, port = head.split(b" ")[1].decode().partition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))

    return handle


async def _pump(reader, writer) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()


def test_through_a_plain_proxy_the_link_arrives_byte_for_byte():
    async def main():
        async with serving(script_of(answer(b"abc"))) as proxy:
            async with fetching(proxy=proxy.origin) as fetcher:
                await read(fetcher, f"http://store.test/a/../b%2f?{SECRET}")
            return proxy.targets

    assert asyncio.run(main()) == [f"http://store.test/a/../b%2f?{SECRET}"]


def test_a_proxy_that_refuses_is_a_host_that_cannot_be_reached():
    async def main():
        script = script_of(answer(b"", "407 Who are you"))
        async with serving(script) as proxy, fetching(proxy=proxy.origin) as fetcher:
            await read(fetcher, f"https://store.test/?{SECRET}")

    with pytest.raises(HostUnreachable, match=r"the proxy .* refuses the connection"):
        asyncio.run(main())


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_https_proxy_is_checked_by_the_same_authorities_as_a_host(certificate, scheme):
    """Guards one trust for all: ``ca_bundle`` holds for the proxy's own certificate, too."""
    bundle = certificate.with_suffix(".crt")

    async def through(proxy: str, url: str, ca_bundle):
        async with fetching(proxy=proxy, ca_bundle=ca_bundle) as fetcher:
            return await read(fetcher, url)

    async def main():
        script, behind = script_of(answer(b"abc")), tls(certificate) if scheme == "https" else None
        async with serving(script, behind) as server:
            handle = _tunnel([]) if behind else _forward(server.port)
            proxy = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls(certificate))
            address = f"https://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
            url = f"{scheme}://127.0.0.1:{server.port}/k?{SECRET}"
            found = await through(address, url, bundle)
            with pytest.raises(HostUnreachable, match="the proxy"):
                await through(address, url, None)
            proxy.close()
            return found

    status, _, _, body = asyncio.run(main())
    assert (status, body) == (200, b"abc")


def _forward(port: int):
    async def handle(reader, writer) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))

    return handle


async def endless(_request, writer) -> None:
    """Send until the client has gone."""
    writer.write(answer(length=1 << 40))
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()
        await asyncio.sleep(0.001)


def test_leaving_early_closes_the_connection_at_once():
    async def main():
        async with serving(endless) as server, fetching(patience=60) as fetcher:
            async with fetcher.open(Link(server.origin, 0.0)) as opened:
                async for _ in opened.chunks:
                    break
            await asyncio.wait_for(server.closed.wait(), 10)

    asyncio.run(main())


def test_a_body_that_nobody_reads_is_closed_at_once():
    async def main():
        async with serving(endless) as server, fetching(patience=60) as fetcher:
            async with fetcher.open(Link(server.origin, 0.0)):
                pass
            await asyncio.wait_for(server.closed.wait(), 10)

    asyncio.run(main())


def test_a_cancelled_download_closes_its_connection():
    async def main():
        begun = asyncio.Event()

        async def download(fetcher: HttpFetcher, url: str) -> None:
            async with fetcher.open(Link(url, 0.0)) as opened:
                async for _ in opened.chunks:
                    begun.set()

        async with serving(endless) as server, fetching(patience=60) as fetcher:
            task = asyncio.create_task(download(fetcher, server.origin))
            await asyncio.wait_for(begun.wait(), 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(server.closed.wait(), 10)

    asyncio.run(main())


def test_a_download_cancelled_before_its_answer_closes_its_connection():
    async def main():
        script = script_of(b"HTTP/1.1 200", 30.0)
        async with serving(script) as server, fetching(patience=60) as fetcher:
            task = asyncio.create_task(read(fetcher, server.origin))
            await until(lambda: server.requests)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())


async def read_on(opened, enough: int) -> bytes:
    """About so many bytes more."""
    body = b""
    async for chunk in opened.chunks:
        body += chunk
        if len(body) >= enough:
            break
    return body


@asynccontextmanager
async def begun(*pieces: bytes | float, **options):
    """An answer of which the first chunk is read."""
    async with (
        serving(script_of(*pieces, **options)) as server,
        fetching(patience=0.5) as fetcher,
        fetcher.open(Link(server.origin, 0.0)) as opened,
    ):
        yield opened, await anext(opened.chunks)


@pytest.mark.parametrize(
    ("pieces", "close", "error"),
    [
        ([answer(b"xyz", length=9), 0.05, b"x"], True, Cut),
        ([answer(b"xyz", length=9), 5.0], False, Stalled),
    ],
)
def test_what_breaks_off_after_its_first_chunk_says_how(pieces, close, error):
    async def main():
        async with begun(*pieces, close=close) as (opened, _):
            with pytest.raises(error):
                await read_on(opened, 9)

    asyncio.run(main())


def test_a_pause_of_our_own_is_not_the_servers():
    """A slow disk or a limit of bandwidth may keep us from reading for longer than the patience."""

    async def main():
        content = b"x" * (8 << 20)
        received = 0
        async with (
            serving(script_of(answer(content))) as server,
            fetching(patience=0.3) as fetcher,
            fetcher.open(Link(server.origin, 0.0)) as opened,
        ):
            async for chunk in opened.chunks:
                if received < 1 << 20 <= received + len(chunk):
                    await asyncio.sleep(1)
                received += len(chunk)
        return received

    assert asyncio.run(main()) == 8 << 20


def test_a_host_with_old_ciphers_is_reached(certificate):
    """OpenSSL speaks what rustls does not."""
    context = tls(certificate)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-RSA-AES256-SHA384")

    async def main():
        async with serving(script_of(answer(b"abc")), context) as server:
            url = server.origin.replace("http://", "https://")
            async with fetching(ca_bundle=certificate.with_suffix(".crt")) as fetcher:
                return await read(fetcher, url)

    assert asyncio.run(main())[3] == b"abc"


def test_of_two_locations_the_first_counts():
    async def script(request, writer) -> None:
        if request.target == "/k":
            writer.write(answer(b"", "302 X", "Location: /a", "Location: /b"))
        else:
            writer.write(answer(b""))

    _, server = got(script, "/k")
    assert server.targets == ["/k", "/a"]


def test_a_link_of_any_length_is_sent():
    path = "/" + "a" * 70_000
    _, server = got(script_of(answer(b"")), path)
    assert server.targets[-1] == path


def test_after_a_whole_body_the_connection_is_used_again():
    async def main():
        ports = set()

        async def script(_request, writer) -> None:
            ports.add(writer.get_extra_info("peername")[1])
            writer.write(answer(b"abc"))

        async with serving(script) as server, fetching() as fetcher:
            for _ in range(3):
                await read(fetcher, server.origin)
            return ports

    assert len(asyncio.run(main())) == 1


def test_no_log_and_no_text_of_a_request_holds_the_link(caplog):
    for name in ("httpx", "httpcore"):
        caplog.set_level(logging.NOTSET, name)
    caplog.set_level(logging.DEBUG)
    hush_http_loggers()
    got(redirecting("/moved?s3cr3t"))
    assert "s3cr3t" not in caplog.text
    assert str(parse_target(f"https://h:8/p?{SECRET}").url) == "https://h:8/"
    assert "s3cr3t" not in repr(parse_target(f"https://h/p?{SECRET}"))


@given(st.text())
def test_any_text_is_a_target_or_no_link(text):
    for url in (text, f"https://{text}", f"https://host/{text}", f"http://host?{text}"):
        try:
            target = parse_target(url)
        except NotALink:
            continue
        assert target.path.startswith(b"/")
        assert all(0x21 <= byte <= 0x7E for byte in target.path)
        assert target.url.raw_path == target.path
        assert target.url.host


@given(st.binary())
def test_any_location_is_a_target_or_no_link(location):
    base = parse_target("https://host/a/b?c")
    try:
        target = resolve_redirect(base, location)
    except NotALink:
        return
    assert target.scheme in {"http", "https"}
    assert all(0x21 <= byte <= 0x7E for byte in target.path)


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#")))
def test_a_legal_path_and_query_is_never_touched(text):
    assert parse_target(f"https://host/{text}").path == f"/{text}".encode()
