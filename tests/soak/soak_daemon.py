"""The program's side of the soak: its configuration, the process, and what the system tells of it.

Needs Linux: /proc.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soak_world import NAMED, ORGANISATION, PAGES_WANT

from fleet_demo.servers import free_port

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable

HOOK = "/hooks/sourcecraft"
COMPLETE, BUSY, INTERRUPTED = 0, 7, 130
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Settings:
    """What the story changes in the configuration. The defaults are those of the beginning."""

    jobs: int = 6
    limit: str = "off"
    interval: str = "1s"
    body_limit: str = "64KiB"
    watch: str = "off"
    web: bool = True
    own_entry: bool = False
    """Whether a repository of the organisation has an entry of its own."""
    log_format: str = "text"
    further: str = ""
    """Tables that no other story has."""


@dataclass
class Sample:
    """The process at a moment."""

    seconds: float
    rss: int
    """KiB."""
    threads: int


@dataclass
class Life:
    """One process, from its start to its end."""

    began: float
    pid: int
    samples: list[Sample] = field(default_factory=list)
    quiet: list[dict[str, int]] = field(default_factory=list)
    """Descriptors by kind, and threads, of each quiet phase."""
    cpu: float = 0.0
    ended: str = ""


class Program:
    """``artifact-sync`` in a folder of its own: a daemon, and other commands beside it."""

    def __init__(self, folder: Path, base_url: str, token: str, settings: Settings) -> None:
        self.folder = folder
        self.root = folder / "mirror"
        self.own = self.root / ".artifact-sync"
        self.log = folder / "daemon.log"
        self.config = folder / "config.toml"
        self.base_url = base_url
        self.port = free_port()
        self.settings = settings
        self.secrets = [b"whsec-soak-0123456789"]
        self.tokens = [token]
        """All that ever were, the newest last."""
        self.lives: list[Life] = []
        self.process: subprocess.Popen[bytes] | None = None
        self.write_token(token)
        self.write_secrets()
        self.configure(settings)

    # files

    def write_token(self, token: str) -> None:
        _put(self.folder / "token", f"{token}\n".encode())

    def write_secrets(self) -> None:
        _put(self.folder / "hook-secret", b"\n".join(self.secrets) + b"\n")

    def configure(self, settings: Settings) -> None:
        """Replace the configuration by renaming, as most editors do."""
        self.settings = settings
        _put(self.config, self.text(settings).encode())

    def text(self, settings: Settings) -> str:
        listen = f'listen = "127.0.0.1:{self.port}"\n' if settings.web else ""
        own = f'[[repo]]\nname = "{ORGANISATION}/anvil"\n' if settings.own_entry else ""
        return f"""
