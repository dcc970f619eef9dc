"""Starts passes when they are due, and shuts down gracefully."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from artifact_sync.daemon.pass_log import log_notice
from artifact_sync.daemon.running_passes import RunningPasses, finished, verdict_of
from artifact_sync.daemon.schedule.turns import (
    Ended,
    OrganisationListed,
    OutageEnded,
    PassVerdict,
    Why,
    rhythm_of,
)
from artifact_sync.domain.errors import (
    ArtifactSyncError,
    ConfigError,
    LedgerTooNew,
    LedgerUnreachable,
    UnusableEntries,
)
from artifact_sync.domain.events import RepoListed
from artifact_sync.domain.model import RepoName
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.tasks import first_of
from artifact_sync.sync.failures import explained
from artifact_sync.sync.rules import Rules
from artifact_sync.sync.verify import Auditor

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
    from datetime import datetime

    from artifact_sync.daemon.context import DaemonContext
    from artifact_sync.daemon.schedule.turns import Notice, Turn
    from artifact_sync.domain.events import Event, Observer
    from artifact_sync.domain.request import PassRequest
    from artifact_sync.domain.settings import Config, RepoSettings
    from artifact_sync.sync.sync_pass import PassResult

Result = TypeVar("Result")

_log = get_logger(__name__)

_PASSES = 12
"""Passes at the same time; downloads and requests have limits of their own."""

_URGENT = 8
"""Additional passes for repositories that were woken, when all others are busy."""

_LONGEST_SLEEP = 5.0
"""Seconds after which the clocks are read again, however long nothing is due."""

_SHORTEST_SLEEP = 0.1
"""Seconds to wait while what is due has a user's pass running."""

_UNKNOWN = (
    "is not in the configuration of the worker that has taken its job: give all workers the same,"
    " and reload them"
)
"""Said of a repository whose job comes before the reload; whoever has no jobs does not hear it."""

_WRAP_UP = 2.0
"""Seconds for passes to record how they ended."""


