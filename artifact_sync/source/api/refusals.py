"""Converts a refusing answer of the API to an error with a remedy."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from artifact_sync.domain.errors import (
    BadAnswer,
    CredentialsRefused,
    NotFound,
    ServiceError,
    Unreachable,
)
from artifact_sync.source.transport.sanitize import one_line

if TYPE_CHECKING:
    from artifact_sync.source.api.decode import ErrorBody

_COME_AGAIN = frozenset({408, 425, 429})
"""Client errors that pass (RFC 9110, 15.5.9; RFC 8470, 5.2; RFC 6585, 4)."""
HOLD_ALL = frozenset({429, 503})
"""Statuses whose ``Retry-After`` is meant for the client, not for one request."""
_LONGEST_ID = 80


def refusal_error(
    what: str, status: int, body: ErrorBody, retry_after: float | None, token: str
) -> ServiceError:
    """Make the error of a refused request."""
    words = (one_line(text, 200, token) for text in (body.code, body.message))
    said = ": ".join([str(status), *filter(None, words)])
    request_id = one_line(body.request_id, _LONGEST_ID, token)
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
