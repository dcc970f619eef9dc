"""Events as they are told to a client of the daemon, and back. Lines and requests are ``wire``'s.

A plan is not told: it holds links. What is told holds none, and no token.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations at run time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from artifact_sync.domain import events, model
from artifact_sync.domain.errors import Reason  # noqa: TC001 - msgspec reads the annotations at run time

if TYPE_CHECKING:
    from collections.abc import Mapping


class _RepoBegan(msgspec.Struct, frozen=True, tag_field="is", tag="repo_began"):
    repo: model.RepoName


class _FetchBegan(msgspec.Struct, frozen=True, tag_field="is", tag="fetch_began"):
    run: model.RunKey
    files: int


class _DownloadBegan(msgspec.Struct, frozen=True, tag_field="is", tag="download_began"):
    key: model.ArtifactKey
    total: int | None
    offset: int


class _BytesArrived(msgspec.Struct, frozen=True, tag_field="is", tag="bytes_arrived"):
    key: model.ArtifactKey
    count: int


class _Retrying(msgspec.Struct, frozen=True, tag_field="is", tag="retrying"):
    what: str
    delay: float
    why: str
    key: model.ArtifactKey | None = None


class _LinkRenewed(msgspec.Struct, frozen=True, tag_field="is", tag="link_renewed"):
    run: model.RunKey
    links: int


class _RunCompleted(msgspec.Struct, frozen=True, tag_field="is", tag="run_completed"):
    run: model.RunKey
    files: int
    finished_at: datetime | None = None


class _Noticed(msgspec.Struct, frozen=True, tag_field="is", tag="noticed"):
    message: str


class _Mirrored(msgspec.Struct, frozen=True):
    key: model.ArtifactKey
    path: str
    size: int
    sha256: str
    strength: model.Strength
    evidence: tuple[str, ...]
    version: str = ""
    etag: str = ""
    content_encoding: str = ""
    fetched_at: datetime | None = None


class _Downloaded(msgspec.Struct, frozen=True, tag_field="is", tag="downloaded"):
    mirrored: _Mirrored
    displaced: str | None = None


class Failure(msgspec.Struct, frozen=True):
    """``model.Failure``."""

    repo: str
    reason: Reason
    message: str
    run: str | None = None
    workflow: str | None = None
    task: str | None = None
    cube: str | None = None
    local_path: str | None = None

    @property
    def value(self) -> model.Failure:
        """The failure that was told."""
        return model.Failure(**msgspec.structs.asdict(self))


class _Failed(msgspec.Struct, frozen=True, tag_field="is", tag="failed"):
    failure: Failure
    key: model.ArtifactKey | None = None


_SIMPLE = MappingProxyType(
    {
        events.RepoBegan: _RepoBegan,
        events.FetchBegan: _FetchBegan,
        events.DownloadBegan: _DownloadBegan,
        events.BytesArrived: _BytesArrived,
        events.Retrying: _Retrying,
        events.LinkRenewed: _LinkRenewed,
        events.RunCompleted: _RunCompleted,
        events.Noticed: _Noticed,
    }
)
"""Events and their like on the wire, with the same fields."""

_BACK: Mapping[type, Any] = MappingProxyType({told: event for event, told in _SIMPLE.items()})

Told = (
    _RepoBegan
    | _FetchBegan
    | _DownloadBegan
    | _BytesArrived
    | _Retrying
    | _LinkRenewed
    | _RunCompleted
    | _Noticed
    | _Downloaded
    | _Failed
)


def told(event: events.Event) -> Told | None:
    """The event as it is told; None: it is not."""
    match event:
        case events.Downloaded(mirrored, displaced):
            return _Downloaded(_Mirrored(**fields(mirrored, _Mirrored)), displaced)
        case events.Failed(failure, key):
            return _Failed(told_failure(failure), key)
        case _:
            kind: Any = _SIMPLE.get(type(event))
            return kind(**fields(event, kind)) if kind else None


def event_of(told: Told) -> events.Event:
    """The event that was told."""
    match told:
        case _Downloaded(mirrored, displaced):
            values = msgspec.structs.asdict(mirrored)
            return events.Downloaded(model.Mirrored(**values), displaced)
        case _Failed(failure, key):
            return events.Failed(failure.value, key)
        case _:
            event: events.Event = _BACK[type(told)](**msgspec.structs.asdict(told))
            return event


def told_failure(failure: model.Failure) -> Failure:
    """A failure as it is told."""
    return Failure(**fields(failure, Failure))


def fields(value: object, kind: type[msgspec.Struct]) -> dict[str, Any]:
    """What a value has of a struct's fields."""
    return {name: getattr(value, name) for name in kind.__struct_fields__}
