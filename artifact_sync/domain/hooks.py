"""What hooks are told: events, who listens, deliveries that wait."""

from __future__ import annotations

from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from artifact_sync.domain.settings import HookSettings


class HookEvent(StrEnum):
    """What a hook can be told of."""

    RUN_COMPLETE = "run.complete"
    """Everything selected of a run is here, and its manifests are written for the first time."""
    RUN_INCOMPLETE = "run.incomplete"
    """A finished run was looked at, and something of it has failed. Once, until it is well."""
    FILE_LOST = "file.lost"
    """A file that was here is missing or changed, and the service has it no more."""
    EXPIRING = "expiring"
    """The service deletes a run within two days, and something of it has not come."""
    PRUNED = "pruned"
    """Files of a run were removed from the mirror."""


class Subscriptions(Struct, frozen=True):
    """Which hooks the ledger puts into its outbox for an event."""

    hooks: Mapping[HookEvent, tuple[str, ...]]
    """Names of hooks by event; an event that nobody hears of is not there."""
    now: Callable[[], datetime]
    retention: float
    """Seconds after a run's creation at which its artifacts vanish."""

    @property
    def names(self) -> frozenset[str]:
        """Every hook that hears of something."""
        return frozenset(chain.from_iterable(self.hooks.values()))


class Delivery(Struct, frozen=True):
    """An event in the outbox, for one hook."""

    id: str
    """Names the delivery in every try, so that a receiver knows it again."""
    hook: str
    """The hook's name."""
    event: HookEvent
    happened_at: datetime
    facts: Mapping[str, Any]
    """What the event is about: members of the JSON object."""
    tries: int = 0
    first_try: datetime | None = None
    next_try: datetime | None = None
    """None: given up."""
    last_error: str = ""


class DeliveryResult(Struct, frozen=True):
    """What has come of one try of a delivery."""

    why: str = ""
    """Why it has failed; empty: it was made."""
    retry_after: float | None = None
    """Seconds for which the hook asks to be left alone."""


def hook_name(settings: HookSettings) -> str:
    """The hook's own name, else one made from what it calls."""
    from hashlib import sha256  # noqa: PLC0415 - only with hooks

    if settings.name is not None:
        return settings.name
    what = "\0".join(settings.command) if settings.command else settings.url or ""
    return f"hook-{sha256(what.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"


def subscribers(hooks: Iterable[HookSettings]) -> Mapping[HookEvent, tuple[str, ...]]:
    """The names of hooks by the events that they are told of."""
    found: dict[HookEvent, tuple[str, ...]] = {}
    for hook in hooks:
        for event in map(HookEvent, dict.fromkeys(hook.on)):
            found[event] = (*found.get(event, ()), hook_name(hook))
    return found
