"""Words for network errors, without links."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from typing import TYPE_CHECKING

import httpx

from artifact_sync.domain.errors import BadResponse, Cut, Stalled
from artifact_sync.source.transport.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from artifact_sync.domain.errors import DownloadError


class ProxyFailed(httpx.ProxyError):
    """A request failed at a proxy. Its text is for users."""

    def __init__(self, words: str, *, final: bool = False) -> None:
        self.final = final
        """Whether trying again cannot help."""
        super().__init__(words)


_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (httpx.ConnectTimeout, "no connection in time"),
    (httpx.TimeoutException, "no byte in time"),
    (httpx.ProxyError, "the proxy refused the connection"),
    (httpx.RemoteProtocolError, "the connection was closed, or what came is not valid HTTP"),
    (httpx.LocalProtocolError, "the request can't be sent"),
    (httpx.ConnectError, "no connection"),
    (httpx.NetworkError, "the connection was lost"),
    (httpx.DecodingError, "the content coding is broken"),
)

TRUST_HINT = (
    "if its certificate is of your own authority, set source.ca_bundle to that one's PEM file"
)


def why(error: BaseException) -> str:
    """Name the cause of an error: the system's message, else ours.

    Never the library's text: httpx and h11 quote URLs and header lines.
    """
    for cause in chain(error):
        if isinstance(cause, ProxyFailed):
            return str(cause)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError):
            return "TLS failed"
        if isinstance(cause, socket.gaierror):
            return "its name can't be resolved"
        if isinstance(cause, OSError) and (words := _system_words(cause)):
            return words
    return next((words for kind, words in _WORDS if isinstance(error, kind)), "it failed")


def _system_words(error: OSError) -> str:
    """The message of the error's number: asyncio puts the address into the text."""
    number = error.errno
    if number is not None and number in errno.errorcode:
        return os.strerror(number).lower()
    return one_line(error.strerror or "", 100)


def untrusted(error: BaseException) -> bool:
    """Whether the peer's certificate was refused."""
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in chain(error))


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes, outermost first; a group stands for its first member."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        if isinstance(current, BaseExceptionGroup):
            current = current.exceptions[0]
        else:
            current = current.__cause__ or current.__context__


def not_http(host: str) -> BadResponse:
    """The error of an answer that is not HTTP."""
    return BadResponse(f"{host} closed the connection or sent what is not valid HTTP")


def no_answer(host: str) -> Stalled:
    """The error of an answer that did not come in time."""
    return Stalled(f"{host} sent no answer in time")


def body_error(host: str, *, late: bool) -> DownloadError:
    """The error of a body that stalled or ended too soon."""
    if late:
        return Stalled(f"{host} sent no byte in time")
    return Cut(f"the body from {host} ended before its end")
