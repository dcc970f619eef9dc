"""Runs passes side by side, but never two over the same repository."""

from __future__ import annotations

from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from artifact_sync.daemon.progress import EventFanout
from artifact_sync.daemon.schedule.turns import PassVerdict
from artifact_sync.domain.errors import CredentialsRefused, LeaseLost, RepositoryBusy, Unreachable
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
    from artifact_sync.sync.sync_pass import PassResult


@dataclass(slots=True)
class _Busy:
    """A repository that passes of this process work on."""

    passes: int = 0
    """The one that runs and those that wait for it."""
    events: EventFanout | None = None
    """Where the events of the pass that runs go."""


class RunningPasses:
    """Runs passes. ``observers`` hear of every event of every pass.

    Also a ``RepositoryLock``: a repository that is held through it is ``busy``.
    """

    def __init__(
        self, engine: Engine, progress: PassProgress, observers: Sequence[Observer]
    ) -> None:
        self._engine = engine
        self._progress = progress
        self._observers = (progress, *observers)
        self._busy: dict[RepoName, _Busy] = {}

    @property
    def busy(self) -> AbstractSet[RepoName]:
        """Repositories with a pass that runs or waits for another one to end."""
        return self._busy.keys()

    async def carry_out(
        self, request: PassRequest, why: str, observer: Observer | None = None
    ) -> PassResult:
        """Run a pass to its end, once others over the same repositories have ended.

        ``observer`` also hears of the passes that are waited for. Raises what kept the pass from
        beginning.
        """
        with self._progress.metered(_name_of(request), why) as meter:
            extra = [observer] if observer is not None else []
            events = EventFanout([meter, *self._observers, *extra])
            lock = _ObservedLock(self, events, observer)
            async with self._engine.begin(request, events, lock) as one_pass:
                return await one_pass.run()

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

    def events_of(self, repo: RepoName) -> EventFanout | None:
        """The receiver of a repository's events; None: there is no pass."""
        return self._busy[repo].events if repo in self._busy else None

    @contextmanager
    def observed(self, repo: RepoName, events: EventFanout) -> Iterator[None]:
        """Set ``events_of`` a repository that is held, to the end of the block."""
        self._busy[repo].events = events
        try:
            yield
        finally:
            self._busy[repo].events = None


@dataclass(frozen=True, slots=True)
class _ObservedLock:
    """The ``RepositoryLock`` of one pass. While it waits, its observer sees the pass before."""

    passes: RunningPasses
    events: EventFanout
    observer: Observer | None

    @asynccontextmanager
    async def hold(self, repo: RepoName, *, wait: bool = True) -> AsyncGenerator[Lease]:
        before = self.passes.events_of(repo)
        with ExitStack() as waiting:
            if before is not None and self.observer is not None:
                before.observers.append(self.observer)
                waiting.callback(before.observers.remove, self.observer)
            async with self.passes.hold(repo, wait=wait) as lease:
                waiting.close()
                with self.passes.observed(repo, self.events):
                    yield lease


def _name_of(request: PassRequest) -> str:
    names = [settings.name for settings in request.repos]
    return names[0] if len(names) == 1 else f"{len(names)} repositories"


def verdict_of(trouble: Exception | None) -> PassVerdict:
    """What the error of a pass says of the repository or the service.

    401 is about the token and so about every repository; 403 is about this one.
    """
    if trouble is None:
        return PassVerdict.WELL
    if isinstance(trouble, RepositoryBusy | LeaseLost):
        return PassVerdict.BUSY
    if isinstance(trouble, Unreachable):
        return PassVerdict.UNREACHABLE
    if isinstance(trouble, CredentialsRefused) and trouble.status == HTTPStatus.UNAUTHORIZED:
        return PassVerdict.REFUSED
    return PassVerdict.FAILED


async def finished(
    ledger: RunLedger, repo: RepoName, announced: Collection[str]
) -> tuple[str, ...]:
    """The announced runs that are finished by the ledger."""
    rows = [await ledger.run(RunKey(repo, run)) for run in announced]
    return tuple(row.key.run for row in rows if row is not None and row.status in FINISHED)
