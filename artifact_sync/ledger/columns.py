"""Column types that hold the same on SQLite and on PostgreSQL. The tables are in ``schema``."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import BigInteger, Integer, String, Text
from sqlalchemy.types import TypeDecorator

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect
    from sqlalchemy.types import TypeEngine

Whole = BigInteger().with_variant(Integer, "sqlite")
"""64 bits; SQLite numbers rows by itself only where the type is spelt INTEGER."""

_UNSTORABLE = re.compile("[\\x00\\\\\ud800-\udfff]")
_JSON = msgspec.json.Encoder()
_ARRAY = msgspec.json.Decoder(list[str])

_FIRST = datetime(1, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)

_ESCAPED = re.compile(r"\\(\\|u[0-9a-f]{4})")


class Moment(TypeDecorator[datetime]):
    """A time as UTC text of fixed width, so that text order is time order on every database."""

    impl = String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """``2026-11-23T20:52:56.000000Z``. ``ValueError`` for a time without a zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone")
        return _utc(value).isoformat(timespec="microseconds")[:26] + "Z"

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """A time in UTC."""
        return None if value is None else datetime.fromisoformat(value)


def _utc(value: datetime) -> datetime:
    """In UTC; the ends of the calendar where a zone leads beyond them."""
    try:
        return value.astimezone(UTC)
    except OverflowError:
        return _FIRST if value.year == 1 else _LAST


class AnyText(TypeDecorator[str]):
    r"""Text of any characters that Python can hold, remote and hostile.

    Neither database takes lone surrogates, and PostgreSQL takes no NUL: these are stored as
    ``\uXXXX``, and a backslash as two. Equal texts stay equal, different ones different. Ordered by
    code point.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Code point order is SQLite's own; PostgreSQL's is its locale's unless told."""
        collation = "C" if dialect.name == "postgresql" else None
        return dialect.type_descriptor(Text(collation=collation))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """As it is stored."""
        return None if value is None else storable(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """As it was."""
        return None if value is None else _unstored(value)


def storable(text: str) -> str:
    """The text with what no database takes escaped; different texts give different ones."""
    return _UNSTORABLE.sub(_escaped, text)


def _unstored(text: str) -> str:
    return _ESCAPED.sub(_plain, text) if "\\" in text else text


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    return "\\\\" if character == "\\" else f"\\u{ord(character):04x}"


def _plain(match: re.Match[str]) -> str:
    code = match[1]
    return "\\" if code == "\\" else chr(int(code[1:], 16))


class Names(TypeDecorator[tuple[str, ...]]):
    """Some texts in their order, as a JSON array of texts escaped like ``AnyText``."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """As JSON."""
        return None if value is None else _JSON.encode([*map(storable, value)]).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...] | None:  # noqa: ARG002 - SQLAlchemy's signature
        """As they were."""
        return None if value is None else tuple(map(_unstored, _ARRAY.decode(value)))
