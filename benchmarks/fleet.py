"""Case 9: a ledger in PostgreSQL beside one in SQLite, services with nothing to do, and workers."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.catalog import ORG, FileSet, make_files
from benchmarks.contenders import Contestant, configuration
from benchmarks.contest import Bench, Match, play
from benchmarks.known import RUN_FILES, Known, build, claim, publish_new, write_small
from benchmarks.measure import Phase, Sample, measure
from benchmarks.passes import ANSWER, check_runs, is_old
from benchmarks.postgres import Postgres, ask
from benchmarks.results import Group, Row
from benchmarks.rows import REPO_FILES, build_rows, make_ledger, row_sizes
from benchmarks.server import SlowServer
from benchmarks.services import Services

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from benchmarks.settings import Files

SQLITE, POSTGRES = "artifact-sync sync, SQLite", "artifact-sync sync, PostgreSQL"
SQLITE_DAEMON, DAEMON = "artifact-sync daemon, SQLite", "artifact-sync daemon, PostgreSQL"
WORKER = "artifact-sync worker"
STATUS_OF_ALL, DU = "artifact-sync status of all", "artifact-sync du"
LS, PRUNE = "artifact-sync ls --sha256", "artifact-sync prune --dry-run"
ONE, TWO, THREE = "artifact-sync, 1 worker", "artifact-sync, 2 workers", "artifact-sync, 3 workers"
STATEMENTS = "statements: "
"""In front of the service's name, among the facts of its group."""

_JOBS, _LATENCY = 4, 0.1
"""Of each worker in the groups that count workers: the service is what they wait for."""
_REPOS = 12
_IDLE_REPOS = 20
_WARM = 2
"""Passes of each repository before the clock starts."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What the groups of this case work with."""

    bench: Bench
    database: Postgres
    home: Path

    def config(self, root: Path, repo: str, ledger: str = "", **values: object) -> str:
        """The path of a configuration; see ``contenders.configuration``."""
        where = {"api": self.bench.server.url, "ca": self.bench.server.ca, "repo": f"{ORG}/{repo}"}
        more = f'[ledger]\nurl = "{ledger}"\n' if ledger else ""
        defaults = {"durability": "full", "jobs": 16, **where}
        more += str(values.pop("more", ""))
        return configuration(self.home, root, **{**defaults, **values, "more": more})

    def command(self, config: str, *arguments: str) -> tuple[str, ...]:
        """artifact-sync with arguments and this configuration."""
        return (self.bench.tools.artifact_sync, *arguments, "--config", config)


def beyond_one_machine(bench: Bench) -> Iterator[Group]:
    """Case 9."""
    home, data = bench.home / "fleet", bench.home / "postgres"
    for folder in (home, data):
        folder.mkdir()
    with Postgres(data) as database:
        ground = Ground(bench, database, home)
        yield _new_files(ground)
        yield _nothing_new(ground)
        yield _services(ground)
        with SlowServer(bench.served, _LATENCY) as server:
            yield _workers(ground, server.url, "9 small", bench.sizes.shared)
            if bench.sizes.shared_middle.count:
                yield _workers(ground, server.url, "9 middle", bench.sizes.shared_middle)
        yield _many_rows(ground)


def _new_files(ground: Ground) -> Group:
    """The same pass over many small files, with one ledger and the other."""
    bench, size = ground.bench, 4096
    files = make_files(bench.served, "shared-new", _count(bench.sizes.shared, size))
    publish_new(bench.served, files.name, files.hashes, f"{bench.server.url}/files/{files.name}")

    def contestant(name: str, ledger: Callable[[], str]) -> Contestant:
        def phases(folder: Path) -> list[Phase]:
            return [
                Phase("sync", ground.command(ground.config(folder, files.name, ledger()), "sync"))
            ]

        return Contestant(name, phases, lambda it: check_runs(files, it / ORG / files.name))

    def made() -> str:
        """A ledger is made once, and not by each pass."""
        url = ground.database.schema()
        make_ledger(url)
        return url

    contestants = [contestant(SQLITE, str), contestant(POSTGRES, made)]
    title = f"{len(files.hashes):,} new files of 4 KiB, {RUN_FILES} a run, durability full"
    counts, bytes_ = [len(files.hashes)] * 2, size * len(files.hashes)
    return play(bench, Match("9 new", title, contestants, bytes_, counts, bench.server.requests))


