"""The goals of issues 4 and 16, held against what was measured. Pure.

A ratio is the median of the rounds' ratios. What was not measured is neither met nor missed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.contenders import ARIA2, CURL, DURABLE, FAST, FULL, RCLONE, SOCKETS, WGET
from benchmarks.fleet import (
    DAEMON,
    DU,
    LS,
    ONE,
    POSTGRES,
    PRUNE,
    SQLITE,
    STATEMENTS,
    STATUS_OF_ALL,
    THREE,
    WORKER,
)
from benchmarks.passes import HELP, IMPORTS, STATUS, SUMS, VERIFY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from benchmarks.results import Group, Results, Row

ALL = "all"
_OURS = "artifact-sync"


@dataclass(frozen=True, slots=True)
class Check:
    """One number that a goal speaks of."""

    words: str
    value: float | None
    fine: bool
    unit: str = ""

    def __str__(self) -> str:
        value = "not measured" if self.value is None else f"{self.value:.3g}{self.unit}"
        return f"{self.words} {value}".strip()


@dataclass(frozen=True, slots=True)
class Goal:
    """A line of the table."""

    case: str
    words: str
    checks: tuple[Check, ...]

    def verdict(self, measured: Collection[str]) -> str:
        """``met``, ``missed`` or ``not measured``, given which cases were.

        What was measured and has no value has failed, and misses its goal.
        """
        if self.case not in measured and self.case != ALL:
            return "not measured"
        return "met" if all(check.fine for check in self.checks) else "missed"

    @property
    def measured(self) -> str:
        """All of its numbers."""
        return ", ".join(map(str, self.checks))


def at_least(words: str, value: float | None, limit: float, unit: str = "") -> Check:
    """Fine when the value is the limit or more."""
    return Check(words, value, value is not None and value >= limit, unit)


def at_most(words: str, value: float | None, limit: float, unit: str = "") -> Check:
    """Fine when the value is the limit or less."""
    return Check(words, value, value is not None and value <= limit, unit)


def goals(results: Results) -> list[Goal]:
    """Every goal, in the order of the cases."""
    return [
        _small_fast(results),
        _small_full(results),
        *(_middle(results, name) for name in (FAST, FULL)),
        *(_big(results, way, name) for way in ("plain", "TLS") for name in (FAST, FULL)),
        *_nothing_new(results),
        *(_distant(results, name) for name in (FAST, FULL)),
        *_start(results),
        _verify(results),
        *_beyond_one_machine(results),
        _memory(results),
    ]


def _ratio(results: Results, group: str, of: str, to: str, what: str = "wall") -> float | None:
    found = results.group(group)
    return found.ratio(of, to, what) if found is not None else None


def _faster(results: Results, group: str, ours: str, others: Sequence[str]) -> Iterator[Check]:
    """How many times our time fits into that of the others."""
    for other in others:
        yield at_least(f"{_short(other)}/ours", _ratio(results, group, other, ours), 1)


def _short(name: str) -> str:
    return name.removesuffix(" + sha256sum")


def _small_fast(results: Results) -> Goal:
    words = "small files, fast: at least as fast as aria2c + sha256sum and rclone + sha256sum"
    return Goal("1", words, tuple(_faster(results, "1", FAST, (ARIA2, RCLONE))))


def _small_full(results: Results) -> Goal:
    words = "small files, full: at least 0.8 of a loop that writes, fsyncs and renames"
    check = at_least("loop/ours", _ratio(results, "1", DURABLE, FULL), 0.8)
    return Goal("1", words, (check,))


def _middle(results: Results, ours: str) -> Goal:
    words = f"5 MiB files, {_mode(ours)}: faster than every contender (the floor is none)"
    return Goal("2", words, tuple(_faster(results, "2", ours, (CURL, ARIA2, RCLONE, WGET))))


def _mode(name: str) -> str:
    return name.rpartition(" ")[2]


def _big(results: Results, way: str, ours: str) -> Goal:
    group = f"3 {way}"
    words = (
        f"one big file, {way}, {_mode(ours)}: wall at most 0.8 of curl + sha256sum and of"
        " aria2c + sha256sum, CPU at most 1.3 of the socket loop"
    )
    walls = [
        at_most(f"ours/{_short(other)}", _ratio(results, group, ours, other), 0.8)
        for other in (CURL, ARIA2)
    ]
    cpu = at_most("CPU: ours/loop", _ratio(results, group, ours, SOCKETS, "cpu"), 1.3)
    return Goal("3", words, (*walls, cpu))


def _nothing_new(results: Results) -> Iterator[Goal]:
    rows = [row for row in _rows(results.group("4")) if row.name != IMPORTS]
    first, last = (rows[0], rows[-1]) if len(rows) > 1 else (None, None)
    asked = [at_most(f"at {row.count:,}:", row.requests, 1, "") for row in rows]
    yield Goal("4", "nothing new: one request a repository", tuple(asked) or (_NONE,))
    floor = _ratio(results, "4", first.name, IMPORTS) if first else None
    words = "nothing new: the whole command at most 1.7 times the imports that it needs"
    yield Goal("4", words, (at_most(_at(first), floor, 1.7),))
    most = max((row.memory / 1e6 for row in rows), default=None)
    yield Goal("4", "nothing new: at most 45 MB", (at_most("", most, 45, " MB"),))
    ratio = _ratio(results, "4", last.name, first.name) if first and last else None
    flat = at_most(_at(last), ratio, 1.2)
    yield Goal("4", "nothing new: flat to 1,000,000 (at most 1.2 of the time above)", (flat,))


_NONE = Check("", None, fine=False)


def _rows(group: Group | None) -> list[Row]:
    return [row for row in group.rows if not row.failure] if group is not None else []


def _at(row: Row | None) -> str:
    return f"at {row.count:,}:" if row is not None else ""


def _distant(results: Results, ours: str) -> Goal:
    words = f"latency, {_mode(ours)}: within 1.2 of the ideal"
    group = results.group("6")
    row = group.row(ours) if group is not None else None
    value = row.wall / group.facts["ideal"] if group is not None and row is not None else None
    return Goal("6", words, (at_most("ours/ideal", value, 1.2),))


def _start(results: Results) -> Iterator[Goal]:
    group = results.group("7")
    for name, limit in ((HELP, 0.15), (STATUS, 0.35)):
        row = group.row(name) if group is not None else None
        words = name.removeprefix("artifact-sync ")
        check = at_most("", row.wall if row is not None else None, limit, " s")
        yield Goal("7", f"start: {words} in {limit} s", (check,))


def _verify(results: Results) -> Goal:
    words = "verify: at least 1.7 times as fast as sha256sum -c"
    return Goal("8", words, (at_least("sha256sum/ours", _ratio(results, "8", SUMS, VERIFY), 1.7),))


def _beyond_one_machine(results: Results) -> Iterator[Goal]:
    ratio = at_most("PostgreSQL/SQLite", _ratio(results, "9 new", POSTGRES, SQLITE), 1.2)
    yield Goal(
        "9", "PostgreSQL: a pass with new files takes at most 1.2 of SQLite's time", (ratio,)
    )
    asked = [at_most(_kind(row), row.requests, 1) for row in _rows(results.group("9 known"))]
    yield Goal("9", "nothing new, PostgreSQL: one request a repository", tuple(asked) or (_NONE,))
    yield from _services(results)
    sizes = [which for which in ("small", "middle") if results.group(f"9 {which}") is not None]
    for which in sizes or ["small"]:  # a trial has one
        yield _workers(results, which)
    yield from _large(results)


def _services(results: Results) -> Iterator[Goal]:
    group = results.group("9 idle")
    rows = _rows(group)
    cpu = [at_most(_kind(row), 1000 * row.cpu / (row.requests or 1), 20, " ms") for row in rows]
    yield Goal("9", "nothing new, services: at most 20 ms of CPU a pass", tuple(cpu) or (_NONE,))
    facts = group.facts if group is not None else {}
    words = "nothing new, services: at most 30 statements a pass, those of planning among them"
    checks = [at_most(f"{_bare(it)}:", facts.get(STATEMENTS + it), 30) for it in (DAEMON, WORKER)]
    yield Goal("9", words, tuple(checks))


def _kind(row: Row) -> str:
    return f"{_bare(row.name)}:"


def _bare(name: str) -> str:
    return name.removeprefix(_OURS).strip(", ")


def _workers(results: Results, which: str) -> Goal:
    """Their files a second; of the ratio a goal is made."""
    group = results.group(f"9 {which}")
    each = [Check(_kind(row), row.count / row.wall, fine=True, unit="/s") for row in _rows(group)]
    times = at_least("1 worker's time/3 workers'", _ratio(results, f"9 {which}", ONE, THREE), 2)
    words = f"workers, {which} files: three take at most half of the time of one; files a second"
    return Goal("9", words, (*each, times))


def _large(results: Results) -> Iterator[Goal]:
    group = results.group("9 rows")
    for name, limit in ((STATUS_OF_ALL, 5.0), (LS, 1.0), (DU, 5.0), (PRUNE, 60.0)):
        row = group.row(name) if group is not None else None
        check = at_most("", row.wall if row is not None else None, limit, " s")
        yield Goal("9", f"2,000,000 artifacts: {_bare(name)} in {limit:g} s", (check,))


def _memory(results: Results) -> Goal:
    """Of all that was measured; a case that was left out says nothing."""
    ours = [
        (row.memory / 1e6, f"{group.id}, {row.name.removeprefix(_OURS).strip()}:")
        for group in results.groups
        for row in _rows(group)
        if row.name.startswith(_OURS)
    ]
    most, where = max(ours, default=(None, ""))
    return Goal(ALL, "memory: under 100 MB in every case", (at_most(where, most, 100, " MB"),))
