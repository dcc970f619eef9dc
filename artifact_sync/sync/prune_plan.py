"""Plan which runs of a mirror stay, and which go. Pure.

Rules decide first (``keep_rules``). What is pinned, in flight, or a target of ``latest`` or
``latest-success`` stays besides. A bound on the size then has the oldest go, whatever the rules
say, down to what ``last_success`` and those hold. At last the brakes are applied: they keep all
runs of a repository, and say why.
"""

from __future__ import annotations

from datetime import timedelta
from heapq import merge
from typing import TYPE_CHECKING, Literal, NamedTuple

from msgspec import Struct

from artifact_sync.domain.keep_rules import DatedRun, KeepRules, reasons_to_keep
from artifact_sync.domain.keeping import PlannedRun
from artifact_sync.runtime.units import counted, size_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from artifact_sync.domain.keeping import KeptRun, ListingVerdict
    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.settings import RepoKeepSettings

LISTING_HOLDS = timedelta(days=7)
"""How long what a listing says is good enough to prune by."""

_CLOCKS_DIFFER = timedelta(days=1)
"""By so much a moment may lie in the future."""

NO_RULE = "no rule keeps it"
MAX_SIZE = "max_size"
IN_FLIGHT = "in flight"
NEWEST = "newest"
HOLD_THE_REST = "last_success, pins, latest and the newest runs hold the rest"
NOT_AT_A_TIME = "no more than keep.max_share of a repository's runs may go at a time"
_NOT_KEPT = [NO_RULE]
"""Of all those runs: a mirror may have a hundred thousand."""
_FAST = frozenset({"last_success", "pin", "latest", "latest-success", NEWEST, "undated"})
"""Reasons that also hold a run when there is too much."""


class RunAge(NamedTuple):
    """When a run was made."""

    made: float
    number: int


class RepoFacts(Struct, frozen=True, kw_only=True):
    """What is known of a repository before it is planned."""

    repo: RepoName
    runs: Sequence[KeptRun]
    latest: str | None = None
    """The run that ``latest`` leads to."""
    latest_success: str | None = None
    listing: ListingVerdict | None = None
    """Of the newest listing; None: there was none."""


class RepoPlan(Struct):
    """What becomes of the runs of a repository."""

    repo: RepoName
    runs: list[PlannedRun]
    """The newest first."""
    refused: list[str]
    """Why nothing is pruned of what the rules would have go, or why there is still too much."""
    may_go: int = 0
    """How many more of its runs may go at a time."""

    @property
    def going(self) -> list[PlannedRun]:
        """The runs that are to go, the oldest first."""
        return [it for it in reversed(self.runs) if it.action == "prune"]


class PruneTerms(Struct, frozen=True):
    """How to plan."""

    now: datetime
    agreed: bool = False
    """The user has said ``--yes``: any share of the runs may go."""

    def most(self, runs: int, keep: RepoKeepSettings) -> int:
        """How many of a repository's runs may go at a time."""
        return runs if self.agreed else most_to_go(runs, keep.max_share)


_ROUNDING = 1e-9
"""A share of 0.07 is a little less than 7 in 100."""


def plan_repository(facts: RepoFacts, keep: RepoKeepSettings, terms: PruneTerms) -> RepoPlan:
    """Plan one repository by its rules, under the bound on its own size.

    Brakes that hold a repository back keep all of its runs.
    """
    plan = RepoPlan(facts.repo, _by_rules(facts, keep), [])
    most = terms.most(len(plan.runs), keep)
    if plan.going and (why := why_not(facts, terms.now) or _why_not_so_many(plan, most, keep)):
        plan.refused.append(why)
        for run in plan.going:
            run.action, run.why = "keep", ["refused"]
    plan.may_go = 0 if why_not(facts, terms.now) else most - len(plan.going)
    if keep.max_size is not None:
        shrink([plan], keep.max_size, f"the files of {facts.repo}")
    return plan


def shrink(plans: Sequence[RepoPlan], bound: int, what: str, before: RunAge | None = None) -> None:
    """Have the oldest runs go until their files are within a bound.

    Of a repository no more than may go at a time; the next time goes on with it. ``before``: only
    runs that are older go.
    """
    too_much = bytes_kept(plans) - bound
    for run, plan in loose_runs(plans, before):
        if too_much <= 0:
            break
        if plan.may_go > 0:
            run.action, run.why = "prune", [MAX_SIZE]
            too_much -= run.bytes
            plan.may_go -= 1
    if too_much > 0:
        why = f"{what} take {size_in_words(too_much)} more than keep.max_size"
        for plan in plans:
            if any(it.action == "keep" for it in plan.runs):
                plan.refused.append(f"{why}: {_why_still_too_much(plan)}")


def bytes_kept(plans: Iterable[RepoPlan]) -> int:
    """Bytes of the files of all runs that stay."""
    return sum(run.bytes for plan in plans for run in plan.runs if run.action == "keep")


