"""Translates errors of the Rust client.

The library gives causes as texts only. None of them is shown: they quote links.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from pyreqwest.exceptions import (
    BuilderError,
    PyreqwestError,
    RequestTimeoutError,
)

from artifact_sync.domain.errors import (
    Cut,
    DownloadError,
    HostUnreachable,
    HostUntrusted,
)
from artifact_sync.source.links.backend import TryNextBackend
from artifact_sync.source.transport.errors import (
    TRUST_HINT,
    cut_short,
    no_answer,
    no_byte,
    not_http,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNTRUSTED = "invalid peer certificate"
_CONNECTING = "client error (connect)"
_NUMBER = re.compile(r"\(os error (\d{1,5})\)")
_UNRESOLVED = "dns error"
_TLS = ("tls", "fatal alert", "peer is incompatible", "peer misbehaved", "invalid message")


def before_headers(error: PyreqwestError, host: str) -> DownloadError | TryNextBackend:
    """Translate an error that came before the headers."""
    causes = _causes(error)
    if any(_UNTRUSTED in cause for cause in causes):
        return HostUntrusted(f"{host}: its certificate is not trusted: {TRUST_HINT}")
    if isinstance(error, BuilderError) or _is_tls(causes):
        return TryNextBackend()  # its limit of length, or no TLS in common
    if _CONNECTING in causes:  # the class says so of everything that happens before an answer
        late = isinstance(error, RequestTimeoutError)
        words = "no connection in time" if late else _why(causes) or "no connection"
        return HostUnreachable(f"no connection to {host}: {words}")
    if isinstance(error, RequestTimeoutError):
        return no_answer(host)
    if words := _why(causes):
        return Cut(f"the connection to {host} was lost before its answer: {words}")
    return not_http(host)


def within_body(error: PyreqwestError, host: str) -> DownloadError:
    """Translate an error that came within the body."""
    if isinstance(error, RequestTimeoutError):
        return no_byte(host)
    return cut_short(host)


def _is_tls(causes: Sequence[str]) -> bool:
    """Whether no common TLS was found, which OpenSSL may have."""
    signs = any(sign in cause for cause in causes[1:] for sign in _TLS)
    return _CONNECTING in causes and signs and not _why(causes)


def _why(causes: Sequence[str]) -> str:
    """The system's message for the cause, else ours, else none."""
    for cause in causes:
        if number := _NUMBER.search(cause):
            return os.strerror(int(number[1])).lower()
        if _UNRESOLVED in cause:
            return "its name can't be resolved"
    return ""


def _causes(error: PyreqwestError) -> Sequence[str]:
    details = getattr(error, "details", None) or {}
    return [str(cause.get("message", "")).lower() for cause in details.get("causes") or ()]
