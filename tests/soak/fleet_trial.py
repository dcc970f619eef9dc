"""Three workers of one mirror, what may happen to them, and a witness of what they do twice.

Each process of a worker has a token of its own, by which the simulator tells who asks.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import psycopg
from daemon_user import DaemonUser
from forked_program import start_program
from shifted_clock import shifted
from tcp_proxy import portal, tcp_proxy
from user import TOKEN, wait_until

from artifact_sync.domain.model import ArtifactKey
from artifact_sync.simulator import (
    Cube,
    Files,
    Repo,
    Scenario,
    ScenarioApi,
    ScenarioArtifact,
    ScenarioRun,
    Simulator,
    running_in_thread,
)
from artifact_sync.simulator.content import object_key

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from postgres_server import Postgres
    from tcp_proxy import TcpProxy

    from artifact_sync.simulator.world import Seen

URL = "ARTIFACT_SYNC_LEDGER__URL"
ROLE, SECRET = "fleet", "not-for-anybodys-eyes"
OUTDATED, UNREACHABLE = 2, 4
"""Exit codes of who finds a newer ledger, or no server."""
CLOCKS = (0, 3600, -3600)
"""Seconds by which the workers' clocks are ahead."""
SIGN = 1.0
"""Seconds between two signs of life; what is 1.5 times as old counts as dead."""
TOKENS = tuple(f"{TOKEN}-{number}" for number in range(500))
MIRRORED = (
    "SELECT org, repo, run, workflow, task, cube, local_path FROM artifacts"
    " JOIN runs ON runs.id = run_id JOIN repositories ON repositories.id = repo_id"
    " WHERE state = 'mirrored'"
)
LEFT = (
    "SELECT job.id, lock, attempts, worker_id, last_heartbeat, now() FROM procrastinate_jobs job"
    " LEFT JOIN procrastinate_workers worker ON worker.id = worker_id WHERE status = 'doing'"
)
"""Jobs that were begun, and have not ended."""
DEAD = f"{LEFT} AND (worker_id IS NULL OR last_heartbeat < now() - interval '{2 * SIGN} seconds')"
"""Those of workers that give no sign of life."""


@dataclass(frozen=True)
class Size:
    """How much there is to mirror."""

    repos: int = 4
    runs: int = 3
    files: int = 12
    bytes: int = 50_000
    bandwidth: int = 100_000
    """Bytes a second of each download, so that there are some in hand."""

    def run(self) -> ScenarioRun:
        files = ScenarioArtifact("{n}.bin", size=self.bytes, count=self.files)
        return ScenarioRun(cubes=(Cube(artifacts=(files,)),))

    def add_runs(self, simulator: Simulator) -> None:
        """Let each repository have one more run."""
        for n in range(self.repos):
            simulator.add_run(f"acme/r{n}", self.run())

    def simulator(self) -> Simulator:
        run = self.run()
        repos = tuple(
            Repo(f"acme/r{n}", runs=(ScenarioRun(cubes=run.cubes, count=self.runs),))
            for n in range(self.repos)
        )
        files = Files(bandwidth=self.bandwidth)
        return Simulator(Scenario(api=ScenarioApi(tokens=TOKENS), repos=repos, files=files))


