"""What was measured, as values, with medians and ratios; kept as JSON from one call to the next."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

FILE = "results.json"


@dataclass(slots=True)
class Row:
    """A contender's runs in a group, one a round."""

    name: str
    count: int = 0
    """Of artifacts, where that is what differs."""
    samples: list[Sample] = field(default_factory=list)

    @property
    def failure(self) -> str:
        """Of the first run that failed; such a row has no medians."""
        return next((sample.failure for sample in self.samples if sample.failure), "")

    @property
    def wall(self) -> float:
        """Median seconds."""
        return statistics.median(sample.wall for sample in self.samples)

    @property
    def cpu(self) -> float:
        """Median CPU seconds."""
        return statistics.median(sample.cpu for sample in self.samples)

    @property
    def memory(self) -> int:
        """The largest process of all rounds, bytes."""
        return max(sample.memory for sample in self.samples)

    @property
    def requests(self) -> int | None:
        """Median requests; None where nobody was asked."""
        counts = [sample.requests for sample in self.samples if sample.requests is not None]
        return int(statistics.median(counts)) if counts else None

    def phase(self, name: str) -> float | None:
        """Median seconds of a phase; None: it has none of this name."""
        times = [sample.phases[name] for sample in self.samples if name in sample.phases]
        return statistics.median(times) if times else None


@dataclass(slots=True)
class Group:
    """Contenders that did the same in turn."""

    id: str
    title: str
    rows: list[Row]
    bytes: int = 0
    about: dict[str, str] = field(default_factory=dict)
    """When and of which state of the repository."""
    facts: dict[str, float] = field(default_factory=dict)
    """Numbers that belong to the group, such as the ideal."""

    @property
    def case(self) -> str:
        """The number of its case."""
        return self.id[:1]

    def row(self, name: str) -> Row | None:
        """A contender whose runs all went well."""
        found = next((row for row in self.rows if row.name == name), None)
        return found if found is not None and found.samples and not found.failure else None

    def ratio(self, of: str, to: str, what: str = "wall") -> float | None:
        """The median of the rounds' ratios; None when one of the two is missing or has failed."""
        above, below = self.row(of), self.row(to)
        if above is None or below is None:
            return None
        pairs = zip(above.samples, below.samples, strict=False)
        return statistics.median(_value(one, what) / _value(other, what) for one, other in pairs)


def _value(sample: Sample, what: str) -> float:
    """``wall``, ``cpu``, or the name of a phase; the whole run where there is no such phase."""
    if what in {"wall", "cpu"}:
        return float(getattr(sample, what))
    return sample.phases.get(what, sample.wall)


@dataclass(slots=True)
class Results:
    """All groups, and the machine that they were measured on."""

    machine: dict[str, str]
    groups: list[Group] = field(default_factory=list)

    def group(self, which: str) -> Group | None:
        """A group by its id."""
        return next((group for group in self.groups if group.id == which), None)

    def merged(self, earlier: Results) -> Results:
        """These, and those cases of an earlier call that these do not have.

        Those of another machine are left out: one table must not compare two of them.
        """
        if earlier.machine != self.machine:
            return self
        mine = {group.case for group in self.groups}
        kept = [group for group in earlier.groups if group.case not in mine]
        return Results(self.machine, sorted([*kept, *self.groups], key=lambda group: group.case))


def load(folder: Path) -> Results | None:
    """What an earlier call has left."""
    path = folder / FILE
    return _results(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def save(folder: Path, results: Results) -> None:
    """Keep every single run."""
    groups = [_group_json(group) for group in results.groups]
    text = json.dumps({"machine": results.machine, "groups": groups}, indent=1)
    (folder / FILE).write_text(text + "\n", encoding="utf-8")


def _group_json(group: Group) -> dict[str, Any]:
    rows = [
        {"name": row.name, "count": row.count, "samples": [it.as_json() for it in row.samples]}
        for row in group.rows
    ]
    names = ("id", "title", "bytes", "about", "facts")
    return {name: getattr(group, name) for name in names} | {"rows": rows}


def _results(told: Mapping[str, Any]) -> Results:
    return Results(dict(told["machine"]), [_group(each) for each in told["groups"]])


def _group(told: Mapping[str, Any]) -> Group:
    return Group(**(dict(told) | {"rows": _rows(told["rows"])}))


def _rows(told: Iterable[Mapping[str, Any]]) -> list[Row]:
    return [Row(each["name"], each["count"], _samples(each["samples"])) for each in told]


def _samples(told: Sequence[Mapping[str, Any]]) -> list[Sample]:
    return [Sample(**each) for each in told]
