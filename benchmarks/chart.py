"""The chart: bars for each case, curves as work grows; SVG, by the standard library alone.

Two shapes on a grid take little code, and nobody has to install a plotting library (decision 0013).
Readable on a light and on a dark page.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple
from xml.etree.ElementTree import Element, SubElement, tostring

from benchmarks.contenders import HASH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.results import Group, Results, Row

WIDTH = 900
_LEFT, _RIGHT = 250, 90
_LINE, _BAR = 20, 13
_TITLE, _GAP = 30, 22
_CURVE_HEIGHT, _CURVE_LEFT = 190, 70
_OURS = "artifact-sync"
_CURVES = "5"
_SVG = "http://www.w3.org/2000/svg"

_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 13px }
.value { font-variant-numeric: tabular-nums }
.faint { fill: #6e7781 }
.other { fill: #9aa5b1 }
.hash { fill: #c9d1d9 }
.ours { fill: #0969da }
.rule { stroke: #d0d7de }
.curve { fill: none; stroke-width: 2 }
.known { stroke: #0969da; fill: #0969da }
.new { stroke: #bc4c00; fill: #bc4c00 }
.curve.known, .curve.new { fill: none }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .faint { fill: #8d96a0 }
  .other { fill: #6e7681 }
  .hash { fill: #3d444d }
  .ours { fill: #4493f8 }
  .rule { stroke: #3d444d }
  .known { stroke: #4493f8; fill: #4493f8 }
  .new { stroke: #f0883e; fill: #f0883e }
}
"""


class Area(NamedTuple):
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float


def draw(results: Results) -> str:
    """The whole chart as a document."""
    root = Element("svg", {"xmlns": _SVG, "width": str(WIDTH), "role": "img"})
    SubElement(root, "title").text = "artifact-sync beside other downloaders"
    SubElement(root, "style").text = _STYLE
    height = float(_GAP)
    for group in results.groups:
        if group.case != _CURVES:
            height = _bars(root, group, height)
    height = _curves(root, [it for it in results.groups if it.case == _CURVES], height)
    root.set("height", f"{height:.0f}")
    root.set("viewBox", f"0 0 {WIDTH} {height:.0f}")
    return tostring(root, encoding="unicode") + "\n"


def _text(root: Element, place: tuple[float, float], text: str, kind: str, anchor: str) -> None:
    x, y = place
    where = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor, "class": kind}
    SubElement(root, "text", where).text = text


def _rect(root: Element, area: Area, kind: str) -> None:
    names = ("x", "y", "width", "height")
    where = {name: f"{value:.1f}" for name, value in zip(names, area, strict=True)}
    SubElement(root, "rect", where | {"class": kind, "rx": "2"})


def _bars(root: Element, group: Group, top: float) -> float:
    """A bar for each contender's wall time; where the next group begins."""
    longest = max((row.wall for row in group.rows if not row.failure), default=1)
    _text(root, (0, top), f"{group.case}. {group.title}", "title", "start")
    hashed = "; the light part is sha256sum" if any(row.phase(HASH) for row in group.rows) else ""
    _text(root, (WIDTH, top), f"seconds, less is better{hashed}", "faint", "end")
    for number, row in enumerate(group.rows):
        area = Area(_LEFT, top + 10 + number * _LINE, WIDTH - _LEFT - _RIGHT, _BAR)
        _bar(root, row, area, area.width / longest)
    return top + 10 + len(group.rows) * _LINE + _TITLE


def _bar(root: Element, row: Row, area: Area, scale: float) -> None:
    """Its hashing phase, if it has one, in another shade at the end of the bar."""
    line = area.y + _BAR - 2
    _text(root, (area.x - 8, line), row.name, "name", "end")
    if row.failure:
        _text(root, (area.x, line), "failed", "faint", "start")
        return
    width, hashing = row.wall * scale, (row.phase(HASH) or 0) * scale
    kind = "ours" if row.name.startswith(_OURS) else "other"
    _rect(root, area._replace(width=width - hashing), kind)
    if hashing:
        _rect(root, area._replace(x=area.x + width - hashing, width=hashing), "hash")
    _text(root, (area.x + width + 6, line), f"{row.wall:.3g} s", "value", "start")


def _curves(root: Element, groups: Sequence[Group], top: float) -> float:
    """Time and memory over the number of artifacts, side by side."""
    if not groups:
        return top
    title = f"{_CURVES}. artifact-sync as work grows: nothing new among so many, or so many new"
    _text(root, (0, top), title, "title", "start")
    half = WIDTH / 2
    for number, (words, value) in enumerate((("seconds", _wall), ("MB", _memory))):
        left = number * half + _CURVE_LEFT
        area = Area(left, top + 40, half - _CURVE_LEFT - 30, _CURVE_HEIGHT)
        _text(root, (left, top + 26), words, "faint", "start")
        _plot(root, groups, area, value)
    return top + 40 + _CURVE_HEIGHT + 2 * _GAP


def _wall(row: Row) -> float:
    return row.wall


def _memory(row: Row) -> float:
    return row.memory / 1e6


def _plot(
    root: Element, groups: Sequence[Group], area: Area, value: Callable[[Row], float]
) -> None:
    points = {
        group.id.partition(" ")[2]: [
            (row.count, value(row)) for row in group.rows if not row.failure
        ]
        for group in groups
    }
    everything = [point for some in points.values() for point in some]
    counts = sorted({count for count, _ in everything})
    axes = _Axes(area, counts, max((each for _, each in everything), default=1))
    axes.draw(root)
    for name, some in points.items():
        axes.curve(root, name, some)


def _step(most: float) -> float:
    """A round number of which a few make up the greatest value."""
    power = 10.0 ** math.floor(math.log10(most or 1))
    return next(power * part for part in (0.2, 0.5, 1, 2) if power * part * 5 >= most)


class _Axes:
    """Counts on a logarithmic axis, values on a linear one that begins at 0."""

    def __init__(self, area: Area, counts: Sequence[int], most: float) -> None:
        self._area = area
        self._counts = counts
        self._step = _step(most)
        self._most = self._step * math.ceil(most / self._step)

    def _place(self, count: int, value: float) -> tuple[float, float]:
        first, last = math.log(self._counts[0]), math.log(self._counts[-1])
        part = (math.log(count) - first) / ((last - first) or 1)
        area = self._area
        return area.x + part * area.width, area.y + area.height * (1 - value / self._most)

    def draw(self, root: Element) -> None:
        """Rules at round values, and a label under each count."""
        for number in range(round(self._most / self._step) + 1):
            value = self._step * number
            _, y = self._place(self._counts[0], value)
            right = self._area.x + self._area.width
            ends = {"x1": self._area.x, "x2": right, "y1": y, "y2": y}
            SubElement(root, "line", {k: f"{v:.1f}" for k, v in ends.items()} | {"class": "rule"})
            _text(root, (self._area.x - 8, y + 4), f"{value:.3g}", "faint value", "end")
        for count in self._counts:
            x, y = self._place(count, 0)
            _text(root, (x, y + 18), f"{count:,}", "faint value", "middle")

    def curve(self, root: Element, name: str, points: Sequence[tuple[int, float]]) -> None:
        """A line with a dot at each point and the name at the last."""
        places = [self._place(*point) for point in points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        SubElement(root, "polyline", {"points": line, "class": f"curve {name}"})
        for x, y in places:
            where = {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": "3", "class": name}
            SubElement(root, "circle", where)
        if places:
            x, y = places[-1]
            _text(root, (x, y - 9), name, "name", "end")
