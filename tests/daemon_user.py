"""Somebody who runs the daemon: its configuration, the real program, its log and its live state."""

from __future__ import annotations

import hashlib
import hmac
import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tree
from forked_program import start_program
from user import TOKEN, User

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from artifact_sync.simulator import Running

SECRET = "a-webhook-secret"
"""What webhooks are signed with; in the user's ``hook`` file."""

READY = "ready"


class DaemonUser(User):
    """A user with a configuration file. The token is in a file, where it can be replaced."""

    def __init__(self, folder: Path, service: Running | str) -> None:
        super().__init__(folder, service)
        self.config = folder / "daemon.toml"
        self.token_file = folder / "token"
        self.hook = folder / "hook"
        self.url = self.environ.pop("ARTIFACT_SYNC_SOURCE__BASE_URL")
        del self.environ["SOURCECRAFT_TOKEN"]
        self.put(self.token_file, TOKEN)
        self.put(self.hook, SECRET)
        self.logs = 0

    def put(self, path: Path, text: str) -> None:
        """Replace a file as an editor does: readers see the old one or the new one."""
        new = path.with_name(f".{path.name}.new")
        new.write_text(text, encoding="utf-8")
        new.chmod(0o600)
        new.replace(path)

    def configure(self, *repos: str, text: str = "", **settings: object) -> None:
        """Write the configuration: repositories, ``section__key=value``, and text of any kind.

        None leaves out what every user has.
        """
        self.put(self.config, self.configuration(*repos, text=text, **settings))

    def configuration(self, *repos: str, text: str = "", **settings: object) -> str:
        usual = {
            "web__listen": "127.0.0.1:0",
            "web__secret_files": [str(self.hook)],
            "source__base_url": self.url,
            "source__token_file": str(self.token_file),
            "source__rate_limit": 200,
            "mirror__root": str(self.root),
            "daemon__interval": "1s",
            "download__attempts": 2,
            "download__timeout": "5s",
        }
        tables: dict[str, list[str]] = {}
        for name, value in (usual | settings).items():
            section, _, key = name.partition("__")
            if value is not None:
                tables.setdefault(section, []).append(f"{key} = {json.dumps(value)}")
        parts = [f"[{section}]\n" + "\n".join(lines) for section, lines in tables.items()]
        return "\n".join([*parts, text, *(f'[[repo]]\nname = "{name}"' for name in repos), ""])

    @contextmanager
    def daemon(
        self, *arguments: object, ready: bool = True, command: str = "daemon", **environ: str
    ) -> Iterator[Daemon]:
        """A daemon that runs to the end of the block at the latest, and is killed then.

        ``ready``: it is waited for until it has tried its first listing. ``command``: or a worker.
        """
        self.logs += 1
        log = self.folder / f"{command}-{self.logs}.log"
        words = [command, "--config", str(self.config), "--log-format", "json"]
        with (
            log.open("wb") as stderr,
            start_program(
                [*words, *map(str, arguments)],
                self.folder,
                self.environ | environ,
                subprocess.DEVNULL,
                stderr,
            ) as process,
        ):
            running = Daemon(self, process, log)
            try:
                if ready:
                    running.wait_for_line(READY)
                yield running
            finally:
                process.kill()
                process.wait()
                self.check_words(log.read_text(encoding="utf-8"))

    def status(self) -> dict[str, Any]:
        """``status --json``, which needs no valid configuration but the root."""
        done = self.run("status", "--root", self.root, "--json")
        assert done.code == 0, done.err
        return done.answer

    def has_everything(self, expected: dict[str, bytes], runs: int) -> bool:
        """Whether the mirror holds exactly these files, in so many runs with a manifest."""
        manifests = tree.matching(self.root, "*/*/*/SHA256SUMS")
        if sum(not it.parent.is_symlink() for it in manifests) != runs:
            return False
        return self.files() == expected and len(self.runs()) == runs


