"""Counts requests, and keeps the latest without their queries."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEPT = 20_000


@dataclass(frozen=True, slots=True)
class Seen:
    """A request, as it was when its answer began."""

    kind: str
    """``runs run workflow artifacts logs repos repo releases``, ``file``, or ``unknown``."""
    method: str
    path: str
    """Percent-encoded, as it came, with no query."""
    status: int
    range: str = ""
    local_path: str = ""
    """Of a file, where it exists."""


class Traffic:
    """Counts every request and keeps the latest 20,000."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._latest: deque[Seen] = deque(maxlen=_KEPT)

    def note(self, seen: Seen) -> None:
        """Count a request."""
        self._counts[seen.kind] += 1
        self._latest.append(seen)

    def __getitem__(self, kind: str) -> int:
        """Number of requests of a kind."""
        return self._counts[kind]

    def __iter__(self) -> Iterator[Seen]:
        return iter(tuple(self._latest))

    @property
    def api(self) -> int:
        """Number of requests to the API."""
        return self._counts.total() - self._counts["file"]

    def clear(self) -> None:
        """Reset the counts."""
        self._counts.clear()
        self._latest.clear()
