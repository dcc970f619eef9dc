"""Has runs go for what is to come: by the rules, then the oldest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.domain.errors import BeyondMaxSize, GivesWay, RepositoryBusy
from artifact_sync.domain.keep_rules import DatedRun, reasons_to_keep
from artifact_sync.domain.model import RunKey
from artifact_sync.runtime.units import size_in_words
from artifact_sync.sync.context import leased
from artifact_sync.sync.prune import facts_of, keep_of
from artifact_sync.sync.prune_plan import (
    HOLD_THE_REST,
    NEWEST,
    NOT_AT_A_TIME,
    PruneTerms,
    age_of,
    bytes_kept,
    loose_runs,
    plan_repository,
    rules_of,
    shrink,
    why_changed,
    why_not,
)
from artifact_sync.sync.remove import remove_run
from artifact_sync.sync.room import Bound

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from artifact_sync.domain.keeping import PlannedRun
    from artifact_sync.domain.model import RepoName, RunRow
    from artifact_sync.domain.ports import Ledger
    from artifact_sync.domain.settings import Config
    from artifact_sync.sync.forget import MirrorKeeper
    from artifact_sync.sync.prune_plan import RepoFacts, RepoPlan, RunAge
    from artifact_sync.sync.room import Room


def size_bounds_of(config: Config, repos: Iterable[RepoName]) -> Sequence[Bound]:
    """Each ``max_size`` that concerns repositories: their own, and the mirror's."""
    own = ((repo, keep_of(config, repo).max_size) for repo in repos)
    sizes = (*own, (None, config.keep.max_size))
    return [Bound(whose, size) for whose, size in sizes if size is not None]


