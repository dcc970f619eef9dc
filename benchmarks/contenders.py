"""Who takes part, by which commands, and how their work is checked. Nothing is run here.

Each does the same: download, SHA-256 of every file in a manifest, final names. Where a program has
several ways, the one that measured fastest here is taken.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.catalog import FileSet
    from benchmarks.tools import Tools

AT_ONCE = 16
FAST, FULL = "artifact-sync fast", "artifact-sync full"
BEFORE = "before: "
"""In front of the name of an older artifact-sync."""
CURL, ARIA2 = "curl -Z + sha256sum", "aria2c + sha256sum"
RCLONE, WGET = "rclone + sha256sum", "wget + sha256sum"
SOCKETS, SYNCED = "socket loop (floor)", "socket loop with fsync (floor)"
DURABLE = "write+fsync+rename loop"
DOWNLOAD, HASH = "download", "sha256sum"

_HERE = Path(__file__).parent
_SUMS = "SHA256SUMS"
_HASH = Phase(
    HASH,
    ("sh", "-c", f"find . -type f ! -name {_SUMS} -print0 | xargs -0 sha256sum"),
    stdout=_SUMS,
)
_CONFIG = """
[source]
base_url = "{api}"
ca_bundle = "{ca}"
# politeness is not what is measured
rate_limit = 100000.0
[mirror]
root = "{root}"
durability = "{durability}"
{more}
[download]
jobs = {jobs}
[[repo]]
name = "{repo}"
"""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be fetched, from where."""

    files: FileSet
    url: str
    """The server's, without a path."""
    repo: str
    """``ORG/REPO`` of which artifact-sync is told."""
    ca: Path
    home: Path
    """For lists and configurations."""
    jobs: int = AT_ONCE
    """Downloads at once of artifact-sync."""

    @property
    def folder(self) -> str:
        """The URL of the files' folder."""
        return f"{self.url}/files/{self.files.name}"

    def listed(self, name: str, line: str) -> str:
        """The path of a list with a line for each file; ``{}`` in it is the file's name."""
        path = self.home / name
        path.write_text("".join(line.replace("{}", each) for each in self.files.hashes))
        return str(path)

    def check(self, folder: Path) -> str:
        """What is wrong with the files that were fetched into a folder; see ``check_sums``."""
        return check_sums(self.files.hashes, self.files.size, folder)


@dataclass(frozen=True, slots=True)
class Contestant:
    """Somebody who takes part in a group."""

    name: str
    phases: Callable[[Path], Sequence[Phase]]
    """Called before the clock starts, with the new empty folder for this run."""
    check: Callable[[Path], str]
    """Called after the clock was stopped: what was not done, or an empty text."""


def downloaders(tools: Tools, job: Job) -> list[Contestant]:
    """Everybody who downloads."""
    commands = {
        CURL: _curl(job),
        ARIA2: _aria2(job),
        RCLONE: _rclone(tools, job),
        WGET: _wget(job),
    }
    others = [_two_phases(name, command, job.check) for name, command in commands.items()]
    return [*others, socket_loop(job), *artifact_syncs(tools, job)]


def _two_phases(name: str, command: tuple[str, ...], check: Callable[[Path], str]) -> Contestant:
    return Contestant(name, lambda _: [Phase(DOWNLOAD, command), _HASH], check)


def _curl(job: Job) -> tuple[str, ...]:
    config = job.listed("curl", f'url = "{job.folder}/{{}}"\noutput = "{{}}"\n')
    at_once = ("--parallel-immediate", "--parallel-max", str(AT_ONCE))
    quiet = ("--silent", "--show-error", "--fail")
    return ("curl", "-q", "-Z", *at_once, *quiet, "--cacert", str(job.ca), "--config", config)


def _aria2(job: Job) -> tuple[str, ...]:
    urls = job.listed("urls", f"{job.folder}/{{}}\n")
    ca = f"--ca-certificate={job.ca}"
    # without its control files and allocation it takes half the time for small files
    light = ("--auto-save-interval=0", "--file-allocation=none")
    return ("aria2c", "--no-conf", "--quiet", ca, *light, f"-j{AT_ONCE}", "-i", urls)


