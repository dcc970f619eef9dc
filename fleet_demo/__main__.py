"""The demonstration: a fleet mirrors a small organisation, and loses a worker meanwhile."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artifact_sync.runtime.units import counted
from artifact_sync.simulator import running_in_thread
from artifact_sync.simulator.scenario import (
    Cube,
    Files,
    Repo,
    Scenario,
    ScenarioArtifact,
    ScenarioRun,
)
from fleet_demo.servers import BUCKET, object_store, postgres, store_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from artifact_sync.simulator import Running

ORG = "acme"
WORKERS = ("one", "two", "three")
REPOSITORIES, RUNS, FILES = 12, 5, 8
SIZE = 100_000
BANDWIDTH = 400_000
"""Bytes a second of each download: there is time to kill a worker with files in hand."""
FOLDER = Path("build") / "fleet"
_PATIENCE = 300.0
_CONFIG = """\
[source]
base_url = "{api}"
rate_limit = 50
[mirror]
root = "s3://{bucket}/mirror"
[ledger]
url = "{ledger}"
[download]
jobs = 4
[daemon]
interval = "10s"
[[repo]]
name = "{org}/*"
"""


@dataclass
class Fleet:
    """Workers of one mirror."""

    service: Running
    config: Path
    environ: Mapping[str, str]
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str) -> None:
        """Start a worker; its log is beside the configuration."""
        with (self.config.parent / f"{name}.log").open("ab") as log:
            command = (*self._command("worker"), "--name", name)
            process = subprocess.Popen(command, env=self.environ, stdout=log, stderr=log)
        self.workers[name] = process

    def stop(self) -> None:
        """End all workers in order."""
        for process in self.workers.values():
            process.terminate()
        for process in self.workers.values():
            process.wait(60)

    def ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command over the fleet's mirror."""
        command = self._command(*arguments)
        return subprocess.run(
            command, env=self.environ, capture_output=True, text=True, check=False
        )

    def mirrored(self) -> int:
        """Files that the ledger calls mirrored."""
        said: dict[str, Any] = json.loads(self.ask("status", "--json").stdout or "{}")
        return sum(repo["states"].get("mirrored", 0) for repo in said.get("repositories", ()))

    def _command(self, *arguments: str) -> tuple[str, ...]:
        return (sys.executable, "-m", "artifact_sync", *arguments, "--config", str(self.config))


def main() -> int:
    """The exit code: 0 where everything is there and verified."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with fleet() as it:
        return story(it)


@contextmanager
def fleet() -> Iterator[Fleet]:
    """Servers and a configuration, and no worker yet."""
    with ExitStack() as stack:
        ledger = stack.enter_context(postgres((FOLDER / "postgres").absolute()))
        say("PostgreSQL keeps the ledger, the queue, and who works on which repository.")
        store = stack.enter_context(object_store())
        say(f"An S3 stand-in (moto) at {store} keeps the files.")
        service = stack.enter_context(running_in_thread(scenario()))
        say(f"A simulated SourceCraft answers on {service.base_url}.\n")
        config = (FOLDER / "config.toml").absolute()
        values = {"api": service.base_url, "bucket": BUCKET, "ledger": ledger, "org": ORG}
        config.write_text(_CONFIG.format(**values), "utf-8")
        config.chmod(0o600)
        environ = {**store_environment(store), "SOURCECRAFT_TOKEN": service.token}
        it = Fleet(service, config, environ)
        try:
            yield it
        finally:
            it.stop()


def scenario() -> Scenario:
    """Some repositories, each with some runs of a few files that come slowly."""
    files = ScenarioArtifact(path="./dist/part-{n}.bin", size=SIZE, count=FILES)
    run = ScenarioRun(cubes=(Cube(artifacts=(files,)),), count=RUNS)
    names = (f"{ORG}/project-{number}" for number in range(1, REPOSITORIES + 1))
    repos = tuple(Repo(name=name, runs=(run,)) for name in names)
    return Scenario(repos=repos, files=Files(bandwidth=BANDWIDTH))


def story(it: Fleet) -> int:
    """Start three, kill one, wait for everything, count."""
    everything = REPOSITORIES * RUNS * FILES
    for name in WORKERS:
        it.start(name)
    say(f"Three workers: {', '.join(WORKERS)}. {counted(everything, 'file')} to fetch.")
    wait_until(it, everything // 4)
    it.workers.pop(WORKERS[1]).kill()
    before = it.service.simulator.requests["file"]
    say(f'\nWorker "{WORKERS[1]}" is killed (kill -9); {before} requests for files so far.')
    wait_until(it, everything)
    requests = it.service.simulator.requests["file"]
    say(f"\n{counted(everything, 'file')} are here; {counted(requests, 'request')} for files:")
    say(f"{requests - everything} were made again, for what the dead worker had in hand.")
    return verified(it)


def wait_until(it: Fleet, files: int) -> None:
    """Wait for so many files, and tell how far it is."""
    end = time.monotonic() + _PATIENCE
    told = -1
    while (here := it.mirrored()) < files:
        if time.monotonic() > end:
            raise SystemExit(f"only {here} files came; see the logs in {FOLDER}")
        if here != told:
            say(f"  {here} files are mirrored")
        told = here
        time.sleep(1)


def verified(it: Fleet) -> int:
    """Have every object read and hashed; the exit code."""
    done = it.ask("verify")
    say(f"\n$ artifact-sync verify\n{done.stdout}{done.stderr}")
    say(f"The workers' logs are in {FOLDER}. How a fleet is run for real: docs/scale.md")
    return done.returncode


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
