"""What the daemon tells and takes: the ``DaemonApi`` that the socket and the web stand before.

Only values and the Protocol; what answers is ``service``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.report import Report
    from artifact_sync.domain.request import PassRequest


class ConfigState(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration in effect, and what is wrong with the one in the file, if anything."""

    path: str | None = None
    loaded_at: str = ""
    """ISO 8601, UTC."""
    problems: tuple[str, ...] = ()
    """Why the file as it is now was not taken; empty: it was."""
    restart_needed: tuple[str, ...] = ()
    """Keys whose new value counts only after a restart."""


class ServiceState(msgspec.Struct, frozen=True, kw_only=True):
    """The service as the last passes found it."""

    reachable: bool = True
    since: str = ""
    """Since when it has not been; ISO 8601."""
    why: str = ""


class PassState(msgspec.Struct, frozen=True, kw_only=True):
    """A pass that is running."""

    repo: str
    why: str
    """Why it was begun: ``interval``, ``webhook``, ``user``, …"""
    seconds: float
    """How long it has been running."""
    planned: int = 0
    """Files to be fetched, as far as is known."""
    done: int = 0
    failed: int = 0
    bytes: int = 0


class RepoState(msgspec.Struct, frozen=True, kw_only=True):
    """A repository on the schedule."""

    repo: str
    running: bool = False
    due_in: float | None = None
    """Seconds until it is looked at again; 0: as soon as there is room."""
    why: str = ""
    """What it will be looked at for."""
    failing: int = 0
    """Looks in a row that could not even be carried out."""
    error: str = ""
    """Of the last look."""
    lag: float = 0.0
    """Seconds for which it has not been as it should be; 0: it is."""


class WatchState(msgspec.Struct, frozen=True, kw_only=True):
    """The watch over the mirror's files."""

    mode: Literal["off", "report", "restore"] = "off"
    working: bool = False
    """False in a mode other than off: each pass looks instead."""
    why: str = ""
    """Why it is not working."""
    damaged: int = 0
    """Files that were found deleted or changed since the start."""
    restored: int = 0


class DaemonState(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon, live: ``daemon`` in the JSON of ``status``."""

    pid: int
    version: str
    since: str
    """When it was started; ISO 8601, UTC."""
    stopping: bool = False
    config: ConfigState = ConfigState()
    service: ServiceState = ServiceState()
    passes: tuple[PassState, ...] = ()
    queue: int = 0
    """Repositories that are due and wait for room."""
    downloads: int = 0
    """Files that are being fetched now."""
    rate: float = 0.0
    """Bytes a second, lately."""
    limit: int | None = None
    """Bytes a second that are allowed now; None: no limit."""
    free: int | None = None
    """Bytes free on the mirror's file system."""
    trouble: tuple[str, ...] = ()
    """What keeps the daemon as a whole from its work: no space, the root is gone, …"""
    watch: WatchState = WatchState()
    repositories: tuple[RepoState, ...] = ()


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
