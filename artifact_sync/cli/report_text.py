"""Reports, failures and plans as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.domain.errors import ExitCode
from artifact_sync.domain.model import Action
from artifact_sync.domain.report import shared_cause
from artifact_sync.runtime.text import printable
from artifact_sync.runtime.units import counted
from artifact_sync.runtime.units import size_in_words as size

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence
    from datetime import datetime

    from artifact_sync.domain.model import Failure, Plan
    from artifact_sync.domain.report import Report

_SHOWN = 20
"""Failures, or causes of many, that the summary spells out; ``--json`` has them all."""

_HINTS = {
    ExitCode.UNREACHABLE: "the next sync goes on where this one stopped",
    ExitCode.INTEGRITY: "nothing wrong was kept; if it stays so, the file is damaged at its origin",
    ExitCode.NO_SPACE: "what came so far is kept, and the next sync goes on from there",
    ExitCode.INTERRUPTED: "what came so far is kept, and the next sync goes on from there",
}


def summary(report: Report, *, dry_run: bool = False) -> list[str]:
    """Summarise a report: result, failures, and what to do about them."""
    lines = [_headline(report, dry_run=dry_run)]
    causes = _by_cause(report.failures)
    for same in causes[:_SHOWN]:
        more = f" (and {len(same) - 1:,} more of this cause)" if len(same) > 1 else ""
        lines.append(f"  {failure_line(same[0])}{more}")
    if left := sum(map(len, causes[_SHOWN:])):
        lines.append(f"  … and {left:,} more (--json lists them all)")
    if hint := _HINTS.get(report.exit_code):
        lines.append(hint)
    return lines


def _by_cause(failures: Iterable[Failure]) -> list[list[Failure]]:
    """Failures of one cause together, in the order of the first ones."""
    causes: dict[Hashable, list[Failure]] = {}
    for number, failure in enumerate(failures):
        causes.setdefault(shared_cause(failure) or number, []).append(failure)
    return list(causes.values())


def _headline(report: Report, *, dry_run: bool) -> str:
    parts = [f"{report.downloaded:,} downloaded ({size(report.bytes)})", f"{report.kept:,} kept"]
    if dry_run:
        parts = [f"{report.planned:,} would be downloaded", f"{report.kept:,} are there"]
    if report.failed:
        parts.append(f"{report.failed:,} failed")
    if report.expired:
        parts.append(f"{report.expired:,} expired")
    if report.pending:
        parts.append(f"{report.pending:,} not there yet")
    state = "complete" if report.complete else "incomplete"
    amount = f"{counted(report.runs, 'run')}, {counted(report.found, 'artifact')}"
    return f"{state}: {amount}: {', '.join(parts)}"


def failure_line(failure: Failure) -> str:
    """Format a failure. The message of a run or repository names it already."""
    place = f"{printable(failure.place)}: " if failure.place else ""
    return f"{place}{printable(failure.message)} [{failure.reason}]"


_MARKS = {
    Action.DOWNLOAD: "get ",
    Action.KEEP: "keep",
    Action.LATER: "wait",
    Action.SKIP: "skip",
    Action.REFUSE: "NO  ",
    Action.GIVE_UP: "GONE",
    Action.LOSE: "LOST",
    Action.EXPIRE: "past",
}


def plan_lines(plan: Plan) -> list[str]:
    """Format a plan: the run, and each artifact that is not kept."""
    kept = sum(1 for _ in plan.having(Action.KEEP))
    lines = [f"{printable(str(plan.run.key))} ({printable(plan.run.status)}): {kept} kept"]
    for step in plan.steps:
        if step.action is not Action.KEEP:
            place = step.path or "/".join(step.artifact.key[3:])
            lines.append(f"  {_MARKS[step.action]} {printable(place)}  ({printable(step.why)})")
    return lines


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Format rows as columns, the first aligned left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    ]


def age(moment: datetime | None, now: datetime) -> str:
    """Format how long ago a moment was: ``3h ago``."""
    return "never" if moment is None else f"{span(max((now - moment).total_seconds(), 0))} ago"


def span(seconds: float) -> str:
    """Format a duration in the largest unit that fits: ``3h``."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{int(seconds // length)}{unit}"
    return f"{int(seconds)}s"