class Witness:
    """Reads the simulator's record of requests."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def overlaps(self) -> list[tuple[int, Seen]]:
        """Requests of a pass over a repository after another process has begun one there.

        A pass begins with the list of runs; whoever has read that last is alone.
        """
        alone: dict[str, int | None] = {}
        found = []
        for number, seen in enumerate(self._simulator.requests):
            org, _, below = seen.path.removeprefix("/repos/").partition("/")
            repo = f"{org}/{below.partition('/')[0]}"
            if seen.kind == "runs":
                alone[repo] = seen.caller
            elif seen.kind in {"run", "workflow", "artifacts"} and alone.get(repo) != seen.caller:
                found.append((number, seen))
        return found

    def fetched(self) -> Counter[str]:
        """How often each file was asked for, by its key in the store."""
        asked = (it for it in self._simulator.requests if it.kind == "file")
        return Counter(it.path.removeprefix("/artifacts/") for it in asked)


@dataclass
class Worker:
    """A worker of the fleet: one process after another."""

    name: str
    proxy: TcpProxy
    clock: int = 0
    """Seconds by which its clock is ahead."""
    process: subprocess.Popen[str] | None = None
    log: Path | None = None


class Fleet:
    """The workers of a mirror, with servers that may fail. Made by ``fleet``."""

    def __init__(self, user: DaemonUser, simulator: Simulator, postgres: Postgres) -> None:
        self.user = user
        self.simulator = simulator
        self.postgres = postgres
        self.url = user.environ[URL]
        self.workers: list[Worker] = []
        self.witness = Witness(simulator)
        self.logs: list[Path] = []
        self.in_hand: Counter[str] = Counter()
        """How often each file was asked for and not on record, when something happened."""
        self.told: list[str] = []
        self._began = time.monotonic()

    def tell(self, what: str) -> None:
        self.told.append(f"{time.monotonic() - self._began:6.1f} {what}")

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the ledger's database, as nobody of the fleet."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(sql).fetchall()

    def do(self, sql: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql)

    def recorded(self) -> set[str]:
        """The keys of the files that are on record as mirrored."""
        return {path(row) for row in self.ask(MIRRORED)}

    def start(self, worker: Worker) -> None:
        """Begin a process of a worker, with another token."""
        number = len(self.logs)
        worker.log = self.user.folder / f"worker-{number}.log"
        self.logs.append(worker.log)
        url = self.url.replace(f":{self.postgres.port}/", f":{worker.proxy.port}/")
        environ = {**self.user.environ, URL: url, "SOURCECRAFT_TOKEN": TOKENS[number]}
        environ |= shifted(worker.clock)
        command = ["worker", "--config", str(self.user.config), "--name", worker.name]
        command += ["--sign", str(SIGN), "--log-format", "json"]
        with worker.log.open("wb") as log:
            worker.process = start_program(
                command, self.user.folder, environ, subprocess.DEVNULL, log
            )

    def signal(self, worker: Worker, number: signal.Signals) -> None:
        assert worker.process is not None
        worker.process.send_signal(number)

    def end(self, worker: Worker, number: signal.Signals) -> int:
        """End a worker's process; how it ended."""
        assert worker.process is not None
        worker.process.send_signal(number)
        return worker.process.wait(60)

    def restart_ended(self) -> None:
        """As the system does, where a worker's start has met a server that was not there."""
        for worker in self.workers:
            assert worker.process is not None
            if (code := worker.process.poll()) is not None:
                assert code == UNREACHABLE, (code, worker.log)
                self.start(worker)

    @contextmanager
    def losing(self) -> Iterator[None]:
        """A time in which processes may lose what they have in hand, and a moment after it."""
        before = self.recorded()
        yield
        for key in self.witness.fetched():
            if key not in before:
                self.in_hand[key] += 1


def path(row: Sequence[Any]) -> str:
    """The key in the simulator's store of a file that the ledger knows."""
    return object_key(ArtifactKey(*row))


@contextmanager
def fleet(
    folder: Path, postgres: Postgres, size: Size, names: Sequence[str] = ("one", "two", "three")
) -> Iterator[Fleet]:
    """Workers that have begun to mirror everything."""
    simulator = size.simulator()
    with ExitStack() as stack:
        service = stack.enter_context(running_in_thread(simulator))
        user = DaemonUser(folder, service)
        user.environ[URL] = of_role(postgres)
        usual = {"source__token_file": None, "web__listen": None, "web__secret_files": None,
                 "daemon__interval": "2s", "download__attempts": 4}  # fmt: skip
        user.configure("acme/*", **usual)
        it = Fleet(user, simulator, postgres)
        loop = stack.enter_context(portal())
        for name, clock in zip(names, CLOCKS, strict=False):
            proxy = stack.enter_context(tcp_proxy(loop, postgres.port))
            it.workers.append(Worker(name, proxy, clock))
        try:
            for worker in it.workers:
                it.start(worker)
            yield it
        finally:
            for worker in it.workers:
                if worker.process is not None:
                    worker.process.kill()
                    worker.process.wait()
            user.check_words("".join(log.read_text("utf-8") for log in it.logs))


