"""The cases of a mirror that is there: nothing new, growing work, the start, and ``verify``."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.catalog import ORG, make_files, write_random
from benchmarks.contenders import BEFORE, Contestant, check_sums, configuration
from benchmarks.contest import Bench, Match, play
from benchmarks.known import RUN_FILES, Known, build, publish_new, write_small
from benchmarks.measure import Phase, measure
from benchmarks.settings import Files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.catalog import FileSet
    from benchmarks.results import Group

VERIFY, SUMS = "artifact-sync verify", "sha256sum -c"
HELP, SYNC_HELP = "artifact-sync --help", "artifact-sync sync --help"
STATUS = "artifact-sync status"
IMPORTS = "python -c 'import httpx, click, msgspec'"
_NEW = Files(0, 4096)
ANSWER = "answer.json"
_MANIFESTS = 2
"""Of a run, which ``verify`` counts, too."""


def nothing_new(bench: Bench) -> Iterator[Group]:
    """Case 4."""
    least = _command(IMPORTS, _python(bench), "-c", "import httpx, click, msgspec")
    yield _known_group(bench, "4", (bench.sizes.known, bench.sizes.huge), least)


def curves(bench: Bench) -> Iterator[Group]:
    """Case 5."""
    yield _known_group(bench, "5 known", bench.sizes.curve_known)
    yield _new_group(bench)


def _known_group(bench: Bench, which: str, known: tuple[int, ...], *others: Contestant) -> Group:
    contestants = [*(_knowing(bench, count) for count in known), *others]
    counts = (*known, *(0 for _ in others))
    title = f"nothing new, {RUN_FILES} artifacts a run"
    counted = bench.server.requests
    return play(bench, Match(which, title, contestants, counts=counts, requests=counted))


def _knowing(bench: Bench, count: int) -> Contestant:
    config = _mirror(bench, count)
    command = (bench.tools.artifact_sync, "sync", "--config", config, "--json")
    phase = Phase("sync", command, stdout=ANSWER)
    name = f"artifact-sync sync, {count:,} known"
    return Contestant(name, lambda _: [phase], partial(is_old, count))


def _mirror(bench: Bench, count: int) -> str:
    """The configuration of a mirror that knows so many artifacts; made when there is none."""
    known = Known(bench.home / f"known-{count}", f"known-{count}", count // RUN_FILES)
    config = _configuration(bench, known.root, known.repo)
    if not known.root.exists():
        print(f"  preparing a mirror with {count:,} artifacts", file=sys.stderr, flush=True)
        build(known, bench.served, write_small)
        _prove(bench, known, config)
    return config


def _prove(bench: Bench, known: Known, config: str) -> None:
    """A first pass finds nothing to do, so the mirror is as one that artifact-sync has made."""
    folder = bench.disk.fresh()
    command = (bench.tools.artifact_sync, "sync", "--config", config, "--json")
    sample = measure([Phase("sync", command, stdout=ANSWER)], folder, bench.environ)
    trouble = sample.failure or is_old(known.artifacts, folder)
    if trouble:
        raise RuntimeError(f"the mirror that was prepared is not right: {trouble}")


def is_old(count: int, folder: Path) -> str:
    """What is wrong with the answer of a pass that was to find so many, and none of them new."""
    answer: Mapping[str, Any] = json.loads((folder / ANSWER).read_text())
    told = {name: answer[name] for name in ("complete", "found", "kept", "downloaded")}
    meant = {"complete": True, "found": count, "kept": count, "downloaded": 0}
    return "" if told == meant else f"it says {told}"


def _configuration(bench: Bench, root: Path, repo: str, api: str = "") -> str:
    where = {"api": api or bench.server.url, "ca": bench.server.ca, "repo": f"{ORG}/{repo}"}
    return configuration(bench.home, root, **where, durability="full", jobs=16)


def _new_group(bench: Bench) -> Group:
    counts = bench.sizes.curve_new
    contestants = [_beginner(bench, count) for count in counts]
    title = f"all new, 4 KiB each, {RUN_FILES} artifacts a run, durability full"
    size, counted = _NEW.size * max(counts), bench.server.requests
    return play(bench, Match("5 new", title, contestants, size, counts, counted))


def _beginner(bench: Bench, count: int) -> Contestant:
    name = f"new-{count}"
    files = make_files(bench.served, name, Files(count, _NEW.size))
    publish_new(bench.served, name, files.hashes, f"{bench.server.url}/files/{name}")

    def phases(folder: Path) -> list[Phase]:
        config = _configuration(bench, folder, name)
        return [Phase("sync", (bench.tools.artifact_sync, "sync", "--config", config))]

    def check(folder: Path) -> str:
        return check_runs(files, folder / ORG / name)

    return Contestant(f"artifact-sync sync, {count:,} new", phases, check)


def check_runs(files: FileSet, folder: Path) -> str:
    """What is wrong with the manifests of all runs together."""
    hashes, names = files.hashes, list(files.hashes)
    for number, first in enumerate(range(0, len(names), RUN_FILES), 1):
        some = {name: hashes[name] for name in names[first : first + RUN_FILES]}
        if trouble := check_sums(some, files.size, folder / str(number)):
            return f"run {number}: {trouble}"
    return ""


def start(bench: Bench) -> Iterator[Group]:
    """Case 7."""
    count = bench.sizes.curve_known[-1]
    program, config = bench.tools.artifact_sync, _mirror(bench, count)
    python = _python(bench)
    contestants = [
        _command("python -c pass", python, "-c", "pass"),
        _command(HELP, program, "--help"),
        _command(SYNC_HELP, program, "sync", "--help"),
        _command(STATUS, program, "status", "--config", config),
    ]
    if bench.tools.before:
        contestants.append(_command(f"{BEFORE}{HELP}", bench.tools.before, "--help"))
    title = f"the start; status at {count:,} artifacts"
    yield play(bench, Match("7", title, contestants))


def _python(bench: Bench) -> str:
    """The interpreter of the environment in which artifact-sync is installed."""
    return str(Path(bench.tools.artifact_sync).with_name("python"))


def _command(name: str, *argv: str) -> Contestant:
    return Contestant(name, lambda _: [Phase("run", argv, stdout=ANSWER)], lambda _: "")


def verify(bench: Bench) -> Iterator[Group]:
    """Case 8."""
    files = bench.sizes.verify
    known = Known(bench.home / "verify", "verify", 1, files.count)
    build(known, bench.served, lambda path: (files.size, write_random(path, files.size)))
    config = _configuration(bench, known.root, known.repo)
    run = known.root / ORG / known.repo / "1"
    sums = ("sh", "-c", f"cd '{run}' && sha256sum -c --quiet SHA256SUMS")
    own = Phase("verify", (bench.tools.artifact_sync, "verify", "--config", config), ANSWER)
    contestants = [
        _command(SUMS, *sums),
        Contestant(VERIFY, lambda _: [own], partial(_all_well, files.count + _MANIFESTS)),
    ]
    title = f"verify of {files.bytes / 1e9:.3g} GB in {files.count} files"
    yield play(bench, Match("8", title, contestants))


def _all_well(count: int, folder: Path) -> str:
    said = (folder / ANSWER).read_text()
    return "" if said.startswith(f"{count} ok, 0 missing, 0 changed") else f"it says {said}"
