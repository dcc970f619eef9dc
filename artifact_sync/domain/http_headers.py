"""Parses the headers of an answer: length, range, validators.

Strict: a field that is not exactly what RFC 9110 defines says nothing.
"""

from __future__ import annotations

import re
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

from artifact_sync.domain.model import Validator

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_LENGTH = re.compile(r"[0-9]{1,18}")
_RANGE = r"(?i)bytes +(?P<start>[0-9]{1,18})-(?P<end>[0-9]{1,18})/(?P<total>[0-9]{1,18}|\*)"
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]{1,1024}"')
"""Neither the empty one, which tells no two versions apart, nor one that cannot be sent back."""
_CERTAIN = timedelta(seconds=1)


class ContentRange(NamedTuple):
    """Which bytes a 206 holds: first, last (inclusive), and how many there are altogether."""

    start: int
    end: int
    total: int | None
    """None: the server does not say (``*``)."""


def content_length(value: str | None) -> int | None:
    """Parse ``Content-Length`` (RFC 9110, 8.6); None: missing or invalid."""
    return int(value) if value is not None and _LENGTH.fullmatch(value) else None


def content_range(value: str) -> ContentRange | None:
    """Parse the ``Content-Range`` of a 206 (RFC 9110, 14.4); None: invalid.

    The ``bytes */N`` of a 416 names none.
    """
    match = re.fullmatch(_RANGE, value)
    if match is None:
        return None
    total = None if match["total"] == "*" else int(match["total"])
    found = ContentRange(int(match["start"]), int(match["end"]), total)
    possible = found.start <= found.end and (total is None or found.end < total)
    return found if possible else None


def validator(headers: Mapping[str, str]) -> Validator:
    """The validator for ``If-Range``, from headers by lower-case names; may be empty.

    A strong ETag; or Last-Modified, where there is no ETag at all (RFC 9110, 13.1.5: a weak one
    says that equal dates need not mean equal bytes) and the date is a strong validator (8.8.2.2):
    ``Date`` is at least a second later, so that no change can hide within the date's second.
    """
    etag = headers.get("etag", "").strip()
    if etag:
        return Validator(etag=etag) if _STRONG_ETAG.fullmatch(etag) else Validator()
    text = headers.get("last-modified", "").strip()
    modified, sent = _date(text), _date(headers.get("date", "").strip())
    strong = modified is not None and sent is not None and sent - modified >= _CERTAIN
    return Validator(last_modified=text) if strong else Validator()


def _date(text: str) -> datetime | None:
    """An IMF-fixdate (RFC 9110, 5.6.7), the only form that a sender may generate."""
    try:
        moment = parsedate_to_datetime(text)
        return moment if format_datetime(moment, usegmt=True) == text else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