def fleet_role(postgres: Postgres) -> str:
    """The role of a fleet, which is no superuser; made once."""
    if (ROLE,) not in postgres.ask("SELECT rolname FROM pg_roles"):
        postgres.ask(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{SECRET}'")
    return ROLE


def of_role(postgres: Postgres) -> str:
    """The URL of a schema that belongs to the fleet's role."""
    url = postgres.schema()
    postgres.ask(f"ALTER SCHEMA {url.rpartition('%3D')[2]} OWNER TO {fleet_role(postgres)}")
    return url.replace("postgres@", f"{ROLE}:{SECRET}@")


class Story:
    """What happens to a fleet; where, and for how long, tells a seed."""

    def __init__(self, it: Fleet, rng: random.Random) -> None:
        self.fleet = it
        self.rng = rng

    def step(self, fault: str) -> None:
        """Let something happen, and a moment pass."""
        self.fleet.tell(fault)
        with self.fleet.losing():
            self.FAULTS[fault](self)
            time.sleep(self.rng.uniform(0.2, 1.5))
        self.fleet.restart_ended()

    def _one(self) -> Worker:
        return self.rng.choice(self.fleet.workers)

    def _killed(self) -> None:
        worker = self._one()
        self.fleet.end(worker, signal.SIGKILL)
        self.fleet.start(worker)

    def _ended(self) -> None:
        worker = self._one()
        code = self.fleet.end(worker, signal.SIGTERM)
        assert code in {0, UNREACHABLE}, (code, worker.log)
        self.fleet.start(worker)

    def _stopped(self) -> None:
        self._freeze(self._one())

    def _frozen_and_cut(self) -> None:
        worker = self._one()
        self._freeze(worker, worker.proxy.cut)

    def _freeze(self, worker: Worker, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.fleet.signal(worker, signal.SIGSTOP)
        meanwhile()
        time.sleep(self.rng.uniform(2 * SIGN, 5 * SIGN))
        self.fleet.signal(worker, signal.SIGCONT)

    def _sessions_ended(self) -> None:
        self.fleet.postgres.cut()

    def _stalled(self) -> None:
        worker = self._one()
        worker.proxy.stall()
        time.sleep(self.rng.uniform(1.0, 9.0))
        worker.proxy.flow()

    def _cut(self) -> None:
        self._one().proxy.cut()

    def _restarted(self) -> None:
        self.fleet.postgres.stop()
        time.sleep(self.rng.uniform(0.0, 2.0))
        self.fleet.postgres.start()

    def _no_connection_left(self) -> None:
        with self._role("CONNECTION LIMIT 0", "CONNECTION LIMIT -1"):
            time.sleep(self.rng.uniform(1.0, 4.0))

    def _read_only(self) -> None:
        """As behind an address that leads to a standby for a while."""
        setting = "default_transaction_read_only"
        with self._role(f"SET {setting} = on", f"RESET {setting}"):
            time.sleep(self.rng.uniform(1.0, 4.0))

    @contextmanager
    def _role(self, meanwhile: str, then: str) -> Iterator[None]:
        """Sessions of the fleet begin anew, under another condition."""
        server = self.fleet.postgres
        server.ask(f"ALTER ROLE {ROLE} {meanwhile}")
        server.cut()
        yield
        server.ask(f"ALTER ROLE {ROLE} {then}")
        server.cut()

    FAULTS: Mapping[str, Callable[[Story], None]] = MappingProxyType(
        {
            "killed": _killed,
            "ended": _ended,
            "stopped": _stopped,
            "frozen and cut": _frozen_and_cut,
            "sessions ended": _sessions_ended,
            "stalled": _stalled,
            "cut": _cut,
            "server restarted": _restarted,
            "no connection left": _no_connection_left,
            "read only": _read_only,
        }
    )


def come_to_an_end(it: Fleet, size: Size, seconds: float = 120) -> None:
    """Nothing happens any more: all is mirrored, also what comes now, and nothing came twice.

    In the end a newer program has the ledger, and the workers leave it.
    """
    it.restart_ended()
    size.add_runs(it.simulator)
    wanted = set(it.simulator.objects)
    try:
        wait_until(lambda: it.recorded() == wanted, seconds)
        wait_until(lambda: not it.ask(DEAD), 60)
    except AssertionError as error:
        missing = sorted(wanted - it.recorded())
        error.add_note(f"{len(missing)} files are missing: {missing[:5]}, {it.ask(LEFT)}")
        raise
    migrated_meanwhile(it)
    assert it.ask(LEFT) == []
    verified = it.user.run("verify", "--config", it.user.config, "--json")
    assert verified.code == 0, verified.out + verified.err
    fetched = it.witness.fetched()
    assert set(fetched) == wanted
    twice = {key: (n, it.in_hand[key]) for key, n in fetched.items() if n > 1 + it.in_hand[key]}
    assert twice == {}
    assert it.witness.overlaps() == []
    it.tell(f"{len(wanted)} files by {fetched.total()} requests")


def migrated_meanwhile(it: Fleet) -> None:
    """All workers end by themselves when a newer program has migrated the ledger."""
    ((version,),) = it.ask("SELECT version_num FROM artifact_sync_version")
    it.do("UPDATE artifact_sync_version SET version_num = '9999'")
    for worker in it.workers:
        assert worker.process is not None
        assert worker.log is not None
        assert worker.process.wait(60) == OUTDATED, worker.log
        assert "written by a newer artifact-sync (schema 9999" in worker.log.read_text("utf-8")
    it.do(f"UPDATE artifact_sync_version SET version_num = '{version}'")  # noqa: S608 - ours
