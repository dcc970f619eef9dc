"""Events of a pass, for observers.

Each value has a tag, so that the daemon can send it to a client as it is. Observers are called on
the event loop and must not block.
"""

from __future__ import annotations

# Not for the checkers alone: whoever asks a ``Struct`` for its signature needs these names.
# ruff: noqa: TC001, TC003
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from artifact_sync.domain.model import (
    ArtifactKey,
    ArtifactRow,
    Failure,
    Mirrored,
    MirrorPath,
    Plan,
    RepoName,
    RunKey,
)
from artifact_sync.domain.report import Report


def _tag(name: str) -> str:
    return "".join(f"_{it.lower()}" if it.isupper() else it for it in name).lstrip("_")


class _Event(Struct, frozen=True, tag_field="is", tag=_tag):
    """The base of all events."""


class RepoBegan(_Event, frozen=True):
    """A pass looks at a repository."""

    repo: RepoName


class RepoListed(_Event, frozen=True):
    """A repository's list of runs was read, as far as is needed."""

    repo: RepoName


class RepoEnded(_Event, frozen=True):
    """The pass over a repository has ended."""

    repo: RepoName
    report: Report
    """The repository's own counts and failures; not to be changed."""


class RunPlanned(_Event, frozen=True):
    """What a run needs is known; downloads follow (none in a dry run)."""

    plan: Plan


class FetchBegan(_Event, frozen=True):
    """Some artifacts of a run are about to be fetched."""

    run: RunKey
    files: int


class DownloadBegan(_Event, frozen=True):
    """Bytes of an artifact begin to arrive."""

    key: ArtifactKey
    total: int | None
    offset: int
    """The bytes already staged by an earlier try, which are not fetched again."""


class BytesArrived(_Event, frozen=True):
    """More bytes of an artifact were received."""

    key: ArtifactKey
    count: int


class Retrying(_Event, frozen=True):
    """A try failed and another one follows after a delay in seconds."""

    what: str
    delay: float
    why: str
    key: ArtifactKey | None = None


class LinkRenewed(_Event, frozen=True):
    """A run was fetched again for fresh links."""

    run: RunKey
    links: int


class Downloaded(_Event, frozen=True):
    """An artifact is in the mirror and in the ledger."""

    mirrored: Mirrored
    displaced: str | None = None
    """Where a file that was in the way has been moved, below the root."""


class Failed(_Event, frozen=True):
    """Something selected is not in the mirror."""

    failure: Failure
    key: ArtifactKey | None = None


class RunCompleted(_Event, frozen=True):
    """Everything selected of a run is present; its manifest is written."""

    run: RunKey
    files: int
    finished_at: datetime | None = None
    """When the run ended upstream, where this is the first time that its mirror is complete."""


class FilesRemoved(_Event, frozen=True):
    """Files of a run are removed from the mirror for good."""

    run: RunKey
    rows: tuple[ArtifactRow, ...]
    """Whose files they were."""
    left: tuple[MirrorPath, ...] = ()
    """What stays in the run's folder, since nobody recorded it."""
    kept_bytes: int = 0
    """Bytes of these files that are not free, since other files share their blocks."""

    @property
    def freed_bytes(self) -> int:
        """Bytes that are free now."""
        return max(sum(row.size or 0 for row in self.rows) - self.kept_bytes, 0)


class PruneRefused(_Event, frozen=True):
    """What was to be pruned stays."""

    run: RunKey
    """Without a number: the repository as a whole."""
    why: str


class Remembered(_Event, frozen=True):
    """What was let go of a run is taken back."""

    run: RunKey
    rows: tuple[ArtifactRow, ...]
    """As they are now."""


class Noticed(_Event, frozen=True):
    """A warning for the log that is no failure, such as an unknown status."""

    message: str
    unfit: RepoName | None = None
    """The repository of which a filter has fitted nothing; None: another warning."""


Event = (
    RepoBegan
    | RepoListed
    | RepoEnded
    | RunPlanned
    | FetchBegan
    | DownloadBegan
    | BytesArrived
    | Retrying
    | LinkRenewed
    | Downloaded
    | Failed
    | RunCompleted
    | FilesRemoved
    | PruneRefused
    | Remembered
    | Noticed
)


class Observer(Protocol):
    """Receives events."""

    def notify(self, event: Event) -> None:
        """Take one event. Must return at once and must not raise."""
