"""What the control socket and the web may ask of the daemon, as a Protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.report import Report
    from artifact_sync.domain.request import PassRequest
    from artifact_sync.domain.status import DaemonState


class DaemonApi(Protocol):
    """What may be asked of a running daemon. On the event loop; safe from many tasks at once."""

    def live(self) -> DaemonState:
        """The state of this moment. Cheap."""

    async def status(self) -> dict[str, Any]:
        """The object of ``status --json``: ``repositories`` from the ledger, and ``daemon``."""

    async def unready(self) -> Sequence[str]:
        """Why ``/readyz`` should say 503, a sentence each; empty: ready."""

    def wake(self, repo: RepoName, run: str | None = None) -> bool:
        """A webhook says that a run has ended: look soon. False: no repository of ours.

        Returns at once; waking a repository often makes one pass, not many.
        """

    async def carry_out(self, wish: PassRequest, observer: Observer) -> Report:
        """A pass for a user who waits, begun at once, or as soon as a pass of the same is over.

        Cancelling the caller does not cancel the pass. Raises ``ArtifactSyncError`` when it could
        not be begun, ``Interrupted`` above all when the daemon is stopping.
        """
