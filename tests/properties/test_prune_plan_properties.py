"""Which runs go: by the rules, down to a size, and never against a brake."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from test_keep_rules_properties import stays

from artifact_sync.domain.keep_rules import DatedRun
from artifact_sync.domain.keeping import KeptRun, ListingVerdict
from artifact_sync.domain.model import RepoName
from artifact_sync.domain.settings import RepoKeepSettings
from artifact_sync.sync.prune_plan import (
    PruneTerms,
    RepoFacts,
    plan_repository,
    rules_of,
    shrink,
    why_changed,
)

NOW = datetime(2021, 1, 11, tzinfo=UTC)
REPO = RepoName("acme", "rocket")
HELD = {"last_success", "pin", "latest", "latest-success", "undated"}

_DATES = st.datetimes(datetime(2020, 11, 1), datetime(2021, 1, 10), timezones=st.just(UTC))  # noqa: DTZ001
_COUNTS = st.none() | st.integers(1, 4)
_KEEP = st.builds(
    RepoKeepSettings,
    **dict.fromkeys(
        ("last", "last_success", "hourly", "daily", "weekly", "monthly", "yearly"), _COUNTS
    ),
    within=st.none() | st.floats(1, 40 * 86_400),
    max_size=st.none() | st.integers(1, 200),
    max_share=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
)
_FACTS = st.lists(
    st.tuples(
        _DATES,
        st.sampled_from(["success", "failed"]),
        st.integers(0, 50),
        st.integers(0, 9).map(lambda it: it == 0),
        st.integers(0, 9).map(lambda it: it == 0),
    ),
    max_size=16,
)


@st.composite
def _repositories(draw: st.DrawFn) -> RepoFacts:
    told = sorted(draw(_FACTS))
    runs = [
        KeptRun(str(n), n, at, status, size, int(flying), pinned)
        for n, (at, status, size, flying, pinned) in enumerate(told)
    ]
    good = [it.run for it in runs if it.status == "success"]
    flaw = draw(st.sampled_from(["", "", "", "it is empty, and was not"]))
    return RepoFacts(
        repo=REPO,
        runs=draw(st.permutations(runs)),
        latest=runs[-1].run if runs else None,
        latest_success=good[-1] if good else None,
        listing=ListingVerdict(NOW, flaw),
    )


def reference(facts: RepoFacts, keep: RepoKeepSettings) -> set[str]:
    """What the rules and what holds besides them keep, told another way."""
    runs = sorted(facts.runs, key=lambda it: (it.created_at, it.number), reverse=True)
    dated = [DatedRun(it.run, it.created_at, it.status == "success") for it in runs]
    rules = rules_of(keep)
    kept = {it.run for it in runs} if rules.keeps_all else stays(dated, rules)
    kept |= {it.run for it in runs if it.pinned or it.outstanding}
    return kept | {it for it in (facts.latest, facts.latest_success) if it is not None}


@given(_repositories(), _KEEP, st.booleans().map(lambda agreed: PruneTerms(NOW, agreed)))
def test_what_goes_is_what_the_rules_say_within_the_brakes(
    facts: RepoFacts, keep: RepoKeepSettings, terms: PruneTerms
) -> None:
    plan, agreed = plan_repository(facts, keep, terms), terms.agreed
    going = {it.run for it in plan.going}
    by_rules = {it.run for it in facts.runs} - reference(facts, keep)
    by_size = {it.run for it in plan.going if it.why == ["max_size"]}
    assert [it.created_at for it in plan.going] == sorted(it.created_at for it in plan.going)
    assert all(it.why for it in plan.runs)
    most = max(keep.max_share * len(facts.runs), 1 if keep.max_share else 0)
    too_many = not agreed and len(by_rules) > most
    if facts.listing.flaw:
        assert going == set()
        assert not by_rules or plan.refused
    elif too_many:
        assert (going - by_size, bool(plan.refused)) == (set(), True)
    else:
        assert going - by_size == by_rules
    if not agreed:
        assert len(going) <= most
    if keep.max_size is None:
        assert by_size == set()
    elif not plan.refused:
        assert sum(it.bytes for it in plan.runs if it.action == "keep") <= keep.max_size
    for run in plan.runs:
        if run.action == "prune":
            assert not HELD.intersection(run.why)
            known = next(it for it in facts.runs if it.run == run.run)
            assert why_changed(run, known, facts) == ""


@given(_repositories(), st.integers(0, 300))
def test_the_oldest_go_and_no_more_than_must(facts: RepoFacts, bound: int) -> None:
    plan = plan_repository(facts, RepoKeepSettings(last_success=1), PruneTerms(NOW, agreed=True))
    for run in plan.runs:
        why = [it for it in run.why if it in HELD | {"in flight"}]
        run.action, run.why = "keep", why or ["last"]
    plan.refused, plan.may_go = [], len(plan.runs)
    shrink([plan], bound, "all files")
    kept = sum(it.bytes for it in plan.runs if it.action == "keep")
    loose = [it for it in plan.runs if it.action == "keep" and not HELD.intersection(it.why)]
    assert bool(plan.refused) == (kept > bound and bool(kept))
    assert kept <= bound or loose == []
    if plan.going:
        assert kept + plan.going[-1].bytes > bound
        assert all(it.created_at >= plan.going[-1].created_at for it in loose)


@given(_repositories(), st.timedeltas(timedelta(days=-500), timedelta(days=500)))
def test_a_wrong_clock_prunes_nothing(facts: RepoFacts, off: timedelta) -> None:
    plan = plan_repository(facts, RepoKeepSettings(last=1), PruneTerms(NOW + off, agreed=True))
    if not timedelta(days=-1) <= off <= timedelta(days=7):
        assert plan.going == []
