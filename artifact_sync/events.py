"""What happened, as frozen values. The bar, the log and the counters are observers of them.

Observers are called on the event loop and must not block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from artifact_sync.model import ArtifactKey, Failure, Mirrored, Plan, RepoName, RunKey
    from artifact_sync.report import Report


@dataclass(frozen=True, slots=True)
class RepoBegan:
    """A pass looks at a repository."""

    repo: RepoName


@dataclass(frozen=True, slots=True)
class RepoListed:
    """A repository's list of runs was read, as far as is needed."""

    repo: RepoName


@dataclass(frozen=True, slots=True)
class RepoEnded:
    """The pass has done with a repository."""

    repo: RepoName
    report: Report
    """The repository's own counts and failures; not to be changed."""


@dataclass(frozen=True, slots=True)
class RunPlanned:
    """What a run needs is known; downloads follow (none in a dry run)."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class FetchBegan:
    """So many artifacts of a run are about to be fetched."""

    run: RunKey
    files: int


@dataclass(frozen=True, slots=True)
class DownloadBegan:
    """Bytes of an artifact begin to arrive."""

    key: ArtifactKey
    total: int | None
    offset: int
    """The bytes already staged by an earlier try, which are not fetched again."""


@dataclass(frozen=True, slots=True)
class BytesArrived:
    """More bytes of an artifact were received."""

    key: ArtifactKey
    count: int


@dataclass(frozen=True, slots=True)
class Retrying:
    """A try failed and another one follows after a delay in seconds."""

    what: str
    delay: float
    why: str
    key: ArtifactKey | None = None


@dataclass(frozen=True, slots=True)
class LinkRenewed:
    """A run was got again for fresh links."""

    run: RunKey
    links: int


@dataclass(frozen=True, slots=True)
class Downloaded:
    """An artifact is in the mirror and in the ledger."""

    mirrored: Mirrored
    displaced: str | None = None
    """Where a file that was in the way has been moved, below the root."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Something selected is not in the mirror."""

    failure: Failure
    key: ArtifactKey | None = None


@dataclass(frozen=True, slots=True)
class RunCompleted:
    """Everything selected of a run is present; its manifest is written."""

    run: RunKey
    files: int
    finished_at: datetime | None = None
    """When the run ended upstream, where this is the first time that its mirror is complete."""


@dataclass(frozen=True, slots=True)
class Noticed:
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
