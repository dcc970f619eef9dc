"""Somebody who keeps a mirror of a service that can be taken away, and holds all that is told of it
against each other."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from forked_program import call_program
from user import SECRETS, TOKEN

from artifact_sync.simulator import Cube, Repo, Scenario, ScenarioApi, ScenarioArtifact, ScenarioRun

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from artifact_sync.simulator import Running

ORG = "acme"
APP, LOG = "app.bin", "build.txt"
QUICK = {
    "ARTIFACT_SYNC_SOURCE__RATE_LIMIT": "10000",
    "ARTIFACT_SYNC_DOWNLOAD__ATTEMPTS": "1",
    "ARTIFACT_SYNC_MIRROR__DURABILITY": "fast",
    "SOURCECRAFT_TOKEN": TOKEN,
}
_FAILED = {"failed", "gone", "lost", "refused"}


class Named(NamedTuple):
    """An artifact: ``org/repo``, the run, ``local_path``."""

    repo: str
    run: str
    path: str


def small_run(slug: str, *, age: float | None = None) -> ScenarioRun:
    """A finished run of two files."""
    files = (
        ScenarioArtifact(APP, size=5000),
        ScenarioArtifact(LOG, text=f"what the build of run {slug} said\n"),
    )
    return ScenarioRun(slug, age=age, cubes=(Cube(artifacts=files),))


def small_organisation(*repos: str) -> Scenario:
    """Repositories with two runs of two files each."""
    runs = (small_run("1"), small_run("2"))
    made = tuple(Repo(f"{ORG}/{repo}", runs=runs) for repo in repos)
    return Scenario(api=ScenarioApi(tokens=(TOKEN,)), repos=made)


@dataclass(frozen=True)
class Story:
    """What all commands agree on."""

    sync: int
    verify: int
    report: dict[str, Any]
    states: dict[Named, str]
    """Of every artifact that is known, wanted or not."""
    wanted: set[Named]
    words: str
    """stderr of ``sync``."""

    @property
    def codes(self) -> tuple[int, int]:
        return self.sync, self.verify

    def named(self, *states: str) -> set[Named]:
        """What is in one of these states."""
        return {name for name, state in self.states.items() if state in states}


@dataclass
class Keeping:
    """A mirror in a folder, and the program to be called for it."""

    folder: Path
    service: Running
    selected: tuple[str, ...] = (f"{ORG}/*",)

    @property
    def root(self) -> Path:
        return self.folder / "mirror"

    @property
    def environ(self) -> dict[str, str]:
        """What every call goes by, also one through Python."""
        return QUICK | {
            "PATH": os.environ["PATH"],
            "SSL_CERT_FILE": os.environ["SSL_CERT_FILE"],
            "HOME": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder),
            "ARTIFACT_SYNC_MIRROR__ROOT": str(self.root),
            "ARTIFACT_SYNC_SOURCE__BASE_URL": self.service.base_url,
            "PYTHONUTF8": "1",
        }

    def run(self, *arguments: str) -> tuple[int, dict[str, Any], str]:
        """Exit code, the object on stdout, and stderr."""
        code, out, err = call_program([*arguments, "--json"], self.folder, self.environ)
        assert "Traceback" not in err, err
        assert not SECRETS.search(out + err), (out, err)
        answer = json.loads(out) if out else {"exit_code": code}
        assert answer.get("exit_code", code) == code, (answer, err)
        return code, answer, err

    def listed(self) -> dict[Named, dict[str, Any]]:
        """All that is known, wanted or not."""
        _, answer, _ = self.run("ls", "--all")
        return {Named(it["repo"], it["run"], it["local_path"]): it for it in answer["artifacts"]}

    def states(self) -> dict[Named, str]:
        return {name: it["state"] for name, it in self.listed().items()}

    def place(self, name: Named) -> Path:
        return self.root / name.repo / name.run / "ci" / "build" / "build" / name.path

    def is_whole(self, name: Named, sha256: str) -> bool:
        place = self.place(name)
        return place.is_file() and hashlib.sha256(place.read_bytes()).hexdigest() == sha256

    def story(self, *arguments: str) -> Story:
        """A pass, and then what every command says of the mirror: it is the same."""
        code, report, words = self.run("sync", *self.selected, "--no-progress", *arguments)
        verified, found, _ = self.run("verify")
        rows = self.listed()
        states = {name: it["state"] for name, it in rows.items()}
        wanted = {name for name, it in rows.items() if it["wanted"]}
        story = Story(code, verified, report, states, wanted, words)
        self._check_files(rows)
        self._check_pass(story)
        self._check_verify(story, found)
        self._check_status(story)
        self._check_sums(story)
        return story

    def _check_files(self, rows: dict[Named, dict[str, Any]]) -> None:
        """``ls`` is right about every file that is looked after."""
        for name, it in rows.items():
            if it["state"] in {"forgotten", "unwanted"}:
                continue
            is_here = it["sha256"] is not None and self.is_whole(name, it["sha256"])
            assert (it["state"] == "mirrored") is it["here"] is is_here, it
            assert (it["state"] == "lost") is (it["lost_since"] is not None), it

    def _check_pass(self, story: Story) -> None:
        """The report of the pass has the failures that ``ls`` has, and its counts."""
        report = story.report
        failed = {
            Named(it["repo"], it["run"], it["local_path"])
            for it in report["failures"]
            if it["local_path"] is not None
        }
        assert (story.sync == 0) is (not report["failures"]) is report["complete"]
        assert failed == story.named(*_FAILED), (report, story.states)
        if len(failed) == report["failed"]:  # everything could be read
            assert story.sync in {0, 1}, report
        assert report["lost"] == len(story.named("lost")), (report, story.states)
        assert report["expired"] == len(story.named("expired")), (report, story.states)
        kept = report["kept"] + report["downloaded"]
        assert kept == len(story.named("mirrored") & story.wanted), (report, story.states)

    def _check_verify(self, story: Story, found: dict[str, Any]) -> None:
        lost = {str(self.place(it).relative_to(self.root)) for it in story.named("lost")}
        assert lost == {*found["missing"], *found["changed"]}, (found, story.states)
        assert story.verify == (1 if found["missing"] else 5 if found["changed"] else 0)

    def _check_status(self, story: Story) -> None:
        _, answer, _ = self.run("status")
        for told in answer["repositories"]:
            counts = Counter(
                state for name, state in story.states.items() if name.repo == told["repo"]
            )
            states = {state: count for state, count in told["states"].items() if count}
            known = {state: counts[state] for state in counts if state in told["states"]}
            assert states == known, (told, story.states)
            assert set(counts) - set(states) <= {"unwanted", "forgotten", "expired"}, told
            assert (told["lost"], told["expired"]) == (counts["lost"], counts["expired"]), told

    def _check_sums(self, story: Story) -> None:
        """``sha256sum`` misses what is lost, as ``run.json`` says, and nothing else."""
        for sums in self.root.glob("*/*/[!.l]*/SHA256SUMS"):
            folder = sums.parent
            prefix = str(folder.relative_to(self.root))
            about = json.loads((folder / "run.json").read_bytes())
            missing = {it["path"] for it in about.get("missing", [])}
            lost = {
                str(self.place(it).relative_to(folder))
                for it in story.named("lost")
                if f"{it.repo}/{it.run}" == prefix
            }
            assert bad_sums(folder) == missing == lost, (prefix, story.states)

    def unlink(self, names: Iterable[Named]) -> None:
        for name in names:
            self.place(name).unlink()


def bad_sums(folder: Path) -> set[str]:
    """The files of a run that are not as ``SHA256SUMS`` says."""
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    failed = (line.partition(": FAILED") for line in done.stdout.splitlines())
    return {path for path, found, _ in failed if found}
