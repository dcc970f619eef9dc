"""A real systemd in a box, for one test: its units, its journal, its users. Booted by the script
``boxed_systemd.sh``, and thrown away with all that was written in it.

``Workshop`` makes boxes; the program is installed in the first one, and the others begin there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[2]
_SCRIPT = Path(__file__).with_suffix(".sh")
_SYSTEMD = Path("/lib/systemd/systemd")
_NEEDED = ("systemctl", "systemd-analyze", "journalctl", "busctl", "unshare", "nsenter", "mount")
_PARTS = ("artifact_sync", "systemd", "pyproject.toml", "README.md", "LICENSE", "constraints.txt")
_CHECKOUT = "/usr/src/artifact-sync"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def needs_systemd() -> None:
    """Skip the test, saying why, where no systemd can be booted. In CI it must be possible."""
    if sys.platform != "linux":
        pytest.skip("systemd is Linux's")
    if os.geteuid() != 0:
        pytest.skip("booting a systemd in a box needs root")
    missing = [name for name in _NEEDED if shutil.which(name, path=_PATH) is None]
    if missing or not _SYSTEMD.exists():
        _cannot(f"systemd is not installed ({', '.join(missing) or _SYSTEMD} is missing)")


def _cannot(why: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"{why}; CI has to provide it")
    pytest.skip(why)


class Box:
    """A booted systemd."""

    def __init__(self, pid: int) -> None:
        self._enter = ["nsenter", f"--target={pid}", "--pid", "--mount", "--uts", "--ipc"]
        self._enter += ["--cgroup", "--root", "env", f"--chdir={_CHECKOUT}"]

    def attempt(self, command: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a shell command as root, to its end, whatever it is."""
        kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        return subprocess.run(
            [*self._enter, "bash", "-euo", "pipefail", "-c", command],
            env={"PATH": _PATH, "HOME": "/root", "LC_ALL": "C.UTF-8", **kept},
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
            **{"input": "", "timeout": 150, **options},
        )

    def run(self, command: str, **options: Any) -> str:
        """Run a shell command that has to succeed; what it printed."""
        done = self.attempt(command, **options)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}{self._last_words()}"
        return done.stdout.strip()

    def _last_words(self) -> str:
        return self.attempt("journalctl --boot --no-pager --lines=40").stdout

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run(f"systemctl show --value -p {name} {unit}")

    def journal(self, unit: str) -> list[dict[str, Any]]:
        """What a unit's processes logged."""
        lines = self.run(f"journalctl --sync; journalctl -o json --all _SYSTEMD_UNIT={unit}")
        return [json.loads(line) for line in lines.splitlines()]


class Workshop:
    """Makes boxes in a folder, on a file system in memory of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self.installed: Path | None = None
        """What was written in the box in which the program was installed."""

    @contextmanager
    def box(self, *files: Path) -> Iterator[Box]:
        """A box, until the end of the block; the files lie in its checkout, beside the others."""
        self._count += 1
        state = self._folder / str(self._count)
        state.mkdir()
        lower = "/"
        if self.installed is not None:
            (state / "again").touch()
            lower = f"{self.installed}:/"
        checkout = state / "checkout"
        _copy(checkout)
        for file in files:
            shutil.copy(file, checkout)
        console = state / "console"
        with (
            console.open("wb") as said,
            subprocess.Popen(
                ["unshare", "--mount", "--propagation=private", _SCRIPT, state, lower, checkout],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            ) as process,
        ):
            try:
                yield _booted(process, console)
            finally:
                process.kill()
                process.wait()
                _remove_cgroup(state)

    @contextmanager
    def installing(self) -> Iterator[Box]:
        """The first box, from which the others begin."""
        with self.box() as box:
            yield box
            box.run("systemctl stop 'artifact-sync*' && rm -rf /var/lib/artifact-sync*")
        self.installed = self._folder / str(self._count) / "upper"


@contextmanager
def workshop(folder: Path) -> Iterator[Workshop]:
    """A workshop; overlays cannot write to another overlay, which a container's disk may be."""
    needs_systemd()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "box", folder], check=False)
    if mounted.returncode != 0:
        _cannot("root may not mount anything here")
    try:
        yield Workshop(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def _copy(checkout: Path) -> None:
    checkout.mkdir()
    for part in _PARTS:
        source = REPOSITORY / part
        if source.is_dir():
            shutil.copytree(source, checkout / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, checkout / part)


def _booted(process: subprocess.Popen[bytes], console: Path) -> Box:
    end = time.monotonic() + 150
    while time.monotonic() < end and process.poll() is None:
        first = _child_of(process.pid)
        if first is not None:
            box = Box(first)
            if box.attempt("systemctl is-system-running").stdout.strip() in {"running", "degraded"}:
                return box
        time.sleep(0.05)
    _cannot(f"no systemd could be booted here: {console.read_text(errors='replace')[-2000:]}")
    raise AssertionError


def _child_of(pid: int) -> int | None:
    """``unshare``'s only child: PID 1 of the box."""
    done = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    found = done.stdout.split()
    return int(found[0]) if found else None


def _remove_cgroup(state: Path) -> None:
    """The box's cgroup and those in it; they are empty as soon as its PID 1 has gone."""
    named = state / "box"
    if not named.exists():
        return
    script = (
        'mount -t cgroup2 none "$1/cgroup" && '
        'for _ in $(seq 50); do find "$(cat "$1/box")" -depth -type d -exec rmdir {} + '
        "2>/dev/null && exit; sleep 0.1; done; exit 1"
    )
    subprocess.run(
        ["unshare", "--mount", "--propagation=private", "bash", "-c", script, "-", state],
        check=True,
    )
