"""One trial of the program: the real command line against a scripted service, and what must hold.

``Trial.sync`` runs it and checks at once what holds after every pass, whatever went wrong in it.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tree
from forked_program import Said, call_program, start_program
from hostile_service import SECRETS, TOKEN, Service

if TYPE_CHECKING:
    import signal


def noise(seed: int, size: int) -> bytes:
    """Bytes that no two tests share and that no compression makes smaller."""
    return random.Random(seed).randbytes(size)  # noqa: S311 - nothing secret


REPOSITORY = Path(__file__).parents[2]
OWN = {"SHA256SUMS", "run.json"}

_MEASURED = """
import json, resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    file.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""


@dataclass(frozen=True)
class Outcome:
    """What a run of the program left: its exit code, its one JSON object, its words."""

    exit_code: int
    report: dict[str, Any]
    stderr: str

    @property
    def failures(self) -> list[dict[str, Any]]:
        return list(self.report["failures"])

    @property
    def reasons(self) -> list[str]:
        return sorted(failure["reason"] for failure in self.failures)

    def reasons_by(self, name: str) -> dict[str, str]:
        """The failures' reasons by their ``local_path``, ``run`` or ``repo``."""
        return {failure[name]: failure["reason"] for failure in self.failures}

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Artifacts found, downloaded, kept and failed."""
        found, downloaded, kept, failed = (
            self.report[name] for name in ("found", "downloaded", "kept", "failed")
        )
        return found, downloaded, kept, failed


@dataclass
class Trial:
    """A service, a mirror's root inside a guarded folder, and the program between them."""

    service: Service
    guarded: Path
    """Nothing but the mirror may appear in here."""
    env: dict[str, str] = field(default_factory=dict)
    """``SECTION__KEY`` → value, on top of the settings that every trial has."""
    plain_env: dict[str, str] = field(default_factory=dict)
    """Further variables, as they are."""
    root: Path = field(init=False)
    _started: list[subprocess.Popen[str]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.root = self.guarded / "mirror"

    def environment(self) -> dict[str, str]:
        kept = {"PATH", "HOME", "SYSTEMROOT", "TMPDIR", "SSL_CERT_FILE"}
        settings = {
            "SOURCE__BASE_URL": self.service.api.origin,
            "SOURCE__RATE_LIMIT": "10000",
            "DOWNLOAD__TIMEOUT": "2s",
            "DOWNLOAD__ATTEMPTS": "3",
            "MIRROR__DURABILITY": "fast",
            **self.env,
        }
        return {
            **{name: value for name, value in os.environ.items() if name in kept},
            **{f"ARTIFACT_SYNC_{name}": value for name, value in settings.items()},
            "XDG_CONFIG_HOME": str(self.guarded.parent / "no-configuration"),
            "SOURCECRAFT_TOKEN": TOKEN,
            "PYTHONUTF8": "1",
            **self.plain_env,
        }

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "artifact_sync", *self.arguments(*arguments)]

    def arguments(self, *arguments: str) -> list[str]:
        repos = [] if any("/" in a and not a.startswith("-") for a in arguments) else ["org/repo"]
        return ["sync", *repos, "--root", str(self.root), "--json", "--no-progress", *arguments]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start it and don't wait: for tests that kill it. ``finish`` afterwards."""
        process = start_program(self.arguments(*arguments), REPOSITORY, self.environment())
        self._started.append(process)
        return process

    def close(self) -> None:
        """Leave no process behind, also when a test has failed."""
        for process in self._started:
            process.kill()
            process.communicate()

    def finish(self, process: subprocess.Popen[str], signum: signal.Signals | None = None) -> str:
        """Send a signal, wait, and check what holds even after SIGKILL; its standard output."""
        if signum is not None:
            process.send_signal(signum)
        stdout, stderr = process.communicate(timeout=60)
        self._check_secrets(stdout + stderr)
        self._check_tree()
        return stdout

    def sync(self, *arguments: str, timeout: float = 60) -> Outcome:
        """Run the program to its end."""
        return self._conclude(
            call_program(self.arguments(*arguments), REPOSITORY, self.environment(), timeout)
        )

    def verify(self, *options: str) -> dict[str, Any]:
        """What ``verify --json`` says."""
        arguments = ["verify", "--root", str(self.root), "--json", *options]
        said = call_program(arguments, REPOSITORY, self.environment())
        verified: dict[str, Any] = json.loads(said.out)
        return verified

    def measured(self, *arguments: str, timeout: float = 110) -> tuple[Outcome, int]:
        """``sync`` with all of certifi's authorities, and the most memory that the program held, in
        bytes."""
        peak = self.guarded.parent / "peak"
        wrapper = [sys.executable, "-S", "-c", _MEASURED, str(peak)]
        command = [*wrapper, *self.command(*arguments)]
        process = subprocess.run(
            command,
            cwd=REPOSITORY,
            env=self.environment() | {"SSL_CERT_FILE": ""},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        said = Said(process.returncode, process.stdout.decode(), process.stderr.decode())
        outcome = self._conclude(said)
        return outcome, int(peak.read_text()) * (1 if sys.platform == "darwin" else 1024)

    def _conclude(self, said: Said) -> Outcome:
        outcome = self.outcome(*said)
        self._check(outcome, said.out)
        return outcome

    def outcome(self, exit_code: int, stdout: str, stderr: str) -> Outcome:
        """One JSON object on stdout and nothing else there, of one mind with the exit code."""
        assert stdout.count("\n") == 1, (exit_code, stdout, stderr)
        report = json.loads(stdout)
        assert report["exit_code"] == exit_code, (report, stderr)
        assert report["complete"] is (exit_code == 0)
        assert report["failed"] == len(report["failures"])
        return Outcome(exit_code, report, stderr)

    def _check(self, outcome: Outcome, stdout: str) -> None:
        self._check_secrets(stdout + outcome.stderr)
        self._check_tree()
        for failure in outcome.failures:
            assert failure["message"], failure
            refused = failure["reason"] in {"unsafe_path", "collision"}
            if failure["run"] is not None and not refused:
                manifest = self.manifest(failure["run"], failure["repo"])
                if manifest.exists():  # it was here before
                    assert failure["local_path"].encode() in manifest.read_bytes(), failure

    def _check_secrets(self, words: str) -> None:
        """No secret is shown or kept, no stranger's control characters reach the terminal."""
        assert not any(secret in words for secret in SECRETS), words
        assert "Traceback" not in words, words
        assert not any(ord(c) < 32 and c not in "\n\t" for c in words), repr(words)
        there = tree.files_below(self.root)
        kept = (it for it in there if it.name in OWN or self._is_own(it))
        for path, content in tree.contents(kept):
            assert not any(secret.encode() in content for secret in SECRETS), path
        for request in self.service.origin.requests:
            assert request.header("authorization") is None, request
            assert "TOKENSECRET" not in repr(request), request

    def _check_tree(self) -> None:
        """All names in the mirror are whole files that the service has, and no name is outside."""
        assert {path.name for path in self.guarded.iterdir()} <= {"mirror"}
        whole = {
            f.content for runs in self.service.repos.values() for r in runs for _, f in r.files
        }
        whole |= self.also_right
        for path, content in tree.contents(self.files()):
            assert content in whole, f"{path} is not what the service has"
        for sums in tree.matching(self.root, "*/*/*/SHA256SUMS"):
            self._check_sums(sums)

    def _is_own(self, path: Path) -> bool:
        return path.relative_to(self.root).parts[0] == ".artifact-sync"

    also_right: set[bytes] = field(default_factory=set)
    """Contents that may stand in the mirror besides those of the service's files."""

    def _check_sums(self, sums: Path) -> None:
        checked = subprocess.run(
            ["sha256sum", "--check", "--strict", "--quiet", sums.name],
            cwd=sums.parent,
            check=False,
            capture_output=True,
        )
        missing = json.loads((sums.parent / "run.json").read_bytes()).get("missing", [])
        failed = {line.split(b": FAILED")[0].decode() for line in checked.stdout.splitlines()}
        assert failed == {it["path"] for it in missing}, checked.stdout
        assert missing or len(sums.read_bytes().splitlines()) == len(self.files(sums.parent))

    def files(self, below: Path | None = None) -> list[Path]:
        """The mirrored files, without what is ours."""
        return sorted(
            path
            for path in tree.files_below(below or self.root)
            if not self._is_own(path)
            and not (path.name in OWN and len(path.relative_to(self.root).parts) == 4)
        )

    def place(self, local_path: str = "app.bin", run: str = "1") -> Path:
        """Where an artifact of the usual cube belongs."""
        return self.root / "org" / "repo" / run / "build" / "linux" / "compile" / local_path

    def manifest(self, run: str = "1", repo: str = "org/repo") -> Path:
        return self.root / repo / run / "SHA256SUMS"

    def has(self, content: bytes, local_path: str = "app.bin", run: str = "1") -> bool:
        """Whether the artifact stands in its place, byte for byte, in a run that is complete."""
        place = self.place(local_path, run)
        return self.manifest(run).exists() and [*tree.contents([place])] == [(place, content)]

    def has_nothing(self) -> bool:
        """Whether the mirror shows neither a file nor a manifest."""
        return not self.files() and not tree.matching(self.root, "*/*/*/SHA256SUMS")

    def staged(self) -> int:
        """Bytes that lie in staging."""
        own = tree.files_below(self.root / ".artifact-sync")
        return tree.size_of(it for it in own if it.suffix == ".part")

    def displaced(self) -> list[bytes]:
        """Contents of the files that were moved out of the way."""
        folder = self.root / ".artifact-sync" / "displaced"
        return sorted(content for _, content in tree.contents(tree.files_below(folder)))

    def wipe(self) -> None:
        shutil.rmtree(self.root)
