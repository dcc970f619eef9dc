"""Which proxy a request takes. Guards against: ``NO_PROXY`` that ends or misleads a pass."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from artifact_sync.domain.errors import ConfigError
from artifact_sync.source.transport.errors import ProxyFailed
from artifact_sync.source.transport.proxies import ProxiedTransport, Proxies, proxies_of

PROXY = "http://user:hush@proxy.test:3128"


def taken(monkeypatch: pytest.MonkeyPatch, no_proxy: str, url: str) -> bool:
    monkeypatch.setenv("ALL_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    return proxies_of(None).of(httpx.URL(url)) is not None


@pytest.mark.parametrize(
    ("no_proxy", "url", "by_proxy"),
    [
        ("::1/128", "http://[::1]:8000/", False),
        ("::1/128", "http://[::2]/", True),
        ("[::1]", "http://[::1]:8000/", False),
        ("[::1]:80", "http://[::1]:8000/", True),
        ("[::1]:8000", "http://[::1]:8000/", False),
        ("::1", "https://[0:0::1]/", False),
        ("fd00::/8", "https://[fd12:3456::1]/", False),
        ("[fd00::]/8", "https://[fd12::1]/", False),
        ("fd00::/8", "https://[fe80::1]/", True),
        ("10.0.0.0/8", "https://10.1.2.3/", False),
        ("10.1.2.3/8", "https://10.9.9.9/", False),
        ("10.0.0.0/8", "https://11.1.2.3/", True),
        ("10.1.2.3", "https://10.1.2.3/", False),
        ("10.0.0.0/8", "https://10.example.org/", True),
        ("example.org", "https://example.org/", False),
        ("EXAMPLE.org", "https://a.b.Example.ORG/", False),
        ("example.org", "https://badexample.org/", True),
        (".example.org", "https://a.example.org/", False),
        (".example.org", "https://example.org/", True),
        ("*.example.org", "https://a.example.org/", False),
        ("example.org.", "https://example.org/", False),
        ("example.org", "https://example.org./", False),
        ("example.org:443", "https://example.org/", False),
        ("example.org:443", "http://example.org/", True),
        ("https://example.org", "https://example.org/", False),
        ("https://example.org", "http://example.org/", True),
        ("пример.рф", "https://пример.рф/", False),
        ("пример.рф", "https://сайт.пример.рф/", False),
        ("xn--e1afmkfd.xn--p1ai", "https://пример.рф/", False),
        ("localhost", "http://localhost:1/", False),
        ("a, b c ,,example.org", "https://example.org/", False),
        ("*", "https://example.org/", False),
        ("a,*", "https://example.org/", False),
        ("", "https://example.org/", True),
    ],
)
def test_no_proxy_names_hosts_addresses_and_networks(
    monkeypatch: pytest.MonkeyPatch, no_proxy: str, url: str, *, by_proxy: bool
) -> None:
    assert taken(monkeypatch, no_proxy, url) is by_proxy
    assert proxies_of(None).notices == []


@pytest.mark.parametrize(
    "entry",
    ["x:abc", "x:70000", "10.0.0.0/33", "::1/129", "[::1", "a..b", "-", "1.2.3.4.5",
     "256.1.1.1", "10.*", "http://", "[::1]x", "host/path", "я" * 64, "\x1b[31m"],
)  # fmt: skip
@pytest.mark.parametrize("proxy", [PROXY, ""])
def test_what_cannot_be_read_is_left_out_and_named(
    monkeypatch: pytest.MonkeyPatch, entry: str, proxy: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setenv("NO_PROXY", f"{entry},example.org")
    proxies = proxies_of(None)
    assert proxies.of(httpx.URL("https://example.org")) is None
    assert (proxies.of(httpx.URL("https://other.test")) is not None) is bool(proxy)
    [notice] = proxies.notices
    assert notice.startswith("NO_PROXY: ")
    assert notice.isprintable()
    assert entry[:20] in notice or not entry.isprintable()


@pytest.mark.parametrize(
    ("environ", "url", "named"),
    [
        ({"HTTPS_PROXY": "p:1"}, "https://h/", "the proxy p:1 of HTTPS_PROXY"),
        ({"HTTPS_PROXY": "p:1"}, "http://h/", None),
        ({"HTTP_PROXY": "p:1", "http_proxy": "q:2"}, "http://h/", "the proxy q:2 of http_proxy"),
        ({"ALL_PROXY": "p:1", "https_proxy": "q:2"}, "https://h/", "the proxy q:2 of https_proxy"),
        ({"all_proxy": "http://u:hush@[::1]:2"}, "https://h/", "the proxy [::1]:2 of all_proxy"),
    ],
)
def test_the_variable_that_names_a_proxy_is_told_and_no_password(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], url: str, named: str | None
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    server = proxies_of(None).of(httpx.URL(url))
    assert (str(server) if server else None) == named
    assert "hush" not in f"{server!r} {proxies_of(None)!r}"


@pytest.mark.parametrize("text", ["http://", "ftp://p:1", "http://u:hush@p:99999", "http://[::1"])
def test_an_unusable_proxy_is_told_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", text)
    with pytest.raises(ConfigError, match=r"^HTTPS_PROXY can't be used") as caught:
        proxies_of(None)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("trouble", "words", "final"),
    [
        (
            httpx.ProxyError("407 Who are you"),
            "refuses the connection (407 Who are you): put",
            True,
        ),
        (httpx.ProxyError("401 No"), "refuses the connection (401 No): put a user", True),
        (httpx.ProxyError("403 Forbidden"), "refuses the connection (403 Forbidden): ask", True),
        (httpx.ProxyError("502 Bad Gateway"), "refuses the connection (502 Bad Gateway)", False),
        (httpx.ConnectError(""), "no connection to the proxy proxy.test:3128", False),
        (httpx.RemoteProtocolError("x"), "no answer through the proxy proxy.test:3128", False),
        (httpx.ReadTimeout(""), "no answer through the proxy proxy.test:3128", False),
        (
            httpx.Response(401, headers={"Proxy-Authenticate": "Basic"}),
            "refuses the connection (401 Unauthorized): put",
            True,
        ),
        (httpx.Response(407), "refuses the connection (407 Proxy Authentication", True),
    ],
)
def test_what_fails_at_a_proxy_is_told_of_the_proxy(
    trouble: Exception | httpx.Response, words: str, *, final: bool
) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        if isinstance(trouble, Exception):
            raise trouble
        return trouble

    proxied = ProxiedTransport(proxies_of(PROXY), lambda _: httpx.MockTransport(answer))
    with pytest.raises(ProxyFailed) as caught:
        asyncio.run(proxied.handle_async_request(httpx.Request("GET", "http://h.test/")))
    assert words in str(caught.value)
    assert "source.proxy" in str(caught.value)
    assert "hush" not in str(caught.value)
    assert caught.value.final is final


def test_no_proxy_at_all_is_false() -> None:
    assert not proxies_of(None)
    assert not Proxies({})
