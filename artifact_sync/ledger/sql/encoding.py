r"""Values as they are stored, the same on SQLite and on PostgreSQL.

Neither database takes lone surrogates, and PostgreSQL takes no NUL: in texts these are stored as
``\uXXXX``, and a backslash as two. Equal texts stay equal, different ones different. Times are UTC
text of fixed width, so that text order is time order on every database.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    _Convert = Callable[[Any], Any]
    Row = tuple[Any, ...]
    Reader = Sequence[tuple[int, _Convert]]

_UNSTORABLE = "[\\x00\\\\\ud800-\udfff]"
_ESCAPED = r"\\(\\|u[0-9a-f]{4})"

_FIRST = datetime(1, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)

EVER = _FIRST
"""At or after this is every time."""
NEVER = _LAST
"""At or before this is every time."""


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
    """Encode texts as a JSON array. Evidence is always the same few."""
    return json.dumps([*map(stored_text, names)], ensure_ascii=False, separators=(",", ":"))


@lru_cache(256)
def read_names(value: str) -> tuple[str, ...]:
    """The texts as they were."""
    return tuple(map(read_text, json.loads(value))) if value != "[]" else ()


def stored(values: Iterable[Any]) -> list[Any]:
    """Values as they are stored, by their Python types; of a list, each."""
    return [convert(it) if (convert := _STORE(type(it))) else it for it in values]


_CONVERSIONS: Mapping[type, _Convert] = MappingProxyType(
    {str: stored_text, datetime: stored_moment, tuple: stored_names, list: stored}
)
_STORE = _CONVERSIONS.get
_TEXTS = """value org repo last_error run status event fingerprint settled_for workflow task cube
local_path path version etag content_encoding message creation_id glob hook facts reason entry
target extraction_error"""
_MOMENTS = """horizon_since last_pass last_complete created_at finished_at next_look first_seen
seen_at last_mirrored mirrored_at verified_at lost_since gone_since happened_at first_try
next_try since pruned_at pinned_at tried_at oldest_verified"""
_READ: Mapping[str, _Convert] = MappingProxyType(
    {
        **dict.fromkeys(_TEXTS.split(), read_text),
        **dict.fromkeys(_MOMENTS.split(), read_moment),
        "evidence": read_names,
        "creation_at": lambda text: read_moment(text) if text else None,
        "complete": bool,
        "noted": bool,
        "is_wanted": bool,
        "horizon_falling": bool,
        **dict.fromkeys(("forgets", "deletes", "done"), bool),
    }
)
"""By a column's name; any other column is read as it is stored."""


def reader(columns: Sequence[str]) -> Reader:
    """How to read rows with these columns."""
    return [(place, _READ[name]) for place, name in enumerate(columns) if name in _READ]


def read(row: Row, how: Reader) -> Row:
    """A row with its values as the model has them."""
    columns = list(row)
    for place, convert in how:
        if columns[place] is not None:
            columns[place] = convert(columns[place])
    return tuple(columns)
