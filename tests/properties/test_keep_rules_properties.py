"""Which runs stay: against a plain reference of restic's rules, and its documented cases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from artifact_sync.domain.keep_rules import DatedRun, KeepRules, reasons_to_keep

_DATES = st.datetimes(datetime(2019, 12, 20), datetime(2021, 1, 10), timezones=st.just(UTC))  # noqa: DTZ001
_COUNTS = st.none() | st.integers(0, 6)
_RULES = st.builds(
    KeepRules,
    **dict.fromkeys(
        ("last", "last_success", "hourly", "daily", "weekly", "monthly", "yearly"), _COUNTS
    ),
    within=st.none() | st.floats(0, 40 * 86_400),
)
_NAMES = {
    "hourly": lambda at: (at.date(), at.hour),
    "daily": lambda at: at.date(),
    "weekly": lambda at: tuple(at.isocalendar())[:2],
    "monthly": lambda at: (at.year, at.month),
    "yearly": lambda at: at.year,
}


def runs_of(dates) -> list[DatedRun]:
    """Runs with these dates and outcomes, newest first."""
    newest_first = sorted(dates, reverse=True)
    return [DatedRun(str(n), at, good) for n, (at, good) in enumerate(newest_first)]


def stays(runs: list[DatedRun], rules: KeepRules) -> set[str]:
    """restic's way: one walk from the newest to the oldest, a bucket for each rule."""
    kept = {run.run for run in runs[: rules.last or 0]}
    kept |= {run.run for run in [it for it in runs if it.succeeded][: rules.last_success or 0]}
    if rules.within is not None and runs:
        kept |= {
            it.run
            for it in runs
            if it.created_at > runs[0].created_at - timedelta(seconds=rules.within)
        }
    for rule, name in _NAMES.items():
        left, latest = getattr(rules, rule) or 0, None
        for number, run in enumerate(runs):
            if left and (name(run.created_at) != latest or number == len(runs) - 1):
                kept.add(run.run)
                left, latest = left - 1, name(run.created_at)
    return kept


@given(st.lists(st.tuples(_DATES, st.booleans()), max_size=30), _RULES)
@example([(datetime(2020, 1, 1, 5, tzinfo=UTC), True)] * 3, KeepRules(monthly=4))
def test_what_stays_is_what_restic_keeps(dates, rules: KeepRules) -> None:
    runs = runs_of(dates)
    kept = {run for run, why in reasons_to_keep(runs, rules).items() if why}
    assert kept == ({run.run for run in runs} if rules == KeepRules() else stays(runs, rules))


def test_of_four_of_a_month_the_newest_and_the_oldest_stay() -> None:
    """As a question in restic's forum has it: ``--keep-monthly 4``, all within one month."""
    days = [datetime(2024, 1, day, 12, tzinfo=UTC) for day in (2, 3, 4, 5)]
    runs = runs_of([(day, True) for day in days])
    kept = reasons_to_keep(runs, KeepRules(monthly=4))
    assert kept == {"0": ["monthly 2024-01"], "3": ["monthly oldest"]}


@given(st.lists(st.tuples(_DATES, st.booleans()), max_size=12), _RULES)
def test_what_has_no_date_stays(dates, rules: KeepRules) -> None:
    runs = [DatedRun("undated", None, succeeded=False), *runs_of(dates)]
    assert reasons_to_keep(runs, rules)["undated"]
