"""The cases, by the numbers that they have in issues 4 and 16, and the room that they need."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from benchmarks import downloads, fleet, passes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from benchmarks.contest import Bench
    from benchmarks.results import Group
    from benchmarks.settings import Settings

CASES: Mapping[str, Callable[[Bench], Iterator[Group]]] = {
    "1": downloads.small,
    "2": downloads.middle,
    "3": downloads.big,
    "4": passes.nothing_new,
    "5": passes.curves,
    "6": downloads.distant,
    "7": passes.start,
    "8": passes.verify,
    "9": fleet.beyond_one_machine,
}

_SPARE = 1 << 30
"""For the environment, ledgers, lists and logs."""


def check_room(settings: Settings, folder: Path) -> None:
    """Exit with a clear word when the disk is too small."""
    sizes = settings.sizes
    small, middle, big = sizes.small.bytes, sizes.middle.bytes, sizes.big.bytes
    # what is served, and a run before it is removed
    needs = {"1": 2 * small, "2": 2 * middle, "3": 2 * big, "8": sizes.verify.bytes}
    needs["9"] = 20 * (sizes.shared.bytes + sizes.shared_middle.bytes) + 2_000 * sizes.rows
    need = _SPARE + sum(needs.get(case, 0) for case in settings.cases)
    free = shutil.disk_usage(folder).free
    if free < need:
        raise SystemExit(
            f"this takes {need / 1e9:.1f} GB and BENCH_DIR has {free / 1e9:.1f} GB free:"
            " choose another BENCH_DIR, fewer CASES or a SCALE below 1"
        )
