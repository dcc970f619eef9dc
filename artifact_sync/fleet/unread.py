"""Tells whether a server has said something unasked."""

from __future__ import annotations

import selectors
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg


def has_unread(raw: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> bool:
    """Whether the server has said something that nobody has read yet. Waits for nothing.

    ``OSError``, ``psycopg.Error`` and ``ValueError`` of a connection that is closed.
    """
    with selectors.DefaultSelector() as heard:
        heard.register(raw.fileno(), selectors.EVENT_READ)
        return bool(heard.select(0.0))
