"""Protocol of what the socket and the web ask of the daemon."""

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
    """Queries and commands for a running daemon, on its event loop."""

    def live(self) -> DaemonState:
        """The state now. Cheap."""

    async def status(self) -> dict[str, Any]:
        """The object of ``status --json``: the ledger's ``repositories``, and ``daemon``.

        ``ArtifactSyncError`` when the ledger cannot be read.
        """

    async def unready(self) -> Sequence[str]:
        """Why the daemon is not ready, a sentence each; empty: it is."""

    def wake(self, repo: RepoName, run: str | None = None) -> bool:
        """Have a pass over a repository soon, where ``run`` has ended. False: not watched.

        Returns at once. Many calls before the pass begins make one pass.
        """

    async def carry_out(self, request: PassRequest, observer: Observer) -> Report:
        """Run a pass for a user, after one over the same repository.

        Cancelling the caller does not cancel the pass. Raises ``ArtifactSyncError`` when it could
        not begin, such as ``Interrupted`` when the daemon is stopping.
        """