class RoomMaker(Struct, frozen=True):
    """``room.RunRemover`` of a mirror."""

    room: Room
    config: Config
    keeper: MirrorKeeper

    @property
    def ledger(self) -> Ledger:
        """Counts what is here."""
        return self.keeper.ledger

    def bounds(self, repo: RepoName) -> Sequence[Bound]:
        """Each ``max_size`` that concerns a repository: its own, and the mirror's."""
        return size_bounds_of(self.config, (repo,))

    async def by_rules(self) -> None:
        """Have go what would go after a pass."""
        for plan, run in _by_age(await self._plans(await self.ledger.repositories())):
            await self._remove(plan.repo, run)

    async def make(self, bound: Bound, run: RunKey) -> None:
        """Have runs go until what is coming of a run fits. ``BeyondMaxSize``, ``GivesWay``.

        Where there is too much already, no more go than may at a time.
        """
        ledger, room = self.ledger, self.room
        facts, row = await facts_of(ledger, run.repo), await ledger.run(run)
        stays = row is None or await self._stays(facts, row)
        before = age_of(run.run, _created(row)) if row is not None and not stays else None
        repos = [it for it in await ledger.repositories() if bound.holds(it)]
        while True:
            freed, plans = room.freed, await self._plans(repos)
            suffices = await self._have_go(plans, bound, before)
            if await room.fits(bound):
                return
            if room.exceeds(bound) or room.freed == freed:
                break
        why = why_not(facts, self.keeper.clock.now())
        if not (stays or why or suffices or await self._awaits(bound, before)):
            raise GivesWay(f"{bound} would take more than keep.max_size: newer runs have the room")
        why = why or (NOT_AT_A_TIME if suffices else HOLD_THE_REST)
        size = size_in_words(bound.bytes)
        raise BeyondMaxSize(f"{bound} would take more than keep.max_size ({size}): {why}")

    async def passes_over(self, row: RunRow) -> bool:
        """Whether nothing speaks against a run's going without having come."""
        facts = await facts_of(self.ledger, row.key.repo)
        return not why_not(facts, self.keeper.clock.now()) and not await self._stays(facts, row)

    async def _plans(self, repos: Iterable[RepoName]) -> list[RepoPlan]:
        """What the rules, and the repositories' own bounds, have go now."""
        terms, ledger = PruneTerms(self.keeper.clock.now()), self.ledger
        facts = [await facts_of(ledger, repo) for repo in repos]
        plans = [plan_repository(it, keep_of(self.config, it.repo), terms) for it in facts]
        for plan in plans:
            _hold_newest(plan)
        return plans

    async def _awaits(self, bound: Bound, before: RunAge | None) -> bool:
        """Whether an older run is still coming, which may have to go for this one."""
        rows = [await self.ledger.run(run) for run in self.room.coming_runs(bound)]
        ages = [age_of(row.key.run, _created(row)) for row in rows if row is not None]
        return before is not None and any(age < before for age in ages)

    async def _have_go(
        self, plans: Sequence[RepoPlan], bound: Bound, before: RunAge | None
    ) -> bool:
        """Have runs go by the rules, then the oldest; whether there were enough.

        None of the latter where all of them would not be enough.
        """
        ruled, coming = _by_age(plans), self.room.coming(bound)
        too_much = bytes_kept(plans) + coming - bound.bytes
        suffices = too_much <= sum(run.bytes for run, _ in loose_runs(plans, before))
        if suffices:
            shrink(plans, bound.bytes - coming, str(bound), before)
        sized = [it for it in _by_age(plans) if it not in ruled]
        for plan, run in (*ruled, *sized):
            await self._remove(plan.repo, run)
            if await self.room.fits(bound):
                break
        return suffices

    async def _stays(self, facts: RepoFacts, row: RunRow) -> bool:
        """Whether ``max_size`` does not have a run go, once it is mirrored."""
        if await self.ledger.pinned(row.key) is not None:
            return True
        this = DatedRun(row.key.run, _created(row), row.status == "success")
        runs = [DatedRun(it.run, it.created_at, it.status == "success") for it in facts.runs]
        runs = [this, *(it for it in runs if it.run != this.run)]
        runs.sort(key=lambda it: age_of(it.run, it.created_at), reverse=True)
        rules = rules_of(keep_of(self.config, row.key.repo))
        if "last_success" in reasons_to_keep(runs, rules).get(this.run, ()):
            return True
        newer = {it.run for it in runs[: runs.index(this)]}
        if facts.latest not in newer:
            return True
        return this.succeeded and facts.latest_success not in newer

    async def _remove(self, repo: RepoName, run: PlannedRun) -> None:
        """Have a run go, unless somebody works on it or, not sharing it, on its repository."""
        async with self.room.latest(repo):
            if self.room.is_shared(repo):
                await self._remove_held(repo, run)
                return
            try:
                async with leased(self.keeper.lock, repo, wait=False):
                    await self._remove_held(repo, run)
            except RepositoryBusy:
                return

    async def _remove_held(self, repo: RepoName, run: PlannedRun) -> None:
        key = RunKey(repo, run.run)
        if (lock := self.room.held(key)).locked():
            return
        async with lock:
            facts = await facts_of(self.ledger, repo)
            known = {it.run: it for it in facts.runs}
            if not why_changed(run, known.get(run.run), facts):
                rows = await self.ledger.artifacts(key)
                await remove_run(self.keeper, key)
                self.room.gone(repo, sum(it.wanted and it.here for it in rows.values()))


def _hold_newest(plan: RepoPlan) -> None:
    """Keep the newest run, which may become ``latest``."""
    for run in plan.runs[:1]:
        run.action, run.why = "keep", [*run.why, NEWEST]


def _by_age(plans: Sequence[RepoPlan]) -> list[tuple[RepoPlan, PlannedRun]]:
    """The runs that are to go, the oldest first."""
    going = [(plan, run) for plan in plans for run in plan.going]
    return sorted(going, key=lambda it: age_of(it[1].run, it[1].created_at))


def _created(row: RunRow) -> datetime | None:
    return row.creation.at or row.created_at