def _count(files: Files, size: int) -> Files:
    return type(files)(files.count, size)


def _nothing_new(ground: Ground) -> Group:
    """One pass of a command over a mirror that knows all of it."""
    bench, count = ground.bench, ground.bench.sizes.known
    ledgers = {SQLITE: "", POSTGRES: ground.database.schema()}
    contestants = [_knowing(ground, name, url, count) for name, url in ledgers.items()]
    title = f"nothing new, {count:,} artifacts known"
    requests = bench.server.requests
    match = Match("9 known", title, contestants, counts=[count] * 2, requests=requests)
    return play(bench, match)


def _knowing(ground: Ground, name: str, ledger: str, count: int) -> Contestant:
    repo = "shared-known-server" if ledger else "shared-known"
    known = Known(ground.home / repo, repo, count // RUN_FILES, ledger=ledger)
    build(known, ground.bench.served, write_small)
    command = ground.command(ground.config(known.root, repo, ledger), "sync", "--json")
    phase = Phase("sync", command, stdout=ANSWER)
    return Contestant(name, lambda _: [phase], partial(is_old, known.artifacts))


def _services(ground: Ground) -> Group:
    """Passes with nothing new of programs that go on: what each pass costs."""
    bench = ground.bench
    files = make_files(bench.served, "shared-idle", _count(bench.sizes.shared, 100))
    repos = _publish(ground, files, bench.server.url, _IDLE_REPOS)
    kinds = {SQLITE_DAEMON: "daemon", DAEMON: "daemon", WORKER: "worker"}
    title = (
        f"{bench.sizes.shared_passes} passes with nothing new of {_IDLE_REPOS} repositories,"
        " each every second: wall is the time that they were watched, CPU what it took"
    )
    group = Group("9 idle", title, [Row(name, _IDLE_REPOS) for name in kinds], about=_about(bench))
    for row in group.rows:
        statements = []
        for _ in range(bench.rounds):
            ledger = "" if row.name == SQLITE_DAEMON else ground.database.schema()
            config = _repositories(ground, bench.disk.fresh(), repos, ledger)
            sample, asked = _watched(ground, kinds[row.name], config)
            row.samples.append(sample)
            statements.append(asked / (sample.requests or 1))
            _tell(row)
        group.facts[STATEMENTS + row.name] = round(sorted(statements)[len(statements) // 2], 2)
    return group


def _publish(ground: Ground, files: FileSet, url: str, repos: int) -> dict[str, FileSet]:
    """Share files out among repositories; those of each, by its name."""
    names = list(files.hashes)
    found = {}
    for number in range(repos):
        repo = f"{files.name}-{number}"
        some = {name: files.hashes[name] for name in names[number::repos]}
        publish_new(ground.bench.served, repo, some, f"{url}/files/{files.name}")
        found[repo] = FileSet(files.name, files.size, some)
    return found


def _repositories(
    ground: Ground,
    root: Path,
    repos: Sequence[str] | dict[str, FileSet],
    ledger: str,
    **values: object,
) -> str:
    """A configuration of all these, each looked at every second."""
    first, *others = repos
    more = '[daemon]\ninterval = "1s"\n'
    more += "".join(f'[[repo]]\nname = "{ORG}/{repo}"\n' for repo in others)
    return ground.config(root, first, ledger, more=more, **values)


def _watched(ground: Ground, kind: str, config: str) -> tuple[Sample, int]:
    """What some passes cost a service that knows everything, and the statements that they took."""
    bench, database = ground.bench, ground.database
    first = measure(
        [Phase("sync", ground.command(config, "sync"))], bench.disk.fresh(), bench.environ
    )
    if first.failure:
        return first, 0
    asked = bench.server.requests
    with Services([ground.command(config, kind)], bench.environ, ground.home / "said") as service:
        warm = asked() + _WARM * _IDLE_REPOS
        service.wait_until(lambda: asked() > warm)
        begun, cpu, statements = time.monotonic(), service.cpu(), database.statements()
        requests = asked()
        time.sleep(bench.sizes.shared_passes / _IDLE_REPOS)
        wall, used = time.monotonic() - begun, service.cpu() - cpu
        passes, told = asked() - requests, database.statements() - statements
        return Sample(wall, used, service.memory(), passes, {}), told


def _workers(ground: Ground, url: str, which: str, files: Files) -> Group:
    """One, two and three workers on the same work."""
    bench = ground.bench
    made = make_files(bench.served, which.replace(" ", "-"), files)
    repos = _publish(ground, made, url, _REPOS)
    title = (
        f"{files.count:,} new files of {files.size >> 10:,} KiB in {_REPOS} repositories,"
        f" {_LATENCY * 1000:.0f} ms before each answer, {_JOBS} at once each"
    )
    rows = [Row(name, files.count) for name in (ONE, TWO, THREE)]
    for number in range(bench.rounds):
        for turn in range(len(rows)):
            count = (turn + number) % len(rows)
            rows[count].samples.append(_mirrored_by(ground, url, repos, count + 1))
            _tell(rows[count])
    return Group(which, title, rows, files.bytes, _about(bench))


def _mirrored_by(ground: Ground, url: str, repos: dict[str, FileSet], workers: int) -> Sample:
    """From the first artifact that was seen to the last that was mirrored."""
    bench, ledger = ground.bench, ground.database.schema()
    root = bench.disk.fresh()
    config = _repositories(ground, root, repos, ledger, api=url, jobs=_JOBS)
    commands = [ground.command(config, "worker", "--name", str(it)) for it in range(workers)]
    count = sum(len(files.hashes) for files in repos.values())
    make_ledger(ledger)
    os.sync()
    with Services(commands, bench.environ, ground.home / "said") as service:
        service.wait_until(lambda: _settled(ledger) == count)
        cpu, memory = service.cpu(), service.memory()
    wall = float(ask(ledger, _SPAN)[0][0])
    wrong = [it for repo, files in repos.items() if (it := check_runs(files, root / ORG / repo))]
    return Sample(wall, cpu, memory, None, {}, wrong[0] if wrong else "")


_SPAN = (
    "SELECT extract(epoch FROM max(mirrored_at)::timestamptz - min(first_seen)::timestamptz)"
    " FROM artifacts"
)
_SETTLED = "SELECT coalesce(sum(mirrored), 0) FROM runs WHERE complete AND settled_for <> ''"


def _settled(ledger: str) -> int:
    return int(ask(ledger, _SETTLED)[0][0])


def _many_rows(ground: Ground) -> Group:
    """What people ask of a ledger that has become large."""
    bench, ledger = ground.bench, ground.database.schema()
    print(f"  preparing a ledger with {bench.sizes.rows:,} rows", file=sys.stderr, flush=True)
    build_rows(ledger, bench.sizes.rows)
    root = bench.disk.fresh()
    claim(root)
    config = _repositories(ground, root, ["x"], ledger)
    sha256 = ask(ledger, "SELECT sha256 FROM artifacts LIMIT 1")[0][0]
    commands = {
        STATUS_OF_ALL: ("status",),
        DU: ("du",),
        LS: ("ls", "--sha256", str(sha256)),
        PRUNE: ("prune", "--dry-run"),
    }
    contestants = [
        Contestant(name, partial(_phase, ground.command(config, *words)), lambda _: "")
        for name, words in commands.items()
    ]
    repos = bench.sizes.rows // REPO_FILES
    title = f"a ledger in PostgreSQL of {bench.sizes.rows:,} artifacts in {repos:,} repositories"
    group = play(bench, Match("9 rows", title, contestants))
    for kind, size in row_sizes(ledger).items():
        group.facts |= {f"{kind}: bytes": size.alone, f"{kind}: with indexes": size.indexed}
    return group


def _phase(command: tuple[str, ...], _: Path) -> list[Phase]:
    return [Phase("run", command, stdout=ANSWER)]


def _about(bench: Bench) -> dict[str, str]:
    return {"date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": bench.commit}


def _tell(row: Row) -> None:
    sample = row.samples[-1]
    said = f"  {row.name:<34}{sample.wall:9.3f} s {sample.cpu:9.3f} CPU s {sample.failure}"
    print(said, file=sys.stderr, flush=True)
