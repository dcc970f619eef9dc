"""Passes of the daemon: many side by side, but never two over the same repository."""

from __future__ import annotations

from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from artifact_sync.daemon.progress import EventFanout
from artifact_sync.daemon.schedule import PassVerdict
from artifact_sync.domain.errors import CredentialsRefused, Unreachable
from artifact_sync.domain.model import FINISHED, RunKey

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from artifact_sync.daemon.engine import Engine
    from artifact_sync.daemon.progress import PassProgress
    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.ports import Lease, RunLedger
    from artifact_sync.domain.request import PassRequest
    from artifact_sync.sync.sync_pass import Pass


@dataclass(slots=True)
class _Busy:
    """A repository that passes of this process are over."""

    passes: int = 0
    """The one that runs and those that wait for it."""
    fan: EventFanout | None = None
    """Who is told of what the one does that runs."""


class Passes:
    """Carries passes out. ``watchers``: who is told of every event of every pass.

    A ``RepositoryLock``, too: what is held by it is ``busy``.
    """

    def __init__(self, engine: Engine, board: PassProgress, watchers: Sequence[Observer]) -> None:
        self._engine = engine
        self._board = board
        self._watchers = (board, *watchers)
        self._busy: dict[RepoName, _Busy] = {}

    @property
    def busy(self) -> AbstractSet[RepoName]:
        """Repositories with a pass running over them, or waiting for another one's end."""
        return self._busy.keys()

    def is_busy(self, repo: RepoName) -> bool:
        """Whether ``busy`` has it."""
        return repo in self._busy

    async def carry_out(self, wish: PassRequest, why: str, watcher: Observer | None = None) -> Pass:
        """A pass, carried out; a repository that another one is over is waited for.

        Raises what kept it from beginning.
        """
        with self._board.metered(_named(wish), why) as meter:
            fan = EventFanout([meter, *self._watchers, *([watcher] if watcher is not None else [])])
            lock = _ObservedLock(self, fan, watcher)
            async with self._engine.begin(wish, fan, lock) as one_pass:
                await one_pass.run()
        return one_pass

    @asynccontextmanager
    async def hold(self, repo: RepoName, *, wait: bool = True) -> AsyncGenerator[Lease]:
        """Hold a repository; see ``RepositoryLock``."""
        busy = self._busy.setdefault(repo, _Busy())
        busy.passes += 1
        try:
            async with self._engine.lock.hold(repo, wait=wait) as lease:
                yield lease
        finally:
            busy.passes -= 1
            if not busy.passes:
                del self._busy[repo]

    def fan_of(self, repo: RepoName) -> EventFanout | None:
        """Who is told of what the pass does that runs over a repository."""
        return self._busy[repo].fan if repo in self._busy else None

    @contextmanager
    def observed(self, repo: RepoName, fan: EventFanout) -> Iterator[None]:
        """Let ``fan_of`` a repository that is held be this one."""
        self._busy[repo].fan = fan
        try:
            yield
        finally:
            self._busy[repo].fan = None


@dataclass(frozen=True, slots=True)
class _ObservedLock:
    """``RepositoryLock`` of one pass. While it waits, its watcher sees what the one before does."""

    passes: Passes
    fan: EventFanout
    watcher: Observer | None

    @asynccontextmanager
    async def hold(self, repo: RepoName, *, wait: bool = True) -> AsyncGenerator[Lease]:
        before = self.passes.fan_of(repo)
        with ExitStack() as waiting:
            if before is not None and self.watcher is not None:
                before.observers.append(self.watcher)
                waiting.callback(before.observers.remove, self.watcher)
            async with self.passes.hold(repo, wait=wait) as lease:
                waiting.close()
                with self.passes.observed(repo, self.fan):
                    yield lease


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


async def finished(
    ledger: RunLedger, repo: RepoName, announced: Collection[str]
) -> tuple[str, ...]:
    """Those of the announced runs that the ledger knows as finished."""
    rows = [await ledger.run(RunKey(repo, run)) for run in announced]
    return tuple(row.key.run for row in rows if row is not None and row.status in FINISHED)
