"""Converts a refusing answer of the API to an error with a remedy."""

from __future__ import annotations

from http import HTTPStatus

from artifact_sync.domain.errors import (
    BadAnswer,
    CredentialsRefused,
    NotFound,
    ServiceError,
    Unreachable,
)
from artifact_sync.source.api.response_body import Payload, Unreadable
from artifact_sync.source.transport.sanitize import one_line

_COME_AGAIN = frozenset({408, 425, 429})
"""Client errors that pass (RFC 9110, 15.5.9; RFC 8470, 5.2; RFC 6585, 4)."""
HOLD_ALL = frozenset({429, 503})
"""Statuses whose ``Retry-After`` is meant for the client, not for one request."""
_TEXTS = (("error_code", 200), ("message", 200), ("request_id", 80))
"""What the service says about an error, and how much of it is shown."""


def refusal_error(
    what: str, status: int, body: bytes | bytearray, retry_after: float | None, token: str
) -> ServiceError:
    """Make the error of a refused request, whose body may be anything."""
    code, text, request_id = _texts(body, token)
    said = ": ".join([str(status), *filter(None, (code, text))])
    if status in {401, 403}:
        message = f"{what}: {_credentials(status, token)} ({said})"
        return CredentialsRefused(message, status=status, request_id=request_id)
    if status in {404, 410}:
        message = f"{what}: not found, or the token may not see it ({said})"
        return NotFound(message, status=status, request_id=request_id)
    if status in _COME_AGAIN or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Unreachable(
            f"{what}: the service can't answer now ({said})",
            status=status,
            request_id=request_id,
            retry_after=retry_after,
        )
    message = f"{what}: the service does not take the request ({said})"
    return BadAnswer(message, status=status, request_id=request_id)


def _texts(body: bytes | bytearray, token: str) -> list[str]:
    """What the body says, as far as it can be read; missing texts are empty."""
    try:
        payload = Payload.parse(body)
    except Unreadable:
        payload = Payload({})
    return [one_line(payload.text(name), limit, token) for name, limit in _TEXTS]


def _credentials(status: int, token: str) -> str:
    if not token:
        return (
            "the service wants a token and none was given:"
            " set SOURCECRAFT_TOKEN or source.token_file"
        )
    if status == HTTPStatus.UNAUTHORIZED:
        return (
            "the service refused the token, which may be mistyped or out of date:"
            " put a valid one into SOURCECRAFT_TOKEN or source.token_file"
        )
    return (
        "the token has no right to see it: give SOURCECRAFT_TOKEN or source.token_file"
        " a token that may read this repository and its CI"
    )
