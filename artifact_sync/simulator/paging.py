"""Pages of a list with opaque tokens.

A token names the last entry of its page, not an offset: entries that are added meanwhile shift
nothing.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from artifact_sync.simulator.scenario import ScenarioApi

T = TypeVar("T")

_TOO_LARGE = 2**64
_SEAL = 8


class BadPage(ValueError):
    """A page that cannot be requested; the message says why."""


@dataclass(frozen=True, slots=True)
class ListPage(Generic[T]):
    """Entries and the next page's token: None for none; it may be empty."""

    entries: Sequence[T]
    token: str | None


def page(
    entries: Iterable[T], rank: Callable[[T], str], query: Mapping[str, str], api: ScenarioApi
) -> ListPage[T]:
    """Select the page that a query asks for. ``rank`` must be unique."""
    size = _page_size(query.get("page_size", ""), api)
    after = _opened(query.get("page_token", ""), size)
    ranked = sorted(entries, key=rank)
    rest = [entry for entry in ranked if after is None or rank(entry) > after]
    shown = rest[:size]
    more = len(rest) > size or (api.ending == "extra" and bool(shown))
    token = _sealed(rank(shown[-1]), size) if more else _last_token(api)
    return ListPage(shown, token)


def _last_token(api: ScenarioApi) -> str | None:
    return "" if api.ending == "empty" else None


def _page_size(text: str, api: ScenarioApi) -> int:
    """Parse the page size, limited to the most; 0 and nothing are the default."""
    if not text:
        return min(api.page_size, api.max_page_size)
    if not (text.isascii() and text.isdigit()) or int(text[:21]) >= _TOO_LARGE:
        msg = f"page_size: {text[:40]!r} is not an unsigned 64-bit integer"
        raise BadPage(msg)
    return min(int(text) or api.page_size, api.max_page_size)


def _sealed(rank: str, size: int) -> str:
    body = json.dumps([rank, size]).encode()
    return urlsafe_b64encode(hashlib.sha256(body).digest()[:_SEAL] + body).decode().rstrip("=")


def _opened(token: str, size: int) -> str | None:
    """Decode a token, which is valid for its own page size only."""
    if not token:
        return None
    try:
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        rank, made_for = json.loads(raw[_SEAL:])
    except ValueError as error:
        raise BadPage("page_token: not one of ours") from error
    if _sealed(rank, made_for) != token:
        raise BadPage("page_token: not one of ours")
    if made_for != size:
        raise BadPage("page_token: page_size must match the call that provided the token")
    return str(rank)