class Scheduler:
    """Runs passes over the watched repositories. ``run`` until ``stop``; on one event loop.

    ``observers`` hear of every event of every pass. ``must_look`` says whether each pass has to
    check the newest files of the mirror, since no watch does.
    """

    def __init__(
        self,
        context: DaemonContext,
        observers: Sequence[Observer] = (),
        must_look: Callable[[], bool] = lambda: False,
    ) -> None:
        self.stopping = asyncio.Event()
        """Set once ``stop`` was called."""
        self.tried = asyncio.Event()
        """Set once the first pass, or its listing, was tried."""
        self._context = context
        self._engine = context.engine
        self._agenda = context.agenda
        self._passes = RunningPasses(context.engine, context.progress, (*observers, self))
        self._must_look = must_look
        self.killed = False
        """Whether it was stopped twice, so that downloads could not finish."""
        self._hurry = asyncio.Event()
        self._wake_up = asyncio.Event()
        self._turns = 0
        """Scheduled passes that are running."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._token_lock = asyncio.Lock()

    def notify(self, event: Event) -> None:
        """Learn from a pass that the service answers."""
        if isinstance(event, RepoListed):
            self.tried.set()  # what follows may take hours
            self._report(self._agenda.answered(event.repo, self._context.moment))
            self._wake_up.set()

    async def remember(self) -> None:
        """Read from the ledger when repositories were last complete."""
        moment, ledger = self._context.moment, self._engine.ledger
        for repo in await ledger.repositories():
            complete = (await ledger.totals(repo)).last_complete
            if complete is not None:
                self._context.lags.was_complete(repo, -moment.until(complete), moment.monotonic)

    async def run(self) -> None:
        """Start what is due until ``stop``, then let downloads finish for a while."""
        self._assign()
        if not self._context.repositories.entries:
            _log.warning("no repository to look after: add a [[repo]] to the configuration")
            self.tried.set()
        try:
            while not self.stopping.is_set():
                self._start_due()
                await self._sleep()
        finally:
            await self._shut_down()

    def stop(self) -> None:
        """Stop within the grace time; a second call stops at once."""
        if self.stopping.is_set():
            self.killed = True
            self._hurry.set()
            self._cancel_all()
        self.stopping.set()
        self._engine.drain.close()
        self._wake_up.set()

    def wake(self, repo: RepoName, why: Why, run: str | None = None) -> bool:
        """Have a pass over a repository soon; False when it is not watched."""
        moment = self._context.moment
        woken = self._agenda.wake(repo, why, moment, run=run)
        if not woken and self._context.repositories.knows_organisation(repo.org):
            woken = self._agenda.wake(RepoName.star(repo.org), why, moment)
        self._wake_up.set()
        return woken

    def look(self) -> None:
        """See at once whether something is due."""
        self._wake_up.set()

    def configure(self, config: Config) -> None:
        """Watch the repositories of a configuration. The engine must have taken it already."""
        self._context.repositories.configure(config.repo)
        self._context.unchanged.forget()
        self._assign()

    async def refresh_token(self) -> None:
        """Read the token again; if it has changed, look at every repository. ``ConfigError``."""
        async with self._token_lock:
            if await self._engine.refresh():
                _log.info("the token was replaced and is used from now on")
                self.look_again()

    async def try_refresh_token(self) -> None:
        """Read the token again; a failure is logged only."""
        try:
            await self.refresh_token()
        except ConfigError as error:
            _log.debug("the token cannot be read", why=str(error))

    async def check_health(self) -> None:
        """Check the mirror and its disk, and look again at what can succeed now.

        Stops when another mirror was put in its place, which only a new process can open.
        """
        health = self._context.health
        recovered = await health.check()
        if health.replaced is not None:
            self.stop()
        if recovered:
            self.look_again(recovered)
        if not health.gone:
            await self._context.endangered.refresh()

    async def check_ledger(self) -> None:
        """Stop when a newer program has migrated the ledger, as far as that answers."""
        try:
            with suppress(LedgerUnreachable):
                await self._engine.ledger.check_version()
        except LedgerTooNew as error:
            self.stop_outdated(error)

    def stop_outdated(self, error: LedgerTooNew) -> None:
        """Stop: what is under way checks the ledger itself when it begins."""
        self._context.health.outdated = error
        if not self.stopping.is_set():
            self.stop()

    def forget_unchanged(self) -> None:
        """Have the next pass over each repository check everything."""
        self._context.unchanged.forget()

    def look_again(self, repos: frozenset[RepoName] | None = None, why: Why = Why.AGAIN) -> None:
        """Have passes over these repositories, or all, at once, with everything put off."""
        moment = self._context.moment
        if repos is None:
            self._agenda.wake_all(why, moment, eager=True)
        for repo in repos or ():
            self._agenda.wake(repo, why, moment, eager=True)
        self._wake_up.set()

    def looks_after(self, repo: RepoName) -> bool:
        """Whether there are passes over a repository."""
        return repo in self._context.repositories.entries

    def is_busy(self, repo: RepoName) -> bool:
        """Whether a pass is over a repository, or waits for it."""
        return repo in self._passes.busy

    @property
    def auditor(self) -> Auditor:
        """Looks the mirror through; what it holds off passes for counts as busy."""
        it = self._engine
        return Auditor(it.mirror, it.ledger, it.layout, self._passes, it.offload)

    def carry_out(self, request: PassRequest, observer: Observer) -> asyncio.Task[PassResult]:
        """Start a user's pass, which the shutdown waits for."""
        return self.spawn(self._passes.carry_out(request, str(Why.USER), observer))

    def _assign(self) -> None:
        context, settings = self._context, self._context.repositories.entries
        for memory in (context.lags, context.unchanged, context.health):
            memory.keep(settings.keys())
        daemon = self._engine.config.daemon
        rhythms = {repo: rhythm_of(it, daemon) for repo, it in settings.items()}
        self._agenda.assign(rhythms, context.moment)
        self._wake_up.set()

    def _start_due(self) -> None:
        self._wake_up.clear()
        if self._context.health.gone:
            return
        room = _PASSES - self._turns
        extra = _URGENT if room >= 0 else max(_URGENT + room, 0)
        moment = self._context.moment
        for turn in self._agenda.take(moment, max(room, 0), self._passes.busy, extra=extra):
            self._turns += 1
            self.spawn(self._turn(turn))

    def spawn(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Run something as a task, to its end or until the daemon ends."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self._wake_up.set()

    async def _sleep(self) -> None:
        due = self._agenda.next_in(self._context.moment)
        blocked = self._context.health.gone or self._turns >= _PASSES + _URGENT
        seconds = _LONGEST_SLEEP
        if due is not None and not blocked:
            seconds = min(max(due, _SHORTEST_SLEEP), _LONGEST_SLEEP)
        await first_of(self._wake_up.wait(), self._engine.clock.sleep(seconds))

    async def _turn(self, turn: Turn) -> None:
        try:
            ended = await self._run_turn(turn)
        finally:
            self._turns -= 1
        if ended.verdict is not PassVerdict.WELL:
            now = self._context.moment.monotonic
            self._context.lags.ended(turn.repo, caught_up=False, complete=False, now=now)
        notices = self._agenda.ended(turn.repo, ended, self._context.moment)
        if not self.stopping.is_set():  # a cancelled pass says nothing of the service
            self._report(notices)
        if ended.verdict is PassVerdict.REFUSED:
            await self.try_refresh_token()
        self.tried.set()

    def _report(self, notices: Iterable[Notice]) -> None:
        """Log notices; when an outage is over, look again at what is behind."""
        for notice in notices:
            log_notice(notice)
            if isinstance(notice, OutageEnded):
                repos = self._context.repositories.entries
                self.look_again(frozenset(filter(self._context.lags.is_behind, repos)))

    async def _run_turn(self, turn: Turn) -> Ended:
        settings = self._context.repositories.settings_of(turn.repo)
        try:
            if settings is None:
                return Ended(PassVerdict.UNASKED, f"{turn.repo} {_UNKNOWN}")
            if turn.repo.is_star:
                return await self._list_organisation(turn.repo.org)
            return await self._pass(turn, settings)
        except Exception as error:  # noqa: BLE001 - one bad repository never stops the others
            if not isinstance(error, ArtifactSyncError):
                _log.error("a look has failed", repo=str(turn.repo), **explained(error))
            return Ended(verdict_of(error), str(error) or type(error).__name__)

    async def _pass(self, turn: Turn, settings: RepoSettings) -> Ended:
        context, clock, ledger = self._context, self._engine.clock, self._engine.ledger
        must_look = self._must_look()
        request = context.unchanged.request(turn, settings, clock.monotonic(), must_look=must_look)
        done = await self._passes.carry_out(request, str(turn.why))
        report, error = done.report, done.troubles.get(turn.repo)
        if isinstance(error, LedgerTooNew):
            self.stop_outdated(error)
        now = clock.monotonic()
        await context.health.pass_ended(turn.repo, report)
        caught_up = error is None and report.caught_up
        unchanged = done.unchanged.get(turn.repo)
        next_look = await self._next_look(turn.repo, settings) if unchanged is None else None
        context.unchanged.ended(turn.repo, request, unchanged, now)
        context.lags.ended(turn.repo, caught_up=caught_up, complete=report.complete, now=now)
        failure = next((it.message for it in report.failures), "")
        return Ended(
            verdict_of(error),
            str(error) if error is not None else failure,
            await finished(ledger, turn.repo, turn.announced),
            next_look,
        )

    async def _next_look(self, repo: RepoName, settings: RepoSettings) -> datetime | None:
        rules = Rules.of(settings, self._engine.layout.template)
        return await self._engine.ledger.next_look(rules.scope(repo, self._engine.clock.now()))

    async def _list_organisation(self, org: str) -> Ended:
        listed, error = await self._listed(org)
        added, gone = self._context.repositories.found(org, listed)
        if added or gone:
            self._assign()
            self._report(self._agenda.listed(OrganisationListed(org, len(added), len(gone))))
        star, now = RepoName.star(org), self._context.moment.monotonic
        self._context.lags.ended(star, caught_up=error is None, complete=False, now=now)
        return Ended(PassVerdict.WELL) if error is None else Ended(verdict_of(error), str(error))

    async def _listed(self, org: str) -> tuple[Collection[RepoName], UnusableEntries | None]:
        """The repositories of an organisation.

        Where some have no usable slug also those known before, and the error.
        """
        listed: dict[RepoName, None] = {}
        async with aclosing(self._engine.repositories(org)) as repositories:
            try:
                async for repo in repositories:
                    listed[repo] = None
            except UnusableEntries as error:
                known = self._context.repositories.listed(org) or ()
                return {**listed, **dict.fromkeys(known)}, error
        return listed, None

    async def _shut_down(self) -> None:
        """Let files in flight finish within the grace time, then cancel the rest."""
        drain, clock = self._engine.drain, self._engine.clock
        drain.close()
        grace = self._engine.config.daemon.grace
        if drain.inside and grace:
            _log.info("stopping; files in flight may finish", files=drain.inside, within_s=grace)
        await first_of(drain.emptied(), clock.sleep(grace), self._hurry.wait())
        if self._tasks and not drain.inside:
            await asyncio.wait(self._tasks, timeout=_WRAP_UP)
        self._cancel_all()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _cancel_all(self) -> None:
        for task in self._tasks:
            task.cancel()