def _rclone(tools: Tools, job: Job) -> tuple[str, ...]:
    names = job.listed("names", "{}\n")
    own = (tools.rclone, "copy", "--config", "", "--ca-cert", str(job.ca))
    # with the list given, and without a HEAD a file, it needs one request a file, as the others do
    files = ("--files-from-raw", names, "--no-traverse", "--http-no-head")
    return (*own, *files, "--transfers", str(AT_ONCE), "--http-url", job.folder, ":http:", ".")


def _wget(job: Job) -> tuple[str, ...]:
    urls = job.listed("urls", f"{job.folder}/{{}}\n")
    return ("wget", "--no-config", "--quiet", f"--ca-certificate={job.ca}", "-i", urls)


def socket_loop(job: Job, *, fsync: bool = False) -> Contestant:
    """The floor; of ``full`` with each file synced, though neither its folder nor any ledger."""
    names = job.listed("names", "{}\n")
    command = (*_python("socket_loop.py"), job.folder, names, str(job.ca))
    phase = Phase(DOWNLOAD, (*command, "fsync") if fsync else command)
    return Contestant(SYNCED if fsync else SOCKETS, lambda _: [phase], job.check)


def durable_loop(files: FileSet) -> Contestant:
    """The loop that writes the same files durably, without a network."""
    command = (*_python("durable_loop.py"), str(len(files.hashes)), str(files.size))
    check = partial(_check_sizes, files.hashes, files.size)
    return Contestant(DURABLE, lambda _: [Phase("write", command)], check)


def _python(script: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", str(_HERE / script))


def artifact_syncs(tools: Tools, job: Job) -> list[Contestant]:
    """artifact-sync in both durabilities, with its ledger, links and manifests."""
    programs = {"": tools.artifact_sync, BEFORE: tools.before}
    return [
        artifact_sync(f"{when}{name}", program, job, durability)
        for when, program in programs.items()
        if program
        for name, durability in ((FAST, "fast"), (FULL, "full"))
    ]


def artifact_sync(name: str, program: str, job: Job, durability: str) -> Contestant:
    """artifact-sync, from an empty mirror."""

    def phases(folder: Path) -> list[Phase]:
        values = {"repo": job.repo, "durability": durability, "jobs": job.jobs}
        config = configuration(job.home, folder, api=job.url, ca=job.ca, **values)
        return [Phase(DOWNLOAD, (program, "sync", "--config", config))]

    return Contestant(name, phases, lambda folder: job.check(folder / job.repo / "1"))


def configuration(home: Path, root: Path, **values: object) -> str:
    """The path of a configuration for a mirror at this root; ``more`` are tables of it."""
    path = home / f"{root.name}.toml"
    path.write_text(_CONFIG.format(**{"root": root, "more": "", **values}))
    path.chmod(0o600)  # a ledger's URL may hold a password, and is read from no file of everybody's
    return str(path)


def check_sums(hashes: Mapping[str, str], size: int, folder: Path) -> str:
    """What is wrong with the files of a folder and their manifest."""
    if not (folder / _SUMS).is_file():
        return "there is no manifest"
    lines = (folder / _SUMS).read_text().splitlines()
    places = {Path(path).name: (path, sha) for sha, _, path in map(_parted, lines)}
    if {name: sha for name, (_, sha) in places.items()} != hashes:
        return f"the manifest tells of {len(places)} files, or of others than {len(hashes)}"
    wrong = [name for name, (path, _) in places.items() if (folder / path).stat().st_size != size]
    return f"{len(wrong)} files are of another size" if wrong else ""


def _parted(line: str) -> tuple[str, str, str]:
    return line.partition("  ")


def _check_sizes(hashes: Mapping[str, str], size: int, folder: Path) -> str:
    there = {path.name: path.stat().st_size for path in folder.iterdir()}
    return "" if there == dict.fromkeys(hashes, size) else f"{len(there)} files, or other sizes"
