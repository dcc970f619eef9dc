"""``python -m benchmarks``: prepare, measure the chosen cases, report, and leave nothing behind."""

from __future__ import annotations

import shutil
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, NoReturn

from benchmarks import cases, report, tools
from benchmarks.contest import Bench
from benchmarks.disk import Disk
from benchmarks.machine import describe
from benchmarks.results import Results, load, save
from benchmarks.server import Nginx
from benchmarks.settings import Settings, from_environment

if TYPE_CHECKING:
    from types import FrameType


def main() -> int:
    """Run the benchmark; 1 when a contender has failed."""
    signal.signal(signal.SIGTERM, _end)
    settings = from_environment()
    results = _measured(settings)
    settings.out.mkdir(parents=True, exist_ok=True)
    earlier = load(settings.out)
    merged = results.merged(earlier) if earlier is not None else results
    save(settings.out, merged)
    print(report.write(settings.out, merged))
    print(f"\nwritten to {settings.out}", file=sys.stderr)
    return int(any(row.failure for group in results.groups for row in group.rows))


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    """SIGTERM ends us as Ctrl-C does: servers and files go, too."""
    raise SystemExit(143)


def _measured(settings: Settings) -> Results:
    with ExitStack() as stack:
        folder = _folder(settings, stack)
        cases.check_room(settings, folder)
        bench = _bench(settings, folder, stack)
        machine = {**describe(folder), **tools.versions(bench.tools), "Sizes": settings.scale}
        results = Results(machine)
        for case in settings.cases:
            results.groups += cases.CASES[case](bench)
        return results


def _folder(settings: Settings, stack: ExitStack) -> Path:
    settings.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix="bench-", dir=settings.folder))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o711)  # PostgreSQL runs as somebody else
    return folder


def _bench(settings: Settings, folder: Path, stack: ExitStack) -> Bench:
    places: dict[str, Any] = {name: folder / name for name in ("served", "home", "runs", "nginx")}
    for place in places.values():
        place.mkdir()
    found = tools.find_tools(folder)
    nginx = stack.enter_context(Nginx(found.nginx, places["nginx"], places["served"]))
    return Bench(
        tools=found,
        server=nginx,
        disk=Disk(places["runs"]),
        served=places["served"],
        home=places["home"],
        sizes=settings.sizes,
        rounds=settings.rounds,
        environ=tools.environment(places["home"]),
        commit=tools.commit(),
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted: all that was begun has been ended and removed", file=sys.stderr)
        sys.exit(130)
