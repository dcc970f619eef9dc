"""Decodes the body of a webhook call.

Every field may be absent or null. Slugs are checked: printable and without a slash.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from artifact_sync.domain.model import RepoName
from artifact_sync.domain.slugs import is_slug

EVENT_HEADER = "X-Src-Event"
"""Names an event's type where its body does not."""

PING = "webhook.ping"
RUN_COMPLETE = "run.complete"


class Malformed(Exception):
    """A body that is no event. The message repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class RunComplete:
    """A run has ended."""

    repo: RepoName
    run: str | None = None
    """Its slug; None: the event does not say."""
    id: str | None = None
    """The event's id, to recognise a repeat."""


@dataclass(frozen=True, slots=True)
class OtherEvent:
    """An event that wakes nothing, such as ``PING``, the service's test."""

    kind: str
    """Its type; empty: it has none."""


class _Header(msgspec.Struct):
    id: str | int | None = None
    type: str | None = None


class _Organisation(msgspec.Struct):
    slug: str | None = None


class _Repository(msgspec.Struct):
    slug: str | None = None
    organization: _Organisation | None = None


class _Run(msgspec.Struct):
    slug: str | int | None = None


class WebhookBody(msgspec.Struct):
    """What is read of a body."""

    header: _Header | None = None
    repository: _Repository | None = None
    run: _Run | None = None


_EVENT = msgspec.json.Decoder(WebhookBody)


def read_payload(body: bytes, announced: str = "") -> RunComplete | OtherEvent:
    """Decode an event. ``Malformed`` when it is none.

    ``announced`` is the type from ``X-Src-Event``, used only when the signed body has none.
    """
    try:
        event = _EVENT.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # The library's message repeats parts of the body.
        raise Malformed("not JSON, or not of an event's form") from None
    header = event.header or _Header()
    kind = header.type or announced
    if kind != RUN_COMPLETE:
        return OtherEvent(kind)
    run = event.run.slug if event.run is not None else None
    return RunComplete(
        _repo_of(event.repository),
        _slug(str(run), "run") if run not in {None, ""} else None,
        str(header.id) if header.id not in {None, ""} else None,
    )


def _repo_of(repository: _Repository | None) -> RepoName:
    if repository is None or repository.organization is None:
        raise Malformed("it names no repository")
    org, slug = repository.organization.slug, repository.slug
    return RepoName(_slug(org or "", "organisation"), _slug(slug or "", "repository"))


def _slug(text: str, what: str) -> str:
    if not is_slug(text):
        raise Malformed(f"its {what} has no usable slug")
    return text
