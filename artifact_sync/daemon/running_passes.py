"""Passes of the daemon: many side by side, but never two over the same repository."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from artifact_sync.daemon.progress import EventFanout
from artifact_sync.daemon.schedule import PassVerdict
from artifact_sync.domain.errors import CredentialsRefused, Unreachable
from artifact_sync.domain.model import FINISHED, RunKey

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Sequence
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from artifact_sync.daemon.engine import Engine
    from artifact_sync.daemon.progress import PassProgress
    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.ports import Ledger
    from artifact_sync.domain.report import Report
    from artifact_sync.domain.request import PassRequest
    from artifact_sync.sync.sync_pass import Pass


@dataclass(slots=True)
class _Held:
    """A repository that a pass is over."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    passes: int = 0
    """The one that runs and those that wait for it."""
    fan: EventFanout | None = None
    """Who is told of what the one does that runs."""


class Passes:
    """Carries passes out. ``watchers``: who is told of every event of every pass."""

    def __init__(self, engine: Engine, board: PassProgress, watchers: Sequence[Observer]) -> None:
        self._engine = engine
        self._board = board
        self._watchers = (board, *watchers)
        self._held: dict[RepoName, _Held] = {}

    @property
    def busy(self) -> AbstractSet[RepoName]:
        """Repositories with a pass running over them, or waiting for another one's end."""
        return self._held.keys()

    def is_busy(self, repo: RepoName) -> bool:
        """Whether ``busy`` has it."""
        return repo in self._held

    async def carry_out(self, wish: PassRequest, why: str, watcher: Observer | None = None) -> Pass:
        """A pass, carried out; a repository that another one is over is waited for.

        Raises what kept it from beginning.
        """
        with self._board.metered(_named(wish), why) as meter:
            fan = EventFanout([meter, *self._watchers, *([watcher] if watcher is not None else [])])
            turn = partial(self._turn, fan, watcher)
            async with self._engine.begin(wish, fan, turn) as one_pass:
                await one_pass.run()
        return one_pass

    @asynccontextmanager
    async def _turn(
        self, fan: EventFanout, watcher: Observer | None, repo: RepoName
    ) -> AsyncGenerator[None]:
        """A pass's turn at a repository. Whoever waits for it sees what the one before does."""
        before = self._held[repo].fan if repo in self._held else None
        with ExitStack() as waiting:
            if before is not None and watcher is not None:
                before.observers.append(watcher)
                waiting.callback(before.observers.remove, watcher)
            async with self.alone(repo):
                waiting.close()
                self._held[repo].fan = fan
                try:
                    yield
                finally:
                    self._held[repo].fan = None

    @asynccontextmanager
    async def alone(self, repo: RepoName) -> AsyncGenerator[None]:
        """Wait for a repository's pass to end, and keep others off it to the end of the block."""
        held = self._held.setdefault(repo, _Held())
        held.passes += 1
        try:
            async with held.lock:
                yield
        finally:
            held.passes -= 1
            if not held.passes:
                del self._held[repo]


def _named(wish: PassRequest) -> str:
    names = [settings.name for settings in wish.repos]
    return names[0] if len(names) == 1 else f"{len(names)} repositories"


def verdict_of(trouble: Exception | None) -> PassVerdict:
    """What it says of the repository, or of the service, that a look came to this end.

    401 means the token and so concerns every repository; 403 means this one.
    """
    if trouble is None:
        return PassVerdict.WELL
    if isinstance(trouble, Unreachable):
        return PassVerdict.UNREACHABLE
    if isinstance(trouble, CredentialsRefused) and trouble.status == HTTPStatus.UNAUTHORIZED:
        return PassVerdict.REFUSED
    return PassVerdict.FAILED


async def finished(ledger: Ledger, repo: RepoName, announced: Collection[str]) -> tuple[str, ...]:
    """Those of the announced runs that the ledger knows as finished."""
    rows = [await ledger.run(RunKey(repo, run)) for run in announced]
    return tuple(row.key.run for row in rows if row is not None and row.status in FINISHED)


async def record(ledger: Ledger, repo: RepoName, report: Report, at: datetime) -> None:
    """Put down a pass that has put down nothing itself. ``DiskError``."""
    await ledger.end_pass(await ledger.begin_pass(repo, at), report, at)
