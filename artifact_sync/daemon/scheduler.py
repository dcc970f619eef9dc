"""``Daemon``: begins passes when they are due, until it is told to stop.

When that is, is ``schedule``'s; a pass is ``passes``'; what others ask of the daemon is
``counter``'s. Nothing here knows of systemd, sockets or files.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar

from artifact_sync.daemon.background import first_of
from artifact_sync.daemon.health import MirrorHealth
from artifact_sync.daemon.lag import Lags
from artifact_sync.daemon.pass_log import say
from artifact_sync.daemon.running_passes import Passes, finished, verdict_of
from artifact_sync.daemon.schedule import (
    Agenda,
    Ended,
    Moment,
    OutageEnded,
    PassVerdict,
    Why,
    rhythm_of,
)
from artifact_sync.daemon.unchanged import UnchangedRepositories, unchanged_since
from artifact_sync.daemon.watched_repositories import WatchedRepositories
from artifact_sync.domain.errors import ArtifactSyncError, ConfigError
from artifact_sync.domain.events import RepoListed
from artifact_sync.domain.model import RepoName
from artifact_sync.runtime.logs import get_logger
from artifact_sync.sync.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence
    from datetime import datetime

    from artifact_sync.daemon.engine import Engine
    from artifact_sync.daemon.progress import PassProgress
    from artifact_sync.daemon.schedule import Notice, Turn
    from artifact_sync.domain.events import Event, Observer
    from artifact_sync.domain.settings import Config, RepoSettings

Result = TypeVar("Result")

_log = get_logger(__name__)

_PASSES = 12
"""Passes at the same time; downloads and requests have limits of their own."""

_URGENT = 8
"""So many more for those that were woken, should all of these be at long work."""

_REST = 5.0
"""Seconds after which the clocks are looked at again, however long nothing is due."""

_HOLD = 0.1
"""Seconds between two looks at what is due but has a pass of a user's running."""

_WRAP_UP = 2.0
"""Seconds that passes have to write down how they ended."""


