"""What happened, as frozen values. The bar, the log and the counters are observers of them.

Observers are called on the event loop and must not block.
"""

from __future__ import annotations

# Not for the checkers alone: whoever asks a ``Struct`` for its signature needs these names.
# ruff: noqa: TC001, TC003
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from artifact_sync.domain.model import ArtifactKey, Failure, Mirrored, Plan, RepoName, RunKey
from artifact_sync.domain.report import Report


class RepoBegan(Struct, frozen=True):
    """A pass looks at a repository."""

    repo: RepoName


class RepoListed(Struct, frozen=True):
    """A repository's list of runs was read, as far as is needed."""

    repo: RepoName


class RepoEnded(Struct, frozen=True):
    """The pass has done with a repository."""

    repo: RepoName
    report: Report
    """The repository's own counts and failures; not to be changed."""


class RunPlanned(Struct, frozen=True):
    """What a run needs is known; downloads follow (none in a dry run)."""

    plan: Plan


class FetchBegan(Struct, frozen=True):
    """So many artifacts of a run are about to be fetched."""

    run: RunKey
    files: int


class DownloadBegan(Struct, frozen=True):
    """Bytes of an artifact begin to arrive."""

    key: ArtifactKey
    total: int | None
    offset: int
    """The bytes already staged by an earlier try, which are not fetched again."""


class BytesArrived(Struct, frozen=True):
    """More bytes of an artifact were received."""

    key: ArtifactKey
    count: int


class Retrying(Struct, frozen=True):
    """A try failed and another one follows after a delay in seconds."""

    what: str
    delay: float
    why: str
    key: ArtifactKey | None = None


class LinkRenewed(Struct, frozen=True):
    """A run was got again for fresh links."""

    run: RunKey
    links: int


class Downloaded(Struct, frozen=True):
    """An artifact is in the mirror and in the ledger."""

    mirrored: Mirrored
    displaced: str | None = None
    """Where a file that was in the way has been moved, below the root."""


class Failed(Struct, frozen=True):
    """Something selected is not in the mirror."""

    failure: Failure
    key: ArtifactKey | None = None


class RunCompleted(Struct, frozen=True):
    """Everything selected of a run is present; its manifest is written."""

    run: RunKey
    files: int
    finished_at: datetime | None = None
    """When the run ended upstream, where this is the first time that its mirror is complete."""


class Noticed(Struct, frozen=True):
    """Something worth a line in the log that is no failure, such as an unknown status."""

    message: str


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
    | Noticed
)


class Observer(Protocol):
    """Whoever wants to know what happens."""

    def notify(self, event: Event) -> None:
        """Take one event. Must return at once and must not raise."""
