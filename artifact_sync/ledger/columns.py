"""Column types that hold the same on SQLite and on PostgreSQL. The tables are in ``schema``.

What is stored, and how it is read again, is ``values``'.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Integer, String, Text
from sqlalchemy.types import TypeDecorator

from artifact_sync.ledger.values import (
    read_moment,
    read_names,
    read_text,
    stored_moment,
    stored_names,
    stored_text,
)

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect
    from sqlalchemy.types import TypeEngine

Whole = BigInteger().with_variant(Integer, "sqlite")
"""64 bits; SQLite numbers rows by itself only where the type is spelt INTEGER."""


class Moment(TypeDecorator[datetime]):
    """A time as UTC text of fixed width, so that text order is time order on every database."""

    impl = String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """``2026-11-23T20:52:56.000000Z``. ``ValueError`` for a time without a zone."""
        return None if value is None else stored_moment(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """A time in UTC."""
        return None if value is None else read_moment(value)


class AnyText(TypeDecorator[str]):
    """Text of any characters that Python can hold, remote and hostile. Ordered by code point."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Code point order is SQLite's own; PostgreSQL's is its locale's unless told."""
        collation = "C" if dialect.name == "postgresql" else None
        return dialect.type_descriptor(Text(collation=collation))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """As it is stored."""
        return None if value is None else stored_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """As it was."""
        return None if value is None else read_text(value)


class Names(TypeDecorator[tuple[str, ...]]):
    """Some texts in their order, as a JSON array of texts escaped like ``AnyText``."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """As JSON."""
        return None if value is None else stored_names(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...] | None:  # noqa: ARG002 - SQLAlchemy's signature
        """As they were."""
        return None if value is None else read_names(value)
