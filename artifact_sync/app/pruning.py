"""Opens a mirror to prune its runs by the rules of ``[keep]``."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.app.forgetting import keeper_of
from artifact_sync.app.holder import opened_or_held
from artifact_sync.app.hooks import deliver_at_end
from artifact_sync.app.selection import known_repositories
from artifact_sync.domain.model import RunKey
from artifact_sync.sync.prune import compact, keep_of, plan_mirror, prune
from artifact_sync.sync.prune_plan import PruneTerms

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from artifact_sync.app.storage import Storage
    from artifact_sync.daemon.control.client import DaemonClient
    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.settings import Config
    from artifact_sync.sync.prune_plan import RepoPlan


class Pruning(Struct, frozen=True):
    """Plans what goes from one mirror, and has it go."""

    store: Storage
    config: Config
    daemon: DaemonClient | None = None
    """What does it, where a daemon holds the mirror."""

    async def mirror(self) -> str:
        """The mirror's id; empty: it has none yet."""
        return await self.store.ledger.mirror() or ""

    async def plan(self, names: Sequence[str], *, agreed: bool) -> list[RepoPlan]:
        """Plan these repositories, or all. ``UsageError`` for a name that nobody knows."""
        ledger = self.store.ledger
        repos = known_repositories(names, await ledger.repositories()) if names else []
        terms = PruneTerms(self.store.clock.now(), agreed)
        return await plan_mirror(ledger, self.config, terms, repos)

    async def gone(self, plans: Sequence[RepoPlan]) -> set[RunKey]:
        """Runs of a plan of which nothing is here any more."""
        gone = set[RunKey]()
        for plan in plans:
            here = {it.run for it in await self.store.ledger.kept_runs(plan.repo)}
            gone |= {RunKey(plan.repo, it.run) for it in plan.runs if it.run not in here}
        return gone

    async def shared_beyond(self, plans: Sequence[RepoPlan]) -> int:
        """Bytes of what is to go that other files share."""
        going = [RunKey(plan.repo, run.run) for plan in plans for run in plan.going]
        return await self.store.ledger.shared_beyond_runs(going)

    async def carry_out(
        self, plans: Sequence[RepoPlan], observer: Observer, *, agreed: bool
    ) -> None:
        """Have go what is to go. ``DiskError``: the next pass finishes it."""
        for plan in plans:
            if self.daemon is None:
                share = 1.0 if agreed else keep_of(self.config, plan.repo).max_share
                keeper = keeper_of(self.store, self.config, observer)
                await prune(keeper, plan.repo, plan.going, max_share=share)
            elif plan.going:
                base_url = self.config.source.base_url
                await self.daemon.prune(plan, base_url, observer, agreed=agreed)
        if self.daemon is None:
            store = self.store
            await compact(store.ledger)
            if self.config.hook:
                await deliver_at_end(self.config, store.ledger, store.layout, store.clock)


@asynccontextmanager
async def opened_pruning(config: Config, *, rehearse: bool) -> AsyncGenerator[Pruning]:
    """Open a mirror, locked; or a daemon's, that is asked. ``rehearse``: to plan only.

    ``MirrorBusy``, ``DiskError``, ``UsageError``, ``LedgerTooNew``.
    """
    async with opened_or_held(config, rehearse=rehearse, frees=True) as (store, daemon):
        yield Pruning(store, config, daemon)
