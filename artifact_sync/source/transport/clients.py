"""Makes the HTTP clients of the API and of downloads.

The two share the TLS context and nothing else, so that the token never goes to a link.
"""

from __future__ import annotations

import asyncio
import logging
from http.cookiejar import CookieJar
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from artifact_sync.domain.errors import ConfigError
from artifact_sync.domain.model import Redacted
from artifact_sync.source.transport.direct import DirectTransport
from artifact_sync.source.transport.proxies import ProxiedTransport, Proxies, proxies_of
from artifact_sync.version import USER_AGENT

if TYPE_CHECKING:
    import ssl
    from collections.abc import Generator

_API_CONNECTIONS = 16
_KEEP_IDLE = 30.0
"""Seconds that an idle connection is kept; object stores drop theirs after a minute or so."""


MOST_REDIRECTS = 5

REDIRECTS = frozenset({301, 302, 303, 307, 308})
"""RFC 9110, 15.4: with a ``Location`` these point elsewhere."""


class Redirected(Exception):
    """An answer that points elsewhere. The sender of the request decides whether to follow."""

    def __init__(self, status: int, location: bytes) -> None:
        self.status = status
        self.location = location
        super().__init__(f"redirected with status {status}")


class TransportSettings(Redacted, frozen=True):
    """Settings of the clients."""

    SHOWN = ("base_url", "proxy", "timeout", "jobs")

    base_url: str
    token: str = ""
    proxy: str | None = None
    timeout: float = 60.0
    """Seconds for a connection, and for each byte to come or go. Never for a whole request."""
    jobs: int = 8

    @property
    def proxies(self) -> Proxies:
        """The proxies of the settings, else of the environment. ``ConfigError``."""
        return proxies_of(self.proxy)


class Bearer(httpx.Auth):
    """Adds the token to requests to one origin only (RFC 6750, 5.3)."""

    def __init__(self, base_url: httpx.URL, token: str) -> None:
        self._origin = url_origin(base_url)
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Send the request once, with the token if the origin is right."""
        if self._token and url_origin(request.url) == self._origin:
            request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


class _NoCookies(CookieJar):
    """Keeps no cookie and sends none."""

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Leave them."""

    def add_cookie_header(self, request: Any) -> None:
        """Add none."""


def uses_tls(settings: TransportSettings) -> bool:
    """Whether requests to the API may use TLS, also to a proxy."""
    return urlsplit(settings.base_url).scheme == "https" or bool(settings.proxies)


def api_client(settings: TransportSettings, tls: ssl.SSLContext) -> httpx.AsyncClient:
    """Make the API's client. The token goes to the origin of ``base_url`` only.

    ``ConfigError`` when the settings can't be used.
    """
    base_url = _base_url(settings.base_url)
    auth = Bearer(base_url, _checked_token(settings.token))
    headers = {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": USER_AGENT,
    }
    client = _client(settings, auth, _transport(settings, tls, _API_CONNECTIONS, quick=True))
    client.base_url = base_url
    client.headers.update(headers)
    return client


def download_client(settings: TransportSettings, tls: ssl.SSLContext) -> httpx.AsyncClient:
    """Make the client for links: no token, even on the API's origin; no decoding."""
    client = _client(settings, httpx.Auth(), _transport(settings, tls, settings.jobs))
    client.headers.update({"Accept-Encoding": "identity", "User-Agent": USER_AGENT})
    return client


def url_origin(url: httpx.URL) -> tuple[str, str, int | None]:
    """Scheme, host and port (RFC 6454), the scheme's own port where none is named."""
    default = {"http": 80, "https": 443}.get(url.scheme)
    return url.scheme, url.host, url.port or default


def hush_http_loggers() -> None:
    """Keep httpx and httpcore from logging links. Call it before any request.

    httpx logs every URL at INFO, httpcore every header (``Location`` too) at DEBUG, and links are
    credentials. A level of their own holds whatever the root logger's is; they log nothing at
    WARNING or above. See "Logging" in httpx's documentation for the loggers' names.
    """
    for name in ("httpx", "httpcore"):
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.WARNING))


def _transport(
    settings: TransportSettings, tls: ssl.SSLContext, connections: int, *, quick: bool = False
) -> httpx.AsyncBaseTransport:
    """The transport for the settings' proxies.

    ``quick``: the one without them that starts sooner, which needs asyncio's own event loop.
    """
    proxies = settings.proxies
    if quick and not proxies and isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop):
        return DirectTransport(tls, connections, _KEEP_IDLE)
    limits = httpx.Limits(
        max_connections=connections,
        max_keepalive_connections=connections,
        keepalive_expiry=_KEEP_IDLE,
    )

    def transport(url: httpx.URL | None) -> httpx.AsyncBaseTransport:
        own = tls if url is not None and url.scheme == "https" else None  # to the proxy itself
        proxy = httpx.Proxy(url, ssl_context=own) if url is not None else None
        return httpx.AsyncHTTPTransport(verify=tls, trust_env=False, limits=limits, proxy=proxy)

    return ProxiedTransport(proxies, transport) if proxies else transport(None)


def _client(
    settings: TransportSettings, auth: httpx.Auth, transport: httpx.AsyncBaseTransport
) -> httpx.AsyncClient:
    """A client without redirects, cookies, and credentials of its own.

    Giving ``auth`` is what keeps httpx from making credentials of a URL's userinfo.
    """
    return httpx.AsyncClient(
        auth=auth,
        transport=transport,
        trust_env=False,
        cookies=_NoCookies(),
        timeout=httpx.Timeout(settings.timeout, pool=None),
        follow_redirects=False,
        event_hooks={"response": [_hand_over_redirects]},
    )


async def _hand_over_redirects(response: httpx.Response) -> None:
    """End a redirect here, before httpx resolves (and normalises) its Location."""
    if response.has_redirect_location:
        locations = [value for name, value in response.headers.raw if name.lower() == b"location"]
        raise Redirected(response.status_code, locations[0])


def _base_url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL()
    usable = url.scheme in {"http", "https"} and url.host and not url.userinfo
    if not usable or url.query or url.fragment:
        raise ConfigError(["source.base_url is no plain http or https URL"])
    return url


def _checked_token(token: str) -> str:
    """Check that a header can carry the token, before an error could quote it."""
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ConfigError(
            ["the token holds spaces or characters that no token has: copy it once more"]
        )
    return token
