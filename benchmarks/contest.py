"""Turns and rounds: every contender of a group, in another order each round, on a disk at rest."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from benchmarks.measure import Sample, measure
from benchmarks.results import Group, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.contenders import Contestant
    from benchmarks.disk import Disk
    from benchmarks.server import Nginx
    from benchmarks.settings import Sizes
    from benchmarks.tools import Tools


@dataclass(frozen=True, slots=True)
class Bench:
    """What every case works with."""

    tools: Tools
    server: Nginx
    disk: Disk
    served: Path
    home: Path
    """For lists, configurations and what programs leave in their user's folder."""
    sizes: Sizes
    rounds: int
    environ: Mapping[str, str]
    commit: str


@dataclass(frozen=True, slots=True)
class Match:
    """A group that is about to be measured."""

    id: str
    title: str
    contestants: Sequence[Contestant]
    bytes: int = 0
    """What each writes in a run."""
    counts: Sequence[int] = ()
    """How many artifacts each has to do with, where that differs."""
    requests: Callable[[], int] | None = None
    """The server's count; asking it is one, too."""


def play(bench: Bench, match: Match) -> Group:
    """Measure a group."""
    print(f"{match.id}: {match.title}", file=sys.stderr, flush=True)
    counts = match.counts or [0] * len(match.contestants)
    rows = [Row(it.name, count) for it, count in zip(match.contestants, counts, strict=True)]
    keep = bench.disk.has_room(match.bytes * len(rows) * bench.rounds)
    used: list[Path] = []
    for number in range(bench.rounds):
        for turn in _order(len(rows), number):
            used.append(_one(bench, match, match.contestants[turn], rows[turn]))
            if not keep:
                bench.disk.remove(used.pop())
    bench.disk.remove(*used)
    about = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": bench.commit}
    return Group(match.id, match.title, rows, match.bytes, about)


def _order(count: int, number: int) -> list[int]:
    """Another one first in each round, and every other round backwards.

    A machine that has been busy is slower for a while, so nobody may always follow the same one.
    """
    order = [(turn + number) % count for turn in range(count)]
    return order[::-1] if number % 2 else order


def _one(bench: Bench, match: Match, contestant: Contestant, row: Row) -> Path:
    """One run, and whether it did its work."""
    folder = bench.disk.fresh()
    phases = contestant.phases(folder)
    os.sync()  # nobody pays for what the one before has left to write
    before = match.requests() if match.requests else 0
    sample = measure(phases, folder, bench.environ)
    asked = match.requests() - before - 1 if match.requests else None
    if not sample.failure:
        sample = replace(sample, failure=contestant.check(folder))
    row.samples.append(replace(sample, requests=asked))
    _tell(contestant.name, row.samples[-1])
    return folder


def _tell(name: str, sample: Sample) -> None:
    failure = f"  FAILED: {sample.failure}" if sample.failure else ""
    said = f"  {name:<34}{sample.wall:9.3f} s {sample.cpu:9.3f} CPU s{failure}"
    print(said, file=sys.stderr, flush=True)
