"""What the daemon is given to work with, as a Protocol. Building it is ``wiring``'s."""

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
    from artifact_sync.sync.drain import Drain
    from artifact_sync.sync.sync_pass import Pass


class Engine(Protocol):
    """One mirror and one ledger for a long life, and a network that is replaced when need be."""

    @property
    def config(self) -> Config:
        """The configuration that passes begin with."""

    @property
    def mirror(self) -> WatchedMirror:
        """The mirror, locked against other processes."""

    @property
    def ledger(self) -> Ledger:
        """Its ledger."""

    @property
    def layout(self) -> Layout:
        """Where things go in it."""

    @property
    def lock(self) -> RepositoryLock:
        """Exclusion of all passes over the mirror."""

    @property
    def offload(self) -> Offload:
        """Threads for what blocks."""

    @property
    def clock(self) -> Clock:
        """Time."""

    @property
    def gate(self) -> Drain:
        """What every download goes through."""

    def begin(
        self,
        wish: PassRequest,
        observer: Observer,
        lock: RepositoryLock,
    ) -> AbstractAsyncContextManager[Pass]:
        """A pass with the configuration of this moment, which it keeps to its end.

        It holds each repository in ``lock`` while it works on it.
        """

    def repositories(self, org: str) -> AsyncGenerator[RepoName]:
        """Every repository of an organisation, as ``Source.repositories``."""

    async def apply(self, config: Config) -> None:
        """Let passes that begin from now on use this configuration. ``ConfigError``: nothing done.

        Root, layout, durability and ledger stay what they were.
        """

    async def refresh(self) -> bool:
        """Read the token again; whether it is another one, which passes then use.

        ``ConfigError`` when it cannot be read: the old one stays.
        """

    def replaced(self) -> bool:
        """Whether another mirror stands where ours was, when ``Mirror.check`` says so. Blocking."""

    def allowed(self) -> int | None:
        """Bytes a second that downloads may take now; None: as many as come."""