def loose_runs(
    plans: Iterable[RepoPlan], before: RunAge | None = None
) -> Iterator[tuple[PlannedRun, RepoPlan]]:
    """The runs that stay and that a bound may have go, the oldest first."""
    each = [_loose_of(plan) for plan in plans]
    for run, plan in merge(*each, key=lambda it: age_of(it[0].run, it[0].created_at)):
        if before is not None and not age_of(run.run, run.created_at) < before:
            return
        yield run, plan


def _loose_of(plan: RepoPlan) -> Iterator[tuple[PlannedRun, RepoPlan]]:
    undated = [run for run in plan.runs if run.created_at is None]  # by ``age_of`` the oldest
    dated = (run for run in reversed(plan.runs) if run.created_at is not None)
    for run in (*reversed(undated), *dated) if undated else dated:
        if run.action == "keep" and not _FAST.intersection(run.why):
            yield run, plan


def _why_still_too_much(plan: RepoPlan) -> str:
    if any(it.action == "keep" and not _FAST.intersection(it.why) for it in plan.runs):
        return NOT_AT_A_TIME
    return HOLD_THE_REST


def age_of(run: str, created_at: datetime | None) -> RunAge:
    """Tell runs by their age: the smaller, the older."""
    made = created_at.timestamp() if created_at is not None else 0.0
    return RunAge(made, int(run) if run.isdecimal() else -1)


def rules_of(keep: RepoKeepSettings) -> KeepRules:
    """The rules alone."""
    return KeepRules(**{name: getattr(keep, name) for name in KeepRules.__struct_fields__})


def _newest_first(runs: Iterable[KeptRun]) -> list[KeptRun]:
    def order(it: KeptRun) -> RunAge:
        made = it.created_at.timestamp() if it.created_at is not None else float("inf")
        return RunAge(made, it.number)

    return sorted(runs, key=order, reverse=True)


def _by_rules(facts: RepoFacts, keep: RepoKeepSettings) -> list[PlannedRun]:
    runs = _newest_first(facts.runs)
    dated = [DatedRun(it.run, it.created_at, it.status == "success") for it in runs]
    reasons = reasons_to_keep(dated, rules_of(keep))
    del dated
    planned = []
    for it in runs:
        why, held = reasons.pop(it.run, _NOT_KEPT), _held_by(it, facts)
        action: Literal["keep", "prune"] = "prune" if why is _NOT_KEPT and not held else "keep"
        why = (held if why is _NOT_KEPT else [*why, *held]) if held else why
        planned.append(PlannedRun(it.run, it.created_at, action, why, it.bytes))
    return planned


def _held_by(run: KeptRun, facts: RepoFacts) -> list[str]:
    """What holds a run besides the rules."""
    held = ["pin"] if run.pinned else []
    held += ["latest"] if run.run == facts.latest else []
    held += ["latest-success"] if run.run == facts.latest_success else []
    held += [IN_FLIGHT] if run.outstanding else []
    return held


def why_not(facts: RepoFacts, now: datetime) -> str:
    """Why nothing of a repository is to be pruned; empty: nothing speaks against it."""
    if why := _why_not_by_listing(facts.listing, now):
        return why
    newest = max((it.created_at for it in facts.runs if it.created_at is not None), default=now)
    if newest - now > _CLOCKS_DIFFER:
        return "its newest run lies in the future: this machine's clock, or the service's, is wrong"
    return ""


def _why_not_so_many(plan: RepoPlan, most: int, keep: RepoKeepSettings) -> str:
    if len(plan.going) <= most:
        return ""
    return (
        f"{len(plan.going)} of its {counted(len(plan.runs), 'run')} would go, more than"
        f" keep.max_share ({keep.max_share:.0%}): look at the plan, then say --yes"
    )


def most_to_go(runs: int, max_share: float) -> int:
    """How many of a repository's runs may go at a time.

    One always may, but for a share of 0%: by ``last = 2`` one of three goes whenever one comes.
    """
    return max(int(max_share * runs + _ROUNDING), 1) if max_share else 0


def why_changed(run: PlannedRun, known: KeptRun | None, facts: RepoFacts) -> str:
    """Why a run stays that was to go; empty: it may go."""
    if known is None:
        return "no such run is known"
    if run.created_at != known.created_at:
        return "another run has its number"
    held = _held_by(known, facts)
    if run.why == [MAX_SIZE] and IN_FLIGHT in held:
        held.remove(IN_FLIGHT)  # what is yet to come of it may never come
    return f"held since the plan was made: {', '.join(held)}" if held else ""


def _why_not_by_listing(listing: ListingVerdict | None, now: datetime) -> str:
    if listing is None:
        return "its list of runs was never read: sync it first"
    if listing.flaw:
        return f"its list of runs is not to be trusted: {listing.flaw}"
    if listing.at - now > _CLOCKS_DIFFER:
        return "its list of runs was read in the future: this machine's clock is wrong, or was"
    if now - listing.at > LISTING_HOLDS:
        return f"its list of runs was last read at {listing.at:%Y-%m-%d %H:%M}: sync it first"
    return ""
