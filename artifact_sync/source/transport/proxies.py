"""Chooses the proxy of a request, and tells its failures from a host's.

The proxy of the settings is for every request; those of the environment (``HTTP_PROXY``,
``HTTPS_PROXY``, ``ALL_PROXY``) are not for the hosts and networks of ``NO_PROXY``. Of that an entry
that cannot be read is left out; httpx itself would refuse the whole environment for it.
"""

from __future__ import annotations

import os
import re
import ssl
from http import HTTPStatus
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING
from urllib.request import getproxies

import httpx
from msgspec import Struct

from artifact_sync.domain.errors import ConfigError
from artifact_sync.domain.model import Redacted
from artifact_sync.source.transport.errors import ProxyFailed, chain, why
from artifact_sync.source.transport.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from ipaddress import IPv4Network, IPv6Network

_SETTING = "source.proxy"
_SCHEMES = ("http", "https", "all")
_PLACE = r"(\[[^\]]+\](?:/\d{1,3})?|[^:/\[\]]+)(?::(\d{1,5}))?"
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = rf"(?:{_LABEL}\.)*(?!\d+$){_LABEL}"
_LAST_PORT = 65_535
_WANTS_CREDENTIALS = ("401", "407")
_TROUBLE = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError)


class ProxyServer(Redacted, frozen=True):
    """A proxy, and the setting that names it."""

    SHOWN = ("setting",)

    url: httpx.URL
    setting: str

    def __str__(self) -> str:
        """Where it is, without its credentials, and where that was set."""
        port = f":{self.url.port}" if self.url.port else ""
        host = f"[{self.url.host}]" if ":" in self.url.host else self.url.host
        return one_line(f"the proxy {host}{port} of {self.setting}")


class Exemption(Struct, frozen=True):
    """An entry of ``NO_PROXY``: a host or a network."""

    network: IPv4Network | IPv6Network | None = None
    name: str = ""
    inside: bool = False
    """Whether only hosts below the name are meant, as by ``.example.org``."""
    scheme: str = ""
    port: int | None = None

    def covers(self, url: httpx.URL) -> bool:
        """Whether a request to this URL takes no proxy."""
        port = url.port or {"http": 80, "https": 443}.get(url.scheme)
        if self.scheme not in ("", "all", url.scheme) or self.port not in (None, port):
            return False
        host = url.raw_host.decode("ascii").lower().rstrip(".")
        if self.network is None:
            return host.endswith(f".{self.name}") or (host == self.name and not self.inside)
        try:
            return ip_address(host) in self.network
        except ValueError:
            return False


class Proxies(Redacted, frozen=True):
    """The proxies of a configuration and its environment; false when there is none."""

    servers: Mapping[str, ProxyServer]
    """By the scheme of a request, or ``all``."""
    exemptions: tuple[Exemption, ...] = ()
    unreadable: tuple[str, ...] = ()
    """Entries of ``NO_PROXY`` that are left out."""

    def __bool__(self) -> bool:
        return bool(self.servers)

    def of(self, url: httpx.URL) -> ProxyServer | None:
        """The proxy for a request; None: it goes directly."""
        if any(each.covers(url) for each in self.exemptions):
            return None
        return self.servers.get(url.scheme) or self.servers.get("all")

    @property
    def notices(self) -> list[str]:
        """What the user should hear."""
        why = "is no host, address or network, and was left out"
        return [f"NO_PROXY: {one_line(entry, 80)!r} {why}" for entry in self.unreadable]


def proxies_of(setting: str | None) -> Proxies:
    """The proxies of ``source.proxy``, else of the environment. ``ConfigError``."""
    if setting is not None:
        return Proxies({"all": _server(setting, _SETTING)})
    found = getproxies()
    entries = [entry for entry in re.split(r"[\s,]+", found.get("no", "")) if entry]
    read = {entry: exemption(entry) for entry in entries if entry != "*"}
    servers = {
        scheme: _server(found[scheme], _variable(scheme))
        for scheme in _SCHEMES
        if found.get(scheme) and "*" not in entries
    }
    return Proxies(
        servers,
        tuple(each for each in read.values() if each is not None),
        tuple(entry for entry, each in read.items() if each is None),
    )


