"""Requests to the API and their answers, as values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import quote

from msgspec import Struct, field

from artifact_sync.domain.errors import NotFound
from artifact_sync.source.api.decode import sendable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from artifact_sync.runtime.backoff import RetryPolicy
    from artifact_sync.source.api.response_body import Payload

Meaning = TypeVar("Meaning")

_SUBJECT = 3
"""Segments that name the subject: ``repos/org/repo``, ``orgs/org/repos``."""


class Question(Struct, Generic[Meaning], frozen=True):
    """A GET request, and how to read its answer."""

    what: str
    """Its name in messages: ``run 7 of org/repo``. Safe to show."""
    segments: tuple[str, ...]
    """The path below ``base_url``, unencoded."""
    read: Callable[[Payload], Meaning]
    """Called in a thread when the answer is long. May raise ``Unreadable``."""
    retry: RetryPolicy
    parameters: Mapping[str, str] = field(default_factory=dict)
    known: str = ""
    """Digest of a known body: for the same one ``Unmodified`` is raised."""

    @property
    def subject(self) -> tuple[str, ...]:
        """The repository or organisation that is asked about."""
        return self.segments[:_SUBJECT]

    @property
    def path(self) -> str:
        """The path, its segments percent-encoded."""
        if not all(map(sendable, self.segments)):
            raise NotFound(f"{self.what}: a name that is empty or only dots can't be asked for")
        parts = (quote(part, safe="", errors="surrogatepass") for part in self.segments)
        return "/".join(["", *parts])


class Answer(Struct, Generic[Meaning], frozen=True):
    """A 2xx answer and when it began to arrive."""

    meaning: Meaning
    monotonic: float
    server_date: datetime | None
    """The service's clock at that moment, if known."""
    digest: str
    """SHA-256 of the body as it came, in hex."""


class Unmodified(Exception):
    """The body has the known digest, so it was not parsed."""
