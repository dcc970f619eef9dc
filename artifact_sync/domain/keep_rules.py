"""Decide which runs of a repository stay, in restic's words. Pure.

A run stays if any rule keeps it. Periods are those of UTC. As restic does since 0.16, a rule by
period that has more periods to keep than there are keeps the oldest run besides.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PERIODS = MappingProxyType(
    {
        "hourly": "%Y-%m-%dT%H",
        "daily": "%Y-%m-%d",
        "weekly": "%G-W%V",
        "monthly": "%Y-%m",
        "yearly": "%Y",
    }
)
"""How each rule names the period that a run was created in; for ``strftime``."""


class KeepRules(Struct, frozen=True, kw_only=True):
    """How much stays. None: that rule keeps nothing; all None: everything stays."""

    last: int | None = None
    """The newest runs."""
    last_success: int | None = None
    """The newest runs that succeeded."""
    hourly: int | None = None
    """The newest run of each of so many hours."""
    daily: int | None = None
    weekly: int | None = None
    """By ISO 8601: a week begins on Monday."""
    monthly: int | None = None
    yearly: int | None = None
    within: float | None = None
    """Seconds before the repository's newest run."""

    @property
    def keeps_all(self) -> bool:
        """Whether no rule is set."""
        return self == KeepRules()


class DatedRun(NamedTuple):
    """A mirrored run, as the rules see it."""

    run: str
    created_at: datetime | None
    succeeded: bool


def reasons_to_keep(runs: Sequence[DatedRun], rules: KeepRules) -> dict[str, list[str]]:
    """Why each run stays, by its number; none that no rule keeps.

    ``runs``: newest first. One whose creation nobody told belongs to no period, and stays.
    """
    if rules.keeps_all:
        shared = ["no rule is set"]
        return {run.run: shared for run in runs}
    reasons: dict[str, list[str]] = {}
    for run, why in _kept(runs, rules):
        reasons.setdefault(run, []).append(why)
    return reasons


def _kept(runs: Sequence[DatedRun], rules: KeepRules) -> Iterator[tuple[str, str]]:
    """Runs that stay, each with a reason, rule by rule."""
    succeeded = [run for run in runs if run.succeeded]
    yield from ((run.run, "last") for run in runs[: rules.last or 0])
    yield from ((run.run, "last_success") for run in succeeded[: rules.last_success or 0])
    yield from ((run.run, "undated") for run in runs if run.created_at is None)
    dated = [(run.run, run.created_at.astimezone(UTC)) for run in runs if run.created_at]
    dated.sort(key=lambda it: it[1], reverse=True)
    counts = (rules.hourly, rules.daily, rules.weekly, rules.monthly, rules.yearly)
    for (rule, form), count in zip(_PERIODS.items(), counts, strict=True):
        for run, period in _newest_of_each(dated, form, count or 0):
            yield run, f"{rule} {period}"
    if dated and rules.within is not None:
        within, newest = timedelta(seconds=rules.within), dated[0][1]
        yield from ((run, "within") for run, at in dated if newest - at < within)


def _newest_of_each(
    dated: Sequence[tuple[str, datetime]], form: str, count: int
) -> list[tuple[str, str]]:
    """The first run of each period; where there are fewer periods, the last run besides."""
    if not count:
        return []
    first: dict[str, str] = {}
    for run, at in dated:
        if len(first) == count:
            break
        first.setdefault(at.strftime(form), run)
    kept = [(run, period) for period, run in first.items()]
    if len(kept) < count and dated and (oldest := dated[-1][0]) not in dict(kept):
        kept.append((oldest, "oldest"))
    return kept