class Daemon:
    """Looks after repositories. ``run`` until ``stop``; on one event loop."""

    def __init__(
        self, engine: Engine, board: PassProgress, agenda: Agenda, watchers: Sequence[Observer]
    ) -> None:
        self.engine = engine
        self.agenda = agenda
        self.passes = Passes(engine, board, (*watchers, self))
        self.roster = WatchedRepositories(engine.config.repo)
        self.lags = Lags()
        self.unchanged = UnchangedRepositories()
        self.must_look: Callable[[], bool] = lambda: False
        """Whether each pass has to see for itself if the mirror's files stand."""
        self.ground = MirrorHealth(engine, self.look_again, self.stop)
        self.stopping = asyncio.Event()
        self.tried = asyncio.Event()
        """Set once the first listing was tried."""
        self.broken_off = False
        """Told to stop twice: what was in flight had no time to finish."""
        self._hurry = asyncio.Event()
        self._stir = asyncio.Event()
        self._turns = 0
        """Passes that the schedule has begun and that are running."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._tokens = asyncio.Lock()

    def notify(self, event: Event) -> None:
        """Events of the passes: one that has read a list has reached the service."""
        if isinstance(event, RepoListed):
            self.tried.set()  # what follows may take hours
            self._tell(self.agenda.answered(event.repo, self.moment))
            self._stir.set()

    @property
    def moment(self) -> Moment:
        """Now, by both clocks."""
        return Moment(self.engine.clock.monotonic(), self.engine.clock.now())

    async def remember(self) -> None:
        """Learn from the ledger when repositories were last complete."""
        moment, ledger = self.moment, self.engine.ledger
        for repo in await ledger.repositories():
            complete = (await ledger.totals(repo)).last_complete
            if complete is not None:
                self.lags.was_complete(repo, -moment.until(complete), moment.monotonic)

    async def run(self) -> None:
        """Begin what is due, until ``stop``; then let files in flight finish, for a while."""
        self._assign()
        if not self.roster.entries:
            _log.warning("no repository to look after: add a [[repo]] to the configuration")
            self.tried.set()
        try:
            while not self.stopping.is_set():
                self._begin()
                await self._rest()
        finally:
            await self._wind_up()

    def stop(self) -> None:
        """Begin nothing new and come to an end; a second call gives no grace any more."""
        if self.stopping.is_set():
            self.broken_off = True
            self._hurry.set()
            self._break_off()
        self.stopping.set()
        self.engine.gate.close()
        self._stir.set()

    def wake(self, repo: RepoName, why: Why, run: str | None = None) -> bool:
        """Look at a repository soon; False when none of that name is looked after."""
        woken = self.agenda.wake(repo, why, self.moment, run=run)
        if not woken and self.roster.knows_organisation(repo.org):
            woken = self.agenda.wake(RepoName.star(repo.org), why, self.moment)
        self._stir.set()
        return woken

    def configure(self, config: Config) -> None:
        """Look after what this configuration names. The engine has taken it already."""
        self.roster.configure(config.repo)
        self.unchanged.forget()
        self._assign()

    async def refresh(self) -> None:
        """Read the token again; when it is another one, everything is worth another look.

        ``ConfigError`` when it cannot be read.
        """
        async with self._tokens:
            if await self.engine.refresh():
                _log.info("the token was replaced and is used from now on")
                self.look_again()

    def look_again(self, repos: frozenset[RepoName] | None = None, why: Why = Why.AGAIN) -> None:
        """Look at these, or all, at once, whatever else was put off."""
        if repos is None:
            self.agenda.wake_all(why, self.moment, eager=True)
        for repo in repos or ():
            self.agenda.wake(repo, why, self.moment, eager=True)
        self._stir.set()

    def _assign(self) -> None:
        settings, daemon = self.roster.entries, self.engine.config.daemon
        self.lags.keep(settings.keys())
        self.unchanged.keep(settings.keys())
        self.ground.keep(settings.keys())
        rhythms = {repo: rhythm_of(it, daemon) for repo, it in settings.items()}
        self.agenda.assign(rhythms, self.moment)
        self._stir.set()

    def _begin(self) -> None:
        """Begin all that is due and has room."""
        self._stir.clear()
        if self.ground.gone:
            return
        room = _PASSES - self._turns
        extra = _URGENT if room >= 0 else max(_URGENT + room, 0)
        for turn in self.agenda.take(self.moment, max(room, 0), self.passes.busy, extra=extra):
            self._turns += 1
            self.attend(self._turn(turn))

    def attend(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Carry on with something to its end, or until the daemon's."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self._stir.set()

    async def _rest(self) -> None:
        """Wait until something may be due, or something has happened."""
        due = self.agenda.next_in(self.moment)
        full = self.ground.gone or self._turns >= _PASSES + _URGENT
        seconds = _REST if due is None or full else min(max(due, _HOLD), _REST)
        await first_of(self._stir.wait(), self.engine.clock.sleep(seconds))

    async def _turn(self, turn: Turn) -> None:
        """Carry a turn out and tell the schedule how it went."""
        try:
            ended = await self._carried_out(turn)
        finally:
            self._turns -= 1
        if ended.verdict is not PassVerdict.WELL:
            now = self.moment.monotonic
            self.lags.ended(turn.repo, caught_up=False, complete=False, now=now)
        notices = self.agenda.ended(turn.repo, ended, self.moment)
        if not self.stopping.is_set():  # what was broken off says nothing of the service
            self._tell(notices)
        if ended.verdict is PassVerdict.REFUSED:
            await self.try_new_token()
        self.tried.set()

    def _tell(self, notices: Iterable[Notice]) -> None:
        """Say them; when an outage is over, go on at once with what it has left missing."""
        for notice in notices:
            say(notice)
            if isinstance(notice, OutageEnded):
                self.look_again(frozenset(filter(self.lags.is_behind, self.roster.entries)))

    async def _carried_out(self, turn: Turn) -> Ended:
        settings = self.roster.entries.get(turn.repo)
        try:
            if settings is None:
                return Ended(PassVerdict.WELL)  # it was taken away this moment
            if turn.repo.is_star:
                return await self._list_organisation(turn.repo.org)
            return await self._pass(turn, settings)
        except Exception as error:  # noqa: BLE001 - one bad repository never stops the others
            if not isinstance(error, ArtifactSyncError):
                _log.exception("a look failed in a way that is a bug", repo=str(turn.repo))
            return Ended(verdict_of(error), str(error) or type(error).__name__)

    async def try_new_token(self) -> None:
        """``refresh``, for those who have no use for a reason why not."""
        try:
            await self.refresh()
        except ConfigError as error:
            _log.debug("the token cannot be read", why=str(error))

    async def _pass(self, turn: Turn, settings: RepoSettings) -> Ended:
        began = self.engine.clock.monotonic()
        request = self.unchanged.request(turn, settings, began, must_look=self.must_look())
        done = await self.passes.carry_out(request, str(turn.why))
        report, trouble = done.report, done.troubles.get(turn.repo)
        now = self.engine.clock.monotonic()
        await self.ground.judge(turn.repo, report)
        caught_up = trouble is None and report.caught_up
        next_look = await self._next_look(turn.repo, settings)
        settled = caught_up and not report.pending and next_look is None
        ledger = self.engine.ledger
        unchanged = await unchanged_since(ledger, turn.repo, report) if settled else None
        self.unchanged.ended(turn.repo, request, unchanged, now)
        self.lags.ended(turn.repo, caught_up=caught_up, complete=report.complete, now=now)
        error = next((it.message for it in report.failures), "")
        return Ended(
            verdict_of(trouble),
            str(trouble) if trouble is not None else error,
            await finished(ledger, turn.repo, turn.announced),
            next_look,
        )

    async def _next_look(self, repo: RepoName, settings: RepoSettings) -> datetime | None:
        """When something outstanding of the repository is due."""
        rules = Rules.of(settings, self.engine.layout.template)
        return await self.engine.ledger.next_look(rules.scope(repo, self.engine.clock.now()))

    async def _list_organisation(self, org: str) -> Ended:
        async with aclosing(self.engine.repositories(org)) as repositories:
            listed = [repo async for repo in repositories]
        added, gone = self.roster.found(org, listed)
        if added or gone:
            _log.info("organisation listed", org=org, new=len(added), gone=len(gone))
            self._assign()
        star, now = RepoName.star(org), self.moment.monotonic
        self.lags.ended(star, caught_up=True, complete=False, now=now)
        return Ended(PassVerdict.WELL)

    async def _wind_up(self) -> None:
        """Let files in flight finish within the grace time, then break the rest off."""
        self.engine.gate.close()
        grace = self.engine.config.daemon.grace
        inside = self.engine.gate.inside
        if inside and grace:
            _log.info("stopping; files in flight may finish", files=inside, within_s=grace)
        await first_of(
            self.engine.gate.emptied(), self.engine.clock.sleep(grace), self._hurry.wait()
        )
        if self._tasks and not self.engine.gate.inside:
            await asyncio.wait(self._tasks, timeout=_WRAP_UP)
        self._break_off()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _break_off(self) -> None:
        for task in self._tasks:
            task.cancel()
