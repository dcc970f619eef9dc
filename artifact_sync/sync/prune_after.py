"""Prunes after the daemon's passes: what brought something, or when the schedule says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.domain.errors import ArtifactSyncError, Reason, RepositoryBusy
from artifact_sync.domain.events import FilesRemoved, PruneRefused
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.units import size_in_words
from artifact_sync.sync.prune import compact, keep_of, plan_mirror, prune
from artifact_sync.sync.prune_plan import MAX_SIZE, PruneTerms, rules_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from datetime import datetime, tzinfo

    from artifact_sync.domain.events import Event, Observer
    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.ports import Clock
    from artifact_sync.domain.report import Report
    from artifact_sync.domain.settings import Config, RepoKeepSettings
    from artifact_sync.sync.forget import MirrorKeeper
    from artifact_sync.sync.prune_plan import RepoPlan

    MakeKeeper = Callable[[Observer], MirrorKeeper]

_log = get_logger(__name__)


class PruneSchedule:
    """Knows when each repository is to be pruned."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[tuple[RepoName, str], datetime] = {}
        """By repository and schedule: the moment after which the next time comes."""
        self._put_off: set[RepoName] = set()
        """Those that were due while somebody else worked on them."""

    def put_off(self, repo: RepoName) -> None:
        """Have a repository be due again at the next look."""
        self._put_off.add(repo)

    def due(
        self, repo: RepoName, keep: RepoKeepSettings, report: Report, zone: Callable[[], tzinfo]
    ) -> bool:
        """Whether to prune after a pass; each time of the schedule counts once.

        After one that lacked room, in any case.
        """
        if repo in self._put_off:
            self._put_off.remove(repo)
            return True
        if any(it.reason is Reason.NO_SPACE for it in report.failures):
            return True
        if keep.schedule is None:
            return report.downloaded > 0
        from artifact_sync.domain.cron import Cron  # noqa: PLC0415 - slow to import

        now = self._clock.now()
        since = self._since.setdefault((repo, keep.schedule), now)
        if not since <= now or Cron(keep.schedule, zone()).next_after(since) > now:
            return False
        self._since[repo, keep.schedule] = now
        return True


class PassPruner:
    """Prunes by the rules of ``[keep]`` after passes."""

    def __init__(self, clock: Clock, zone: Callable[[], tzinfo]) -> None:
        self._clock = clock
        self._zone = zone
        self._schedule = PruneSchedule(clock)
        self._refused: dict[RepoName, str] = {}
        """What was last logged of each repository."""

    async def after(
        self, config: Config, make_keeper: MakeKeeper, reports: Mapping[RepoName, Report]
    ) -> bool:
        """Prune what is due after a pass. An error is a warning only.

        Whether runs may have gone.
        """
        due = [repo for repo, report in reports.items() if self._is_due(config, repo, report)]
        if not due:
            return False
        keeper = make_keeper(PruneLog())
        try:
            plans = await self._plans(config, keeper, due)
            for plan in plans:
                self._tell(plan)
                if plan.going:
                    await self._prune(config, keeper, plan)
            if any(plan.going for plan in plans):
                await compact(keeper.ledger)
        except ArtifactSyncError as error:
            _log.warning("runs could not be pruned", why=str(error))
            return True
        return any(plan.going for plan in plans)

    async def _prune(self, config: Config, keeper: MirrorKeeper, plan: RepoPlan) -> None:
        share = keep_of(config, plan.repo).max_share
        try:
            await prune(keeper, plan.repo, plan.going, max_share=share)
        except RepositoryBusy as busy:  # the others need not wait for it
            _log.debug("pruned later", why=str(busy))
            self._schedule.put_off(plan.repo)

    def _is_due(self, config: Config, repo: RepoName, report: Report) -> bool:
        keep = keep_of(config, repo)
        ruled = not rules_of(keep).keeps_all or keep.max_size is not None
        ruled = ruled or config.keep.max_size is not None
        return ruled and self._schedule.due(repo, keep, report, self._zone)

    async def _plans(
        self, config: Config, keeper: MirrorKeeper, due: Collection[RepoName]
    ) -> list[RepoPlan]:
        """Of the repositories that are due; of others what is too much for the whole mirror."""
        named = due if config.keep.max_size is None else ()
        plans = await plan_mirror(keeper.ledger, config, PruneTerms(self._clock.now()), named)
        for plan in plans:
            if plan.repo not in due:
                plan.runs = [it for it in plan.runs if it.why == [MAX_SIZE]]
                plan.refused = []
        return plans

    def _tell(self, plan: RepoPlan) -> None:
        """Log why runs stay, when that is found and not again."""
        why = "; ".join(plan.refused)
        if why and self._refused.get(plan.repo) != why:
            _log.warning("runs stay that the rules would have go", repo=str(plan.repo), why=why)
        self._refused[plan.repo] = why


class PruneLog:
    """An observer that logs what was pruned."""

    def notify(self, event: Event) -> None:
        """Log an event."""
        if isinstance(event, FilesRemoved):
            freed = size_in_words(event.freed_bytes)
            _log.info("pruned", run=str(event.run), files=len(event.rows), size=freed)
            for path in event.left:
                _log.warning("left in the folder of a pruned run: nobody recorded it", path=path)
        elif isinstance(event, PruneRefused):
            _log.info("a run was not pruned", run=str(event.run), why=event.why)
