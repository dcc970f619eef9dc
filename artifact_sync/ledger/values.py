r"""Values as they are stored, the same on SQLite and on PostgreSQL. No SQL, and no library for it.

Neither database takes lone surrogates, and PostgreSQL takes no NUL: in texts these are stored as
``\uXXXX``, and a backslash as two. Equal texts stay equal, different ones different. Times are UTC
text of fixed width, so that text order is time order on every database.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from functools import lru_cache

_UNSTORABLE = "[\\x00\\\\\ud800-\udfff]"
_ESCAPED = r"\\(\\|u[0-9a-f]{4})"

_FIRST = datetime(1, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)

EVER = _FIRST
"""At or after this is every time."""


def stored_text(text: str) -> str:
    """The text with what no database takes escaped; different texts give different ones."""
    if text.isascii() and "\\" not in text and "\0" not in text:
        return text
    return re.sub(_UNSTORABLE, _escaped, text)


def read_text(text: str) -> str:
    """A stored text as it was."""
    return re.sub(_ESCAPED, _plain, text) if "\\" in text else text


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    return "\\\\" if character == "\\" else f"\\u{ord(character):04x}"


def _plain(match: re.Match[str]) -> str:
    code = match[1]
    return "\\" if code == "\\" else chr(int(code[1:], 16))


def stored_moment(value: datetime) -> str:
    """``2026-11-23T20:52:56.000000Z``. ``ValueError`` for a time without a zone."""
    if value.tzinfo is None:
        raise ValueError("a time without a time zone")
    if value.tzinfo is UTC:
        return value.isoformat(timespec="microseconds")[:26] + "Z"
    return _utc(value).isoformat(timespec="microseconds")[:26] + "Z"


def _utc(value: datetime) -> datetime:
    """In UTC; the ends of the calendar where a zone leads beyond them."""
    try:
        return value.astimezone(UTC)
    except OverflowError:
        return _FIRST if value.year == 1 else _LAST


read_moment = datetime.fromisoformat
"""A stored time, in UTC."""


@lru_cache(256)
def stored_names(names: tuple[str, ...]) -> str:
    """Some texts in their order, as a JSON array. What vouches for files is ever the same."""
    return json.dumps([*map(stored_text, names)], ensure_ascii=False, separators=(",", ":"))


@lru_cache(256)
def read_names(value: str) -> tuple[str, ...]:
    """The texts as they were."""
    return tuple(map(read_text, json.loads(value))) if value != "[]" else ()
