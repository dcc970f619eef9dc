"""What a client of the API works with: clock, events, limits, token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import field
from msgspec.structs import replace

from artifact_sync.domain.model import Redacted
from artifact_sync.runtime.backoff import RetryPolicy

if TYPE_CHECKING:
    from random import Random

    from artifact_sync.domain.events import Event, Observer
    from artifact_sync.domain.ports import Clock

_HASTY_ATTEMPTS = 2
_HASTY_PATIENCE = 10.0


class ApiContext(Redacted, frozen=True):
    """Surroundings and limits of a client of the API."""

    SHOWN = ("rate", "retry", "body_limit", "deadline")

    clock: Clock
    rng: Random
    observer: Observer | None = None
    rate: float = 25.0
    """Requests a second, evenly spaced, over all callers; 0: no limit."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    body_limit: int = 256 * 1024 * 1024
    """Bytes of an answer after which it is given up on."""
    deadline: float | None = None
    """Seconds from the sending of a request to the last byte of its answer, however steadily that
    drips. None: ten times the client's timeout for a byte, and two minutes at least."""
    token: str = ""
    """The client's token: tells a missing from a refused one, and is kept out of messages."""

    @property
    def hasty(self) -> RetryPolicy:
        """The policy for requests that others wait for."""
        attempts = min(self.retry.attempts, _HASTY_ATTEMPTS)
        patience = min(self.retry.patience, _HASTY_PATIENCE)
        return replace(self.retry, attempts=attempts, patience=patience)

    def notify(self, event: Event) -> None:
        """Tell the observer, if there is one."""
        if self.observer is not None:
            self.observer.notify(event)
