"""Somebody at a shell: an empty home, the real program, and what must hold of its words.

``organisation`` is the small service that most of the acceptance tests mirror.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tree
from forked_program import PROGRAM, call_program, start_program

from artifact_sync.simulator import Cube, Repo, Scenario, ScenarioApi, ScenarioArtifact, ScenarioRun
from artifact_sync.simulator.content import content_chunks

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from artifact_sync.simulator import Running, Simulator

TOKEN = "pv1_not-for-anybodys-eyes"
SECRETS = re.compile(r"not-for-anybodys-eyes|X-Amz-|md5=|expires=", re.IGNORECASE)
"""The token, and what the queries of the simulator's links are made of."""

DAY = 86_400.0
MANIFESTS = {"SHA256SUMS", "run.json"}


@dataclass(frozen=True)
class Done:
    """What a call of the program left."""

    code: int
    out: str
    err: str

    @property
    def answer(self) -> dict[str, Any]:
        """The one JSON object on stdout, and nothing else is there."""
        assert self.out.count("\n") == 1, (self.out, self.err)
        answer: dict[str, Any] = json.loads(self.out)
        assert answer.get("exit_code", self.code) == self.code, (answer, self.err)
        return answer

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Of ``sync --json``: found, downloaded, kept, failed."""
        found, downloaded, kept, failed = (
            self.answer[name] for name in ("found", "downloaded", "kept", "failed")
        )
        return found, downloaded, kept, failed


class User:
    """Runs the program. After every call: no secret and no traceback was shown or kept."""

    def __init__(self, folder: Path, service: Running | str) -> None:
        self.folder = folder
        self.root = folder / "mirror"
        self.launcher: tuple[str, ...] = PROGRAM
        url = service if isinstance(service, str) else service.base_url
        self.environ = {
            "PATH": os.environ["PATH"],
            "SSL_CERT_FILE": os.environ["SSL_CERT_FILE"],
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / ".config"),
            "XDG_CONFIG_DIRS": str(folder / "etc"),
            "SOURCECRAFT_TOKEN": TOKEN,
            "ARTIFACT_SYNC_SOURCE__BASE_URL": url,
            "PYTHONUTF8": "1",
        }

    def command(self, *arguments: object) -> list[str]:
        return [*self.launcher, *map(str, arguments)]

    def run(self, *arguments: object, **environ: str) -> Done:
        """Run a command to its end, in the user's folder."""
        if self.launcher != PROGRAM:
            with self.started(*arguments, **environ) as process:
                return self.finish(process)
        said = call_program([*map(str, arguments)], self.folder, self.environ | environ)
        self.check_words(said.out + said.err)
        return Done(*said)

    @contextmanager
    def started(self, *arguments: object, **environ: str) -> Iterator[subprocess.Popen[str]]:
        """A command that runs, to be finished within the block; killed if it is not."""
        with self._process([*map(str, arguments)], self.environ | environ) as process:
            try:
                yield process
            finally:
                process.kill()

    def _process(self, arguments: list[str], environ: dict[str, str]) -> subprocess.Popen[str]:
        if self.launcher == PROGRAM:
            return start_program(arguments, self.folder, environ)
        return subprocess.Popen(
            [*self.launcher, *arguments],
            cwd=self.folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def finish(self, process: subprocess.Popen[str], number: signal.Signals | None = None) -> Done:
        """Send a signal, if one is given, wait for the end, and look at what was said."""
        if number is not None:
            process.send_signal(number)
        out, err = process.communicate(timeout=60)
        self.check_words(out + err)
        return Done(process.returncode, out, err)

    def check_words(self, words: str) -> None:
        assert not SECRETS.search(words), words
        assert "Traceback" not in words, words
        kept = [self.root / ".artifact-sync/ledger.sqlite"]
        kept += tree.matching(self.root, "*/*/*/run.json")
        for path, content in tree.contents(kept):
            assert not SECRETS.search(content.decode("latin-1")), path

    def sync(self, *arguments: object, **environ: str) -> Done:
        """``sync`` into the user's mirror."""
        return self.run("sync", *arguments, "--root", self.root, **environ)

    def files(self, below: Path | str = "") -> dict[str, bytes]:
        """The mirrored files by path: no manifests, no links, nothing of the program's own."""
        there = sorted(tree.files_below(self.root / below))
        mirrored = (path for path in there if _is_mirrored(path, self.root))
        return {str(it.relative_to(self.root)): content for it, content in tree.contents(mirrored)}

    def runs(self) -> set[str]:
        """``org/repo/run`` of every run that has a manifest; ``sha256sum`` agrees with each."""
        sums = tree.matching(self.root, "*/*/*/SHA256SUMS")
        folders = (it.parent for it in sums if not it.parent.is_symlink())
        return {str(it.relative_to(self.root)) for it in folders if is_complete(it)}

    def displaced(self) -> dict[str, bytes]:
        """Contents of what was moved out of the way, by the path that it had."""
        attic = self.root / ".artifact-sync" / "displaced"
        found = tree.contents(tree.files_below(attic))
        return {"/".join(path.relative_to(attic).parts[1:]): content for path, content in found}

    def staged(self) -> int:
        """Bytes in staging."""
        return tree.size_of(tree.matching(self.root, ".artifact-sync/staging/*.part"))


def _is_mirrored(path: Path, root: Path) -> bool:
    parts = path.relative_to(root).parts
    is_manifest = len(parts) == 4 and path.name in MANIFESTS
    return parts[0] != ".artifact-sync" and not is_manifest


def is_complete(folder: Path) -> bool:
    """Whether a run has a manifest. The system's own program finds every file as it says, and no
    other, while it stands: a pass takes it away before it changes the run."""
    before = _standing(folder / "SHA256SUMS")
    wrong = _wrong_sums(folder) if before else ""
    stood = before is not None and _standing(folder / "SHA256SUMS") == before
    assert not (stood and wrong), wrong
    return stood


def _standing(file: Path) -> tuple[int, int] | None:
    try:
        seen = file.stat()
    except FileNotFoundError:
        return None
    return seen.st_ino, seen.st_mtime_ns


def _wrong_sums(folder: Path) -> str:
    command = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return f"{folder} is gone, or there is no sha256sum"
    if done.returncode != 0:
        return done.stdout + done.stderr
    lines = [line for _, it in tree.contents([folder / "SHA256SUMS"]) for line in it.splitlines()]
    named = {line.decode().lstrip("\\").split("  ", 1)[1] for line in lines}
    there = {str(path.relative_to(folder)) for path in tree.files_below(folder)} - MANIFESTS
    return "" if named == there else f"it names {named}, and there are {there}"


def wait_until(happens: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for what a running program is about to do. A look that costs is taken less often."""
    begin = now = time.monotonic()
    while not happens():
        looked = time.monotonic() - now
        assert now < begin + seconds, "it never happened"
        time.sleep(min(max(0.01, 3 * looked), 0.5))
        now = time.monotonic()


def contents(simulator: Simulator, *repos: str) -> dict[str, bytes]:
    """What a complete mirror of these repositories, or of all, holds: bytes by path."""
    found = {}
    for thing in simulator.objects.values():
        key = thing.key
        if not repos or str(key.run_key.repo) in repos:
            path = "/".join([*key[:6], key.local_path.removeprefix("./")])
            found[path] = b"".join(content_chunks(thing.content))
    return found


ARCHIVE, SIDECAR = "./dist/app.tar.gz", "./dist/app.tar.gz.sha256"
REPORT, PAGE = "report/junit.xml", "site/index.html"


def with_module(folder: Path, name: str, text: str) -> dict[str, str]:
    """An environment in which a module of this name is found before any other."""
    folder.mkdir()
    (folder / f"{name}.py").write_text(text)
    return {"PYTHONPATH": str(folder)}


def run_of_four(slug: str, status: str = "success", *, days: float = 1) -> ScenarioRun:
    """A run with two workflows: ``ci`` leaves an archive, its sidecar and a report, ``docs`` a
    page."""
    build = (
        ScenarioArtifact(ARCHIVE, size=40_000),
        ScenarioArtifact(SIDECAR, sha256_of=ARCHIVE),
        ScenarioArtifact(REPORT, text=f"<testsuite name='{slug}'/>\n"),
    )
    page = (ScenarioArtifact(PAGE, text=f"<!doctype html><p>{slug}\n"),)
    cubes = (Cube(artifacts=build), Cube("pages", "docs", "site", artifacts=page))
    return ScenarioRun(slug, status, age=days * DAY, cubes=cubes)


def organisation(**more: Any) -> Scenario:
    """``acme``: three finished runs of ``rocket`` and one that goes on, one of ``website``, none of
    ``docs``."""
    rocket = (
        run_of_four("1", days=10),
        run_of_four("2", days=3),
        run_of_four("3", "failed", days=2),
        ScenarioRun(
            "4",
            "processing",
            cubes=(Cube(artifacts=(ScenarioArtifact("late", status="registered"),)),),
        ),
    )
    repos = (
        Repo("acme/rocket", runs=rocket),
        Repo("acme/website", runs=(run_of_four("1"),)),
        Repo("acme/docs"),
    )
    return Scenario(**{"api": ScenarioApi(tokens=(TOKEN,)), "repos": repos} | more)
