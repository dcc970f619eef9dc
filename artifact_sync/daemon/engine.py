"""Protocol of what the daemon works with: mirror, ledger, network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from contextlib import AbstractAsyncContextManager

    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.ports import Clock, Ledger, RepositoryLock, WatchedMirror
    from artifact_sync.domain.request import PassRequest
    from artifact_sync.domain.settings import Config
    from artifact_sync.mirror.layout import Layout
    from artifact_sync.runtime.threads import Offload
    from artifact_sync.sync.context import Drain
    from artifact_sync.sync.sync_pass import Pass


class Engine(Protocol):
    """One mirror and ledger for the daemon's life; a replaceable network."""

    config: Config
    """The configuration with which passes begin."""
    mirror: WatchedMirror
    """The mirror, locked against other processes."""
    ledger: Ledger
    """The mirror's ledger."""
    layout: Layout
    """The mirror's layout."""
    lock: RepositoryLock
    """Exclusion of all passes over the mirror."""
    offload: Offload
    """Threads for blocking calls."""
    clock: Clock
    """Time."""
    drain: Drain
    """Counts the downloads, and refuses new ones at the end."""

    def begin(
        self,
        request: PassRequest,
        observer: Observer,
        lock: RepositoryLock,
    ) -> AbstractAsyncContextManager[Pass]:
        """A pass with the present configuration, which it keeps to its end.

        It holds each repository in ``lock`` while it works on it.
        """

    def repositories(self, org: str) -> AsyncGenerator[RepoName]:
        """Every repository of an organisation; see ``sync.organisation``."""

    async def apply(self, config: Config) -> None:
        """Use a configuration for passes that begin from now on. ``ConfigError``: nothing was done.

        Root, layout, durability and ledger do not change.
        """

    async def refresh(self) -> bool:
        """Read the token again and use it; whether it has changed.

        ``ConfigError`` when it cannot be read: the old one stays in use.
        """

    def replaced(self) -> bool:
        """Whether another mirror is at the root now, after ``MirrorGone``. Blocking."""

    def allowed(self) -> int | None:
        """Bytes a second that downloads may take now; None: no limit."""
