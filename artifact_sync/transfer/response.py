"""Validates a link's answer before a byte of it is believed.

Follows RFC 9110 (14.2 to 15.3.7, 15.5.17): what a server may answer to a range request.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from artifact_sync.domain.errors import BadResponse, DownloadError, RangeMismatch
from artifact_sync.domain.http_headers import content_length, content_range, validator
from artifact_sync.runtime.backoff import parse_retry_after
from artifact_sync.transfer.error_page import failure_of_status
from artifact_sync.transfer.evidence import Identity, claims

if TYPE_CHECKING:
    from datetime import datetime

    from artifact_sync.domain.ports import Opened
    from artifact_sync.transfer.evidence import Claim

OK = 200
PARTIAL = 206

_HEAD = 4096
"""Bytes of an error's body that are read for the store's error code."""

_HEAD_PATIENCE = 5.0
"""Seconds in which an error's body must have come."""


class AcceptedBody(Struct, frozen=True):
    """The body of an answer that is acceptable."""

    identity: Identity
    offset: int
    """Where it begins: 0, or where the staged bytes end."""
    length: int | None
    """How many bytes it must have; None: its end is marked by the transfer coding."""

    @property
    def total(self) -> int | None:
        """The size of the whole file, where it is known."""
        return self.identity.total


def accept(opened: Opened, staged: Identity, offset: int, host: str) -> AcceptedBody:
    """Accept a 200 or 206 to a request at ``offset``. ``BadResponse``, ``RangeMismatch``.

    ``staged``: identity of the partial file that the request asked to resume.
    """
    if opened.status == OK:
        return _whole(opened, host)
    if not offset:
        raise RangeMismatch("the server sent a part of the file that was not asked for")
    return _rest(opened, staged, offset)


def accept_part(opened: Opened, known: Identity, first: int, last: int) -> None:
    """Accept a 206 to a request for these bytes, as strictly as a resume.

    ``RangeMismatch``: it is of another file, or states what the first answer did not.
    """
    if opened.status != PARTIAL:
        raise RangeMismatch("the server sent the whole file where a part was asked for")
    body = _rest(opened, known, first)
    if body.length != last - first + 1:
        raise RangeMismatch(f"the server sent {body.length:,} bytes, not {last - first + 1:,}")
    if body.identity != known:
        raise RangeMismatch("the server says something else of the file than it said first")


async def refusal(opened: Opened, now: datetime) -> DownloadError:
    """The error of an answer other than 200 and 206, read in part."""
    head = bytearray()
    # what the status says holds, even when the body behind it is cut or drips
    with suppress(DownloadError, TimeoutError):
        async with asyncio.timeout(_HEAD_PATIENCE):
            async for chunk in opened.chunks:
                head += chunk
                if len(head) >= _HEAD:
                    break
    after = parse_retry_after(opened.headers.get("retry-after", ""), now)
    failure = failure_of_status(opened.status, bytes(head[:_HEAD]), after)
    if not opened.proxy:
        return failure
    what = f"{failure.what} (through {opened.proxy}, whose answer this may be)"
    return type(failure)(what, retry_after=failure.retry_after)


def same_file(opened: Opened, known: Identity) -> bool:
    """Whether an answer has the validator of the known file."""
    validator, headers = known.validator, opened.headers
    if validator.etag:
        return headers.get("etag", "") == validator.etag
    return headers.get("last-modified", "") == validator.last_modified


def _whole(opened: Opened, host: str) -> AcceptedBody:
    """A 200 is the file from its first byte, whatever was asked for."""
    length = _length(opened)
    if length is None and opened.framing != "chunked":
        raise BadResponse(
            "the server gave neither a length nor a marked end: a cut would go unnoticed"
        )
    headers = opened.headers
    identity = Identity(
        validator(headers),
        length,
        claims(headers, partial=False),
        headers.get("content-encoding", ""),
        headers.get("etag", ""),
        host,
    )
    return AcceptedBody(identity, 0, length)


def _rest(opened: Opened, staged: Identity, offset: int) -> AcceptedBody:
    """A 206 must be the rest of the file whose beginning is staged."""
    span = content_range(opened.headers.get("content-range", ""))
    if span is None:
        raise RangeMismatch("the server sent a part of the file but not which (Content-Range)")
    start, end, total = span
    if start != offset:
        raise RangeMismatch(f"the server sent the part at byte {start:,}, not at {offset:,}")
    if None not in {total, staged.total} and total != staged.total:
        raise RangeMismatch(f"the file is now {total:,} bytes long, not {staged.total:,}")
    if total is None and staged.total is None:
        raise RangeMismatch("the server does not tell how long the whole file is")
    length = _length(opened)
    if length is not None and length != end - start + 1:
        raise RangeMismatch("the server's Content-Length and Content-Range contradict each other")
    _check_same_file(opened, staged)
    identity = msgspec.structs.replace(
        staged,
        total=total if staged.total is None else staged.total,
        claims=(*staged.claims, *_new_claims(opened, staged)),
    )
    return AcceptedBody(identity, offset, end - start + 1)


def _check_same_file(opened: Opened, staged: Identity) -> None:
    """Compare validators: a server may answer 206 although ``If-Range`` did not match.

    An answer without the validator is not believed: RFC 9110, 15.3.7, demands the ETag that a 200
    would have.
    """
    if not same_file(opened, staged):
        raise RangeMismatch("the file may have changed on the server between two tries")


def _new_claims(opened: Opened, staged: Identity) -> list[Claim]:
    """Claims that the first answer lacked; only of algorithms computed over the staged bytes."""
    hashed = staged.algorithms | {"sha-256"}
    found = claims(opened.headers, partial=True)
    return [claim for claim in found if claim.algorithm in hashed and claim not in staged.claims]


def _length(opened: Opened) -> int | None:
    framed = opened.framing == "length"
    return content_length(opened.headers.get("content-length")) if framed else None