[source]
base_url = "{self.base_url}"
token_file = "{self.folder / "token"}"
rate_limit = 300
[mirror]
root = "{self.root}"
watch = "{settings.watch}"
[download]
jobs = {settings.jobs}
timeout = "2s"
attempts = 4
limit = "{settings.limit}"
[daemon]
interval = "{settings.interval}"
grace = "4s"
log_format = "{settings.log_format}"
{settings.further}
[web]
{listen}secret_files = ["{self.folder / "hook-secret"}"]
body_limit = "{settings.body_limit}"
[[repo]]
name = "{NAMED[0]}"
exclude = ["*.tmp"]
[[repo]]
name = "{NAMED[1]}"
run_statuses = {json.dumps(sorted(PAGES_WANT))}
[[repo]]
name = "{ORGANISATION}/*"
{own}"""

    # the daemon

    @property
    def life(self) -> Life:
        return self.lives[-1]

    @property
    def pid(self) -> int:
        return self.life.pid

    def start(self, *flags: str) -> int:
        """Start it, as a service manager does: again when it ends. How often it had to be."""
        end = time.monotonic() + 40
        tries = 0
        while True:
            tries += 1
            with self.log.open("ab") as log:
                self.process = self.popen("daemon", *flags, stdout=log, stderr=log)
            self.lives.append(Life(time.monotonic(), self.process.pid))
            while self.process.poll() is None:
                if self.answers():
                    return tries
                assert time.monotonic() < end, "the daemon does not answer"
                time.sleep(0.02)
            code = self.process.returncode
            self.life.ended = f"could not start: {code}"
            assert code == BUSY, f"the daemon ended at once with {code}"
            assert time.monotonic() < end, "the mirror stays busy"
            time.sleep(0.3)

    def answers(self) -> bool:
        with suppress(OSError, http.client.HTTPException):
            return self.ask("GET", "/healthz")[0] == 200
        return False

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def ended(self, how: str, seconds: float = 25) -> int:
        """Wait for its end."""
        assert self.process is not None
        self.sample()
        code = self.process.wait(seconds)
        self.life.ended = f"{how}: {code}"
        return code

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def popen(self, *arguments: object, **streams: Any) -> subprocess.Popen[bytes]:
        environ = {
            "PATH": os.environ["PATH"],
            "SSL_CERT_FILE": os.environ["SSL_CERT_FILE"],
            "HOME": str(self.folder),
            "PYTHONUTF8": "1",
            "PYTHONWARNINGS": "always",  # a resource that nobody closed is in the log
            "ARTIFACT_SYNC_CONFIG": str(self.config),
        }
        return subprocess.Popen(
            [sys.executable, "-m", "artifact_sync", *map(str, arguments)],
            cwd=self.folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            **streams,
        )

    def beside(self, *arguments: object) -> subprocess.Popen[bytes]:
        """Another command, begun."""
        return self.popen(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, *arguments: object, seconds: float = 120) -> tuple[int, str]:
        """Another command, to its end: its code and all that it said."""
        process = self.beside(*arguments)
        try:
            out, err = process.communicate(timeout=seconds)
        finally:
            process.kill()
        return process.returncode, (out + err).decode()

    # asking it

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def hook(self, repo: str, run: str, number: object, secret: bytes | None = None) -> int:
        """What the daemon answers to an event."""
        org, _, slug = repo.partition("/")
        event = {
            "header": {"id": f"event-{number}", "type": "run.complete"},
            "repository": {"slug": slug, "organization": {"slug": org}},
            "run": {"slug": run},
        }
        return self.post(json.dumps(event).encode(), secret or self.secrets[0])

    def post(self, body: bytes, secret: bytes) -> int:
        signature = hmac.new(secret, body, hashlib.sha256).hexdigest()
        return self.ask("POST", HOOK, body, {"X-Src-Signature": signature})[0]

    def status(self) -> dict[str, Any]:
        code, text = self.ask("GET", "/api/status")
        assert code == 200, (code, text)
        found: dict[str, Any] = json.loads(text)
        return found

    def watches(self) -> bool:
        """Whether it sees at once what is changed by hand."""
        with suppress(OSError, http.client.HTTPException):
            return bool(self.status()["daemon"]["watch"]["working"])
        return False

    def known(self) -> set[str]:
        """Repositories that it looks after."""
        return {it["repo"] for it in self.status()["daemon"]["repositories"]}

    def at_rest(self) -> bool:
        """Whether it fetches nothing, looks at nothing and can reach the service."""
        self.sample()
        live = self.status()["daemon"]
        busy = live["passes"] or live["downloads"] or live["queue"]
        return not busy and live["service"]["reachable"]

    # what the system tells of it

    def sample(self) -> None:
        """Take down memory, threads and CPU time, at most once a second."""
        seconds = time.monotonic() - self.life.began
        if self.life.samples and seconds - self.life.samples[-1].seconds < 1:
            return
        with suppress(OSError, KeyError):
            facts = _facts(Path(f"/proc/{self.pid}/status"))
            rss, threads = int(facts["VmRSS"].split()[0]), int(facts["Threads"])
            self.life.samples.append(Sample(seconds, rss, threads))
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            self.life.cpu = (int(fields[11]) + int(fields[12])) / TICK

    def descriptors(self) -> dict[str, int]:
        """How many are open, by kind; ``files`` by name."""
        found: dict[str, int] = {}
        for link in Path(f"/proc/{self.pid}/fd").iterdir():
            with suppress(OSError):
                name = str(link.readlink()).removeprefix(str(self.folder))
                kind = name.partition(":")[0] if ":" in name else name
                found[kind] = found.get(kind, 0) + 1
        return found


def least(takes: list[dict[str, int]]) -> dict[str, int]:
    """The smallest count of each kind over several looks: what comes and goes does not count."""
    kinds = set.intersection(*(set(take) for take in takes))
    return {kind: min(take[kind] for take in takes) for kind in sorted(kinds)}


def wait_for(what: str, happens: Callable[[], bool], seconds: float) -> float:
    """Wait until it happens; the seconds that it took."""
    began = time.monotonic()
    while not happens():
        assert time.monotonic() - began < seconds, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)
    return time.monotonic() - began


def changed(settings: Settings, **values: Any) -> Settings:
    return replace(settings, **values)


def _facts(path: Path) -> dict[str, str]:
    lines = path.read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _put(path: Path, data: bytes) -> None:
    """Write a file that nobody else can read, all or nothing."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(data)
    fresh.chmod(0o600)
    fresh.replace(path)