@dataclass
class Daemon:
    """A daemon that runs."""

    user: DaemonUser
    process: subprocess.Popen[str]
    log: Path

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What it has logged so far: whole lines, each one an object."""
        whole, _, _ = self.log.read_text(encoding="utf-8").rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    @property
    def messages(self) -> list[str]:
        return [line["message"] for line in self.lines]

    def said(self, begin: str) -> list[dict[str, Any]]:
        """The log's lines that begin with these words."""
        return [line for line in self.lines if line["message"].startswith(begin)]

    @property
    def alarms(self) -> list[dict[str, Any]]:
        """Warnings and worse."""
        return [line for line in self.lines if line["level"] in {"warning", "error", "critical"}]

    def wait_for(self, happens: Callable[[], bool], bound: float = 60) -> float:
        """Wait for something while the daemon runs; how long it took, in seconds."""
        began = time.monotonic()
        while not happens():
            waited = time.monotonic() - began
            assert waited < bound, (f"not within {bound} s", self.lines[-30:])
            assert self.process.poll() is None, ("it has ended", self.lines[-30:])
            time.sleep(0.01)
        return time.monotonic() - began

    def wait_for_line(self, begin: str, count: int = 1, bound: float = 60) -> dict[str, Any]:
        """Wait until it has logged a line that begins so; the latest of them."""
        self.wait_for(lambda: len(self.said(begin)) >= count, bound)
        return self.said(begin)[-1]

    def live(self) -> dict[str, Any]:
        """The daemon's own state, from ``status --json``."""
        found: dict[str, Any] | None = self.user.status()["daemon"]
        assert found is not None, "the daemon does not answer"
        assert found["pid"] == self.process.pid
        return found

    def ask(self) -> dict[str, Any]:
        """The same over HTTP: quicker."""
        code, body = self.get("/api/status")
        assert code == 200
        found: dict[str, Any] = json.loads(body)["daemon"]
        return found

    def standing(self, repo: str) -> dict[str, Any]:
        """How a repository stands."""
        return next(it for it in self.ask()["repositories"] if it["repo"] == repo)

    @property
    def origin(self) -> str:
        """Where its web listens."""
        found: str = self.wait_for_line("listening")["at"]
        return found

    def get(self, path: str) -> tuple[int, bytes]:
        """Ask its web."""
        return _opened(self.origin + path)

    def post_hook(self, body: dict[str, Any], secret: str = SECRET) -> int:
        """Send a webhook, signed."""
        content = json.dumps(body).encode()
        signature = hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()
        headers = {"X-Src-Signature": signature, "Content-Type": "application/json"}
        return _opened(f"{self.origin}/hooks/sourcecraft", content, headers)[0]

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, number: signal.Signals | None = signal.SIGTERM, bound: float = 60) -> int:
        """Send a signal, if one is given, and wait for the end; its exit code."""
        if number is not None:
            self.send(number)
        try:
            return self.process.wait(bound)
        except subprocess.TimeoutExpired:
            raise AssertionError((f"it does not end within {bound} s", self.lines[-30:])) from None

    @property
    def files_open(self) -> int:
        """Its file descriptors (Linux)."""
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())

    @property
    def memory(self) -> int:
        """Bytes of memory of its own that it has now (Linux)."""
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text(encoding="ascii")
        fields = dict(line.split(":", 1) for line in text.splitlines()[1:])
        private = (fields[name].split()[0] for name in ("Private_Clean", "Private_Dirty"))
        return sum(int(kibibytes) << 10 for kibibytes in private)


def run_complete(repo: str, run: str, number: object = "1") -> dict[str, Any]:
    """A webhook's body: a run has ended."""
    org, _, slug = repo.partition("/")
    return {
        "header": {"id": f"event-{number}", "type": "run.complete"},
        "repository": {"slug": slug, "organization": {"slug": org}},
        "run": {"slug": run},
    }


def _opened(
    url: str, content: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    request = urllib.request.Request(url, content, headers or {})  # noqa: S310 - of our own program
    try:
        with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310 - likewise
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
