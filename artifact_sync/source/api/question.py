"""What is asked of the API, how it is asked, and what comes back, as values. No requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import quote

from msgspec import Struct, field
from msgspec.structs import replace

from artifact_sync.domain.errors import NotFound
from artifact_sync.domain.model import Redacted
from artifact_sync.runtime.backoff import RetryPolicy
from artifact_sync.source.api.decode import sendable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from random import Random

    from artifact_sync.domain.events import Event, Observer
    from artifact_sync.domain.ports import Clock
    from artifact_sync.source.api.json_payload import Payload

Meaning = TypeVar("Meaning")

_HASTY_ATTEMPTS = 2
_HASTY_PATIENCE = 10.0
_SUBJECT = 3
"""Segments that say what is asked about: ``repos/org/repo``, ``orgs/org/repos``."""


class ApiPolicy(Redacted, frozen=True):
    """How the service is treated."""

    SHOWN = ("rate", "policy", "body_limit", "deadline")

    rate: float = 25.0
    """Requests a second, evenly spaced, over all callers; 0: no limit."""
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    body_limit: int = 256 * 1024 * 1024
    """Bytes of an answer after which it is given up on."""
    deadline: float | None = None
    """Seconds from the sending of a request to the last byte of its answer, however steadily that
    drips. None: ten times the client's timeout for a byte, and two minutes at least."""
    token: str = ""
    """The client's token: to tell none from a refused one, and to keep it out of messages."""

    @property
    def hasty(self) -> RetryPolicy:
        """For what is soon given up on, because others wait for it."""
        attempts = min(self.policy.attempts, _HASTY_ATTEMPTS)
        return replace(
            self.policy, attempts=attempts, patience=min(self.policy.patience, _HASTY_PATIENCE)
        )


class ApiContext(Struct, frozen=True):
    """What a client of the API is given from outside."""

    clock: Clock
    rng: Random
    observer: Observer | None = None

    def notify(self, event: Event) -> None:
        """Tell the observer, if there is one."""
        if self.observer is not None:
            self.observer.notify(event)


class Question(Struct, Generic[Meaning], frozen=True):
    """What to get, and how to read it."""

    what: str
    """In words, for messages: ``run 7 of org/repo``. Fit to be shown."""
    segments: tuple[str, ...]
    """The path below ``base_url``, unencoded."""
    read: Callable[[Payload], Meaning]
    """Called in a thread when the answer is long. May raise ``Unreadable``."""
    policy: RetryPolicy
    parameters: Mapping[str, str] = field(default_factory=dict)
    known: str = ""
    """Digest of a body that is not to be read again: ``Unmodified`` is raised instead."""

    @property
    def subject(self) -> tuple[str, ...]:
        """The repository, or the organisation's list, that is asked about."""
        return self.segments[:_SUBJECT]

    @property
    def path(self) -> str:
        """The path with every byte of a segment that means something in a URL encoded."""
        if not all(map(sendable, self.segments)):
            raise NotFound(f"{self.what}: a name that is empty or only dots can't be asked for")
        parts = (quote(part, safe="", errors="surrogatepass") for part in self.segments)
        return "/".join(["", *parts])


class Answer(Struct, Generic[Meaning], frozen=True):
    """A 2xx answer and when it began to arrive."""

    meaning: Meaning
    monotonic: float
    server_date: datetime | None
    """The service's clock at that moment, if it told."""
    digest: str
    """Of the body as it came: SHA-256, in hex."""


class Unmodified(Exception):
    """The body is the one that is known, so it was not read."""
