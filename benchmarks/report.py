"""The table, and ``RESULTS.md`` around it. The chart is ``chart``'s."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import chart
from benchmarks.contenders import DOWNLOAD, FAST, FULL, HASH
from benchmarks.goals import goals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from benchmarks.results import Group, Results, Row

PAGE, CHART = "RESULTS.md", "results.svg"
_HEADINGS = (
    "case",
    "contender",
    "wall s",
    "download s",
    "hash s",
    "CPU s",
    "MB",
    "requests",
    "÷ fast",
    "÷ full",
    "download ÷ full",
)
_NUMBERS = range(2, len(_HEADINGS))

_INTRODUCTION = """\
# Speed

Written by `make bench`, which anybody can run again; every single run is in
[results.json](results.json), and why it is measured in this way in
[decision 0013](../docs/decisions/0013-the-benchmark.md).

![The medians of each case, and time and memory as work grows](results.svg)
"""

_READING = """\
All contenders do the same work: download, SHA-256 of every file in a manifest, final names. They
take turns on one file system and one nginx on loopback, in another order each round; what they made
is checked afterwards, and a contender that did not do it is shown as failed. Installing, preparing
and checking are not timed.

- **wall**, **CPU** (user and system, of the contender with all its processes, not of nginx),
  **download** and **hash** are medians in seconds. **MB** (10⁶ bytes) is the largest process of any
  round; what is below 10 MB is shown as 10. **requests** is the server's own count.
- **÷ fast** and **÷ full**: the contender's wall time divided by that of artifact-sync with
  `durability = "fast"` or `"full"` in the same round, and of these the median. Above 1
  artifact-sync is faster. `full`, the default, has every file safe from a power cut before it is
  recorded; no other downloader here does that.
- **download ÷ full**: the same for the contender's download alone, *without* the hashing that
  artifact-sync's time includes. Debian's `sha256sum` does not use the CPU's SHA instructions, and
  artifact-sync's OpenSSL does: much of its lead over `… + sha256sum` is that. Judge the download by
  this column.
- artifact-sync's own politeness (25 requests a second to the API) is switched off here; `wget`
  fetches one file after the other, all others 16 at once; rclone is spared the `HEAD` that it would
  ask for each file.
- The socket loop is the floor: no retry, no resume, no ledger, no checks. It is no goal to beat it.
  The one with fsync is the floor of `full`: it syncs each file, but no folder and no ledger.
"""


def write(folder: Path, results: Results) -> str:
    """Write page and chart into a folder; the text for the terminal."""
    about_goals = "\n".join(_table(("case", "goal", "measured", ""), _goal_lines(results)))
    measured = "\n".join(_table(_HEADINGS, list(_lines(results))))
    machine = "\n".join(_table(("", ""), list(results.machine.items())))
    sections = (
        _INTRODUCTION,
        f"## Goals\n\n{about_goals}\n",
        f"## Measured\n\n{measured}\n{_failures(results)}",
        f"## How to read it\n\n{_READING}",
        f"## The machine\n\n{machine}\n\n{_when(results)}",
    )
    (folder / PAGE).write_text("\n".join(sections), encoding="utf-8")
    (folder / CHART).write_text(chart.draw(results), encoding="utf-8")
    return f"{measured}\n{_failures(results)}\n{about_goals}"


def _goal_lines(results: Results) -> list[tuple[str, ...]]:
    cases = {group.case for group in results.groups}
    return [(it.case, it.words, it.measured, f"**{it.verdict(cases)}**") for it in goals(results)]


def _lines(results: Results) -> Iterator[tuple[str, ...]]:
    """A line a group, then a line a contender."""
    for group in results.groups:
        yield (f"**{group.id}**", f"**{group.title}**", *[""] * len(_NUMBERS))
        for row in group.rows:
            yield (group.id, row.name, *_numbers(group, row))


def _numbers(group: Group, row: Row) -> tuple[str, ...]:
    if row.failure:
        return ("FAILED", *[""] * (len(_NUMBERS) - 1))
    hashing = row.phase(HASH)
    return (
        _seconds(row.wall),
        _seconds(row.phase(DOWNLOAD) if hashing is not None else None),
        _seconds(hashing),
        _seconds(row.cpu),
        f"{row.memory / 1e6:.0f}",
        "" if row.requests is None else f"{row.requests:,}",
        _ratio(group.ratio(row.name, FAST)),
        _ratio(group.ratio(row.name, FULL)),
        _ratio(group.ratio(row.name, FULL, DOWNLOAD) if hashing is not None else None),
    )


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _failures(results: Results) -> str:
    """What did not do its work, and why."""
    found = [(group, row) for group in results.groups for row in group.rows if row.failure]
    lines = [f"- {group.id}, {row.name}: {' '.join(row.failure.split())}" for group, row in found]
    return "\n".join(["", "Failed:", "", *lines, ""]) if lines else ""


def _table(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> Iterator[str]:
    """Markdown that is aligned as text, too: numbers to the right."""
    columns = list(zip(headings, *lines, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [
        number in _NUMBERS and len(headings) == len(_HEADINGS) for number in range(len(widths))
    ]
    yield _row(headings, widths, right)
    rules = [
        ("-" * (width + 1)) + (":" if at else "-") for width, at in zip(widths, right, strict=True)
    ]
    yield "|" + "|".join(rules) + "|"
    for line in lines:
        yield _row(line, widths, right)


def _row(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = [
        cell.rjust(width) if at else cell.ljust(width)
        for cell, width, at in zip(cells, widths, right, strict=True)
    ]
    return "| " + " | ".join(padded) + " |"


def _when(results: Results) -> str:
    """When each case was measured, and of which state of the repository."""
    told = {
        group.case: f"case {group.case}: {group.about['date']}, commit {group.about['commit']},"
        f" {max(len(row.samples) for row in group.rows)} rounds"
        for group in results.groups
    }
    return "\n".join(f"- {line}" for line in told.values()) + "\n"