def exemption(entry: str) -> Exemption | None:
    """Read an entry of ``NO_PROXY``; None: it makes no sense."""
    scheme, _, place = entry.rpartition("://")
    if network := _network(place):
        return Exemption(network, scheme=scheme)
    match = re.fullmatch(_PLACE, place)
    if match is None or int(match[2] or 0) > _LAST_PORT:
        return None
    port = int(match[2]) if match[2] else None
    if network := _network(re.sub(r"[\[\]]", "", match[1])):
        return Exemption(network, scheme=scheme, port=port)
    bare = match[1].removeprefix("*").rstrip(".")
    name = _ascii(bare.removeprefix("."))
    if not re.fullmatch(_NAME, name):
        return None
    return Exemption(name=name, inside=bare.startswith("."), scheme=scheme, port=port)


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _ascii(name: str) -> str:
    """A name as DNS has it (RFC 3490); empty when it can be none."""
    try:
        return name.lower().encode("idna").decode("ascii")
    except UnicodeError:
        return ""


def _variable(scheme: str) -> str:
    """The variable that ``getproxies`` has taken: one in lower case goes first."""
    names = [name for name in os.environ if name.lower() == f"{scheme}_proxy" and os.environ[name]]
    return max(names, key=str.islower) if names else "the system's settings"


def _server(text: str, setting: str) -> ProxyServer:
    """Read a proxy's URL, of which no error may tell: it can hold a password."""
    try:
        url = httpx.URL(text if "://" in text else f"http://{text}")
        httpx.Proxy(url)
    except (ValueError, httpx.InvalidURL):
        url = httpx.URL()
    if not url.host or not 0 < (url.port or 1) <= _LAST_PORT:
        hint = "give an http:// or https:// URL, or install httpx[socks] for socks5://"
        raise ConfigError([f"{setting} can't be used: {hint}"]) from None
    return ProxyServer(url, setting)


class ProxiedTransport(httpx.AsyncBaseTransport):
    """Sends each request by its proxy, or directly. Raises ``ProxyFailed``."""

    def __init__(
        self, proxies: Proxies, transport: Callable[[httpx.URL | None], httpx.AsyncBaseTransport]
    ) -> None:
        """``transport`` makes one for a proxy, or for none. ``ConfigError`` when it cannot."""
        self._proxies = proxies
        self._direct = transport(None)
        self._by_proxy: dict[str, httpx.AsyncBaseTransport] = {}
        for server in proxies.servers.values():
            try:
                self._by_proxy.setdefault(str(server.url), transport(server.url))
            except ImportError:
                hint = "install httpx[socks] for socks5://"
                raise ConfigError([f"{server.setting} can't be used: {hint}"]) from None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read the head of its answer."""
        server = self._proxies.of(request.url)
        if server is None:
            return await self._direct.handle_async_request(request)
        try:
            response = await self._by_proxy[str(server.url)].handle_async_request(request)
        except httpx.ProxyError as error:
            raise _refused(server, str(error)) from error
        except (*_TROUBLE, OSError) as error:
            of_tls = any(isinstance(cause, ssl.SSLError) for cause in chain(error))
            if of_tls and server.url.scheme != "https":
                raise  # the host behind it
            raise _failed(server, error) from error
        wants = "proxy-authenticate" in response.headers and not response.is_success
        if wants or response.status_code == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            await response.aclose()
            raise _refused(server, f"{response.status_code} {response.reason_phrase}")
        if request.url.scheme == "http" and not response.is_success:
            response.extensions["proxy"] = str(server)  # which may have answered itself
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        for transport in (self._direct, *self._by_proxy.values()):
            await transport.aclose()


def _refused(server: ProxyServer, answer: str) -> ProxyFailed:
    """A proxy's own refusal: its status, or the words of the library for SOCKS."""
    hint = f"put a user and password that it takes into {server.setting}"
    if not answer.startswith(_WANTS_CREDENTIALS):
        hint = f"ask who runs it, or correct {server.setting}"
    # 4xx: the same request will be refused again
    return ProxyFailed(
        f"{server} refuses the connection ({one_line(answer, 80)}): {hint}",
        final=answer.startswith("4"),
    )


def _failed(server: ProxyServer, error: Exception) -> ProxyFailed:
    hint = f"check {server.setting}, and that the proxy runs"
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return ProxyFailed(f"no connection to {server}: {why(error)}: {hint}")
    return ProxyFailed(f"no answer through {server}: {why(error)}: {hint}")
