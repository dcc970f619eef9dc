"""Prune runs by the rules of ``[keep]``, and tell what stays after all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.domain.errors import ArtifactSyncError
from artifact_sync.domain.events import PruneRefused
from artifact_sync.domain.model import RepoName, RunKey
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.units import counted
from artifact_sync.sync.context import leased
from artifact_sync.sync.prune_plan import (
    PruneTerms,
    RepoFacts,
    RepoPlan,
    most_to_go,
    plan_repository,
    shrink,
    why_changed,
    why_not,
)
from artifact_sync.sync.remove import remove_run

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from artifact_sync.domain.keeping import PlannedRun
    from artifact_sync.domain.ports import Ledger
    from artifact_sync.domain.settings import Config, RepoKeepSettings
    from artifact_sync.sync.forget import MirrorKeeper


_log = get_logger(__name__)

_AT_ONCE = 200
"""Runs that are pruned while nobody else may work on their repository."""


def keep_of(config: Config, repo: RepoName) -> RepoKeepSettings:
    """What is kept of a repository: its own ``keep``, its organisation's, or ``[keep]``."""
    entry = config.entry_of(repo)
    if entry is not None and entry.keep is not None:
        return entry.keep
    import msgspec  # noqa: PLC0415 - seldom needed

    return msgspec.structs.replace(config.keep, max_size=None)  # that is of the whole mirror


async def facts_of(ledger: Ledger, repo: RepoName) -> RepoFacts:
    """What the ledger knows of a repository, for a plan."""
    latest, success = await ledger.newest_complete(repo)
    return RepoFacts(
        repo=repo,
        runs=await ledger.kept_runs(repo),
        latest=latest.run if latest is not None else None,
        latest_success=success.run if success is not None else None,
        listing=await ledger.listing_verdict(repo),
    )


async def plan_mirror(
    ledger: Ledger, config: Config, terms: PruneTerms, named: Collection[RepoName] = ()
) -> list[RepoPlan]:
    """Plan these repositories, or all of them, under the bounds on their size.

    The bound on the whole mirror concerns all of them, and takes from those that are named.
    """
    plans = []
    for repo in await ledger.repositories():
        if config.keep.max_size is not None or not named or repo in named:
            facts = await facts_of(ledger, repo)
            plan = plan_repository(facts, keep_of(config, repo), terms)
            if named and repo not in named:
                plan.may_go = 0
            plans.append(plan)
    if config.keep.max_size is not None:
        shrink(plans, config.keep.max_size, "all files")
    return [it for it in plans if not named or it.repo in named]


async def compact(ledger: Ledger) -> None:
    """Have the ledger take less room after pruning; whatever hinders it can wait.

    Of runs that were forgotten, and whose files are removed, no more stays than of pruned ones.
    """
    try:
        for repo in await ledger.repositories():
            rules = await ledger.forget_rules(repo)
            removed = await ledger.removed_runs(repo) if rules.rules else ()
            for run in filter(rules.forgets_run, removed):
                await ledger.bury(run)
        await ledger.compact()
    except ArtifactSyncError as error:
        _log.debug("the ledger could not be made smaller", why=str(error))


async def prune(
    keeper: MirrorKeeper, repo: RepoName, runs: Sequence[PlannedRun], *, max_share: float
) -> None:
    """Prune runs of a repository as planned, the oldest first. ``DiskError``.

    What was broken off before is finished. What has changed since stays, and is told; what has gone
    is done. Nothing is pruned against a brake; ``max_share``: of the repository's runs, how many
    may go. A pass that waits for the repository has its turn now and then.
    """
    await keeper.finish(repo)
    all_of_it = RunKey(repo, "")
    if runs and (why := await _why_not_so_many(keeper.ledger, repo, runs, max_share)):
        keeper.observer.notify(PruneRefused(all_of_it, why))
        return
    for begin in range(0, len(runs), _AT_ONCE):
        async with leased(keeper.lock, repo):
            facts = await facts_of(keeper.ledger, repo)
            if why := why_not(facts, keeper.clock.now()):
                keeper.observer.notify(PruneRefused(all_of_it, why))
                return
            await _prune_some(keeper, facts, runs[begin : begin + _AT_ONCE])


async def _why_not_so_many(
    ledger: Ledger, repo: RepoName, runs: Sequence[PlannedRun], max_share: float
) -> str:
    known = {it.run for it in await ledger.kept_runs(repo)}
    going = sum(it.run in known for it in runs)
    if going <= most_to_go(len(known), max_share):
        return ""
    return f"{going} of its {counted(len(known), 'run')} would go, more than keep.max_share"


async def _prune_some(keeper: MirrorKeeper, facts: RepoFacts, runs: Iterable[PlannedRun]) -> None:
    known = {it.run: it for it in facts.runs}
    for run in runs:
        key = RunKey(facts.repo, run.run)
        if run.run not in known and await keeper.ledger.run(key) is not None:
            continue  # it has gone before: what the plan asks for is done
        if changed := why_changed(run, known.get(run.run), facts):
            keeper.observer.notify(PruneRefused(key, changed))
        else:
            await remove_run(keeper, key)
