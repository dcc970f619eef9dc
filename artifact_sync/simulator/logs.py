"""Logs of simulated cubes, by pages."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.domain.model import FINISHED

if TYPE_CHECKING:
    from artifact_sync.simulator.tree import CubeState

_LINE = 64


class SimulatedPage(Struct, frozen=True):
    """A page as the API answers it."""

    text: str
    complete: bool
    done: bool


def log_text(cube: CubeState) -> str:
    """The whole log: what the scenario says, or numbered lines of 64 bytes."""
    size = cube.spec.log_size
    if size is None:
        return cube.spec.log
    return _lines(cube.key.cube.encode("ascii", "replace").decode()[:20], size)


@lru_cache(maxsize=4)  # a log is made anew for each of its pages
def _lines(name: str, size: int) -> str:
    lines = (f"{n:012d} {name}".ljust(_LINE - 1, ".") + "\n" for n in range(size // _LINE + 1))
    return "".join(lines)[:size]


def page_of_log(cube: CubeState, number: int) -> SimulatedPage | None:
    """A page, from 1; None: there is no such page."""
    end, step = cube.spec.log_end, max(cube.spec.log_page, 1)
    text = log_text(cube)
    last = max(-(-len(text) // step), 1)
    if end == "none" or number < 1:
        return None
    if number <= last:
        page = text[(number - 1) * step : number * step]
        finished = cube.status in FINISHED
        is_whole = number < last or (finished and end != "open")
        return SimulatedPage(page, is_whole, finished and number == last and end == "done")
    if end == "repeat":
        return SimulatedPage(text[(last - 1) * step :], complete=True, done=False)
    if end == "empty":
        return SimulatedPage("", complete=True, done=False)
    return None
