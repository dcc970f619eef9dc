"""Somebody with a mirror of two runs, and what every command says of it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forked_program import call_program
from trial import REPOSITORY

if TYPE_CHECKING:
    from forked_program import Said
    from hostile_service import Service
    from trial import Trial

APP, LOG = b"an app that was built", b"what the build said"
ALL_WELL = {"sync": 0, "verify": 0, "lost": 0, "failed": 0, "sums": 0}


@dataclass
class Keeper:
    """Somebody with a mirror, and what every command says of it."""

    trial: Trial

    def run(self, command: str, *arguments: str) -> tuple[int, dict[str, Any], str]:
        """Exit code, the object on stdout, and stderr."""
        said = self._said(command, *arguments)
        return said.code, json.loads(said.out), said.err

    def _said(self, command: str, *arguments: str) -> Said:
        call = [command, *arguments, "--root", str(self.trial.root), "--json"]
        said = call_program(call, REPOSITORY, self.trial.environment())
        assert "Traceback" not in said.err, said.err
        return said

    def fail(self, command: str, *arguments: str) -> tuple[int, str]:
        """Exit code and stderr of what is refused."""
        said = self._said(command, *arguments)
        return said.code, said.err

    def sync(self, *arguments: str) -> tuple[int, dict[str, Any], str]:
        return self.run("sync", "org/repo", "--no-progress", *arguments)

    def listed(self, *arguments: str) -> dict[str, dict[str, Any]]:
        """Of ``ls``, by ``run/local_path``."""
        _, answer, _ = self.run("ls", *arguments)
        return {f"{it['run']}/{it['local_path']}": it for it in answer["artifacts"]}

    def states(self, *arguments: str) -> dict[str, str]:
        return {name: it["state"] for name, it in self.listed(*arguments).items()}

    def story(self, *arguments: str) -> dict[str, int]:
        """What all commands say, held against each other."""
        code, report, _ = self.sync(*arguments)
        verified, found, _ = self.run("verify")
        states = list(self.states("--all").values())
        assert len(found["missing"]) + len(found["changed"]) == states.count("lost")
        assert (self.trial.root / "org/repo/latest").readlink().name == "2"
        return {
            "sync": code,
            "verify": verified,
            "lost": report["lost"],
            "failed": report["failed"],
            "sums": sum(self.bad_sums(run) for run in ("1", "2")),
        }

    def bad_sums(self, run: str) -> int:
        """How many files ``sha256sum -c`` misses in a run."""
        done = subprocess.run(
            ["sha256sum", "--check", "SHA256SUMS"],
            cwd=self.trial.root / "org/repo" / run,
            capture_output=True,
            text=True,
            check=False,
        )
        return sum("FAILED" in line for line in done.stdout.splitlines())

    def about(self, run: str = "1") -> dict[str, Any]:
        told: dict[str, Any] = json.loads(
            (self.trial.root / "org/repo" / run / "run.json").read_text()
        )
        return told


def forget_files(service: Service) -> None:
    """The first run's answer lists nothing any more, and says that it was touched."""
    run = service.repos["org/repo"][0]
    run.files, run.updated_at = [], "2026-11-25T10:00:00Z"


def forget_run(service: Service) -> None:
    del service.repos["org/repo"][0]


def forget_repository(service: Service) -> None:
    del service.repos["org/repo"]


def missing(visit: Any) -> None:
    visit.wire.head(404, [("Content-Length", "0")])
