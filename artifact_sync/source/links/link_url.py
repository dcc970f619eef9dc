"""Parses links into request targets, byte for byte.

A link's path and query are signed, so nothing of them may be normalised: ``httpx.URL`` resolves dot
segments and encodes characters that RFC 3986 would have encoded. Not used is httpcore's ``target``
extension: it is repeated on the CONNECT request to a proxy, which would be told the link.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import urljoin

import httpx

from artifact_sync.domain.model import Redacted
from artifact_sync.source.transport.sanitize import one_line

_PARTS = re.compile(
    r"(?P<scheme>https?)://(?P<authority>[^/?#\\\s]*)(?P<target>(?:[/?][^#]*)?)(?:#.*)?",
    re.IGNORECASE | re.DOTALL,
)
_SCHEME = r"(?i)[a-z][a-z0-9+.-]*:"
_PORT = re.compile(r"[^:]*(?::(?P<port>[0-9]{0,5}))?")
_HIGHEST_PORT = 65535
_ILLEGAL = re.compile(rb"[^\x21-\x7e]")
_INJECTION = re.compile(r"[\r\n\0]")


class NotALink(ValueError):
    """A text that is no usable link. The message quotes none of it."""


class Target(Redacted, frozen=True):
    """Origin and request target of a link."""

    SHOWN = ("scheme", "authority")

    scheme: str
    authority: str
    path: bytes
    """Path and query as they came; only bytes that no request line may hold are encoded."""

    @property
    def url(self) -> httpx.URL:
        """URL for a request; printed or logged, it shows the origin only."""
        return _Exact(self)

    @property
    def host(self) -> str:
        """Host and port, for messages."""
        return one_line(_origin(self).netloc.decode("ascii", "replace"), 100)

    @property
    def text(self) -> str:
        """The whole link, which is a credential."""
        return f"{self.scheme}://{self.authority}{self.path.decode('ascii')}"


class _Exact(httpx.URL):
    """An origin's URL whose ``raw_path``, which transports send, is a link's own bytes."""

    def __init__(self, target: Target) -> None:
        super().__init__(_origin(target))
        self._target = target.path

    @property
    def raw_path(self) -> bytes:
        return self._target


def parse_target(text: str) -> Target:
    """Parse a link. Raises ``NotALink``."""
    if _INJECTION.search(text):
        raise NotALink("it holds a line break or a NUL")
    parts = _PARTS.fullmatch(text)
    if parts is None:
        raise NotALink("it is no http or https URL")
    if "@" in parts["authority"]:
        raise NotALink("it holds a user name or password")
    target = Target(parts["scheme"].lower(), parts["authority"], _wire(parts["target"]))
    _check(target.scheme, target.authority)
    return target


def resolve_redirect(base: Target, location: bytes) -> Target:
    """Resolve a ``Location`` against the target that answered with it.

    An absolute one is taken byte for byte, another one by RFC 3986, 5. Raises ``NotALink``.
    """
    text = _decoded(location)
    if re.match(_SCHEME, text):
        return parse_target(text)
    if text.startswith("//"):
        return parse_target(f"{base.scheme}:{text}")
    origin = f"{base.scheme}://{base.authority}"
    if text.startswith("/"):
        return parse_target(origin + text)
    try:
        return parse_target(origin + urljoin(base.path.decode("ascii"), text))
    except ValueError:
        raise NotALink("it can't be resolved") from None


def _wire(text: str) -> bytes:
    """Path and query for a request line (RFC 9112, 3.2.1)."""
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        raise NotALink("it holds characters that are none") from None
    legal = _ILLEGAL.sub(lambda match: b"%%%02X" % match[0][0], raw)
    return legal if legal.startswith(b"/") else b"/" + legal


@lru_cache(maxsize=64)
def _check(scheme: str, authority: str) -> None:
    """Check host and port, once for all the files of a host."""
    found = _PORT.fullmatch(authority.rpartition("]")[2])
    if found is None or not 0 < int(found["port"] or 80) <= _HIGHEST_PORT:
        raise NotALink("its port is none")
    try:
        host = _origin_url(scheme, authority).host
    except (httpx.InvalidURL, ValueError):
        host = ""
    if not host:
        raise NotALink("its host is none")


def _origin(target: Target) -> httpx.URL:
    return _origin_url(target.scheme, target.authority)


@lru_cache(maxsize=64)
def _origin_url(scheme: str, authority: str) -> httpx.URL:
    """The URL of an origin, parsed once for all its files."""
    return httpx.URL(f"{scheme}://{authority}/")


def _decoded(location: bytes) -> str:
    """Decode a header as UTF-8, as browsers do, or else as Latin-1."""
    try:
        return location.decode()
    except UnicodeDecodeError:
        return location.decode("latin-1")
