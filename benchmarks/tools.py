"""The programs that take part: where, which versions, and artifact-sync as users have it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.settings import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Mapping

_PACKAGES = {
    "nginx": "nginx",
    "openssl": "openssl",
    "curl": "curl",
    "aria2c": "aria2",
    "wget": "wget",
    "sha256sum": "coreutils",
}
"""Program → Debian's package."""
_SOURCES = ("artifact_sync", "pyproject.toml", "README.md", "LICENSE")
_VERSION = re.compile(r"v?(\d+(?:\.\d+)+)")
_PLACES = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"


@dataclass(frozen=True, slots=True)
class Tools:
    """Where the programs are that are not on everybody's path."""

    nginx: str
    rclone: str
    artifact_sync: str
    before: str = ""
    """An older artifact-sync to measure beside this one; empty: none."""


def find_tools(folder: Path) -> Tools:
    """Every program; artifact-sync is installed into the folder. Exits when one is missing."""
    found = {name: shutil.which(name, path=_PLACES) for name in _PACKAGES}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        packages = " ".join(_PACKAGES[name] for name in missing)
        raise SystemExit(f"make bench needs {', '.join(missing)}: apt-get install {packages}")
    rclone = Path(sys.executable).parent / "rclone"
    if not rclone.exists():
        raise SystemExit("make bench needs rclone: make install (the extra `servers`)")
    return Tools(str(found["nginx"]), str(rclone), str(_install(folder)), _before())


def _before() -> str:
    """The program that ``BEFORE`` names. Exits when it does not run."""
    program = os.environ.get("BEFORE", "")
    if program and shutil.which(program) is None:
        raise SystemExit(f"BEFORE={program}: there is no such program")
    return program and str(Path(program).absolute())


def _install(folder: Path) -> Path:
    """Install this checkout as a user would, compiled, into a new environment.

    From a copy: setuptools builds where the sources lie, and takes up what an older build left.
    """
    sources, place = folder / "sources", folder / "venv"
    sources.mkdir()
    for name in _SOURCES:
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
        copy(REPOSITORY / name, sources / name)
    venv.create(place, symlinks=True)
    constraints = ("--constraint", str(REPOSITORY / "constraints.txt"))
    pip = (sys.executable, "-m", "pip", "--python", str(place / "bin" / "python"))
    quiet = ("-qq", "--disable-pip-version-check", "--no-warn-script-location")
    subprocess.run(
        [*pip, "install", *quiet, *constraints, f"{sources}[fast,web,postgres,fleet]"],
        env=_compiling(),
        check=True,
    )
    return place / "bin" / "artifact-sync"


def _compiling() -> dict[str, str]:
    return {name: it for name, it in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def environment(home: Path) -> dict[str, str]:
    """What the contenders find in their environment: nothing of the user's own."""
    return {
        "PATH": _PLACES,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "SOURCECRAFT_TOKEN": "bench",
    }


def versions(tools: Tools) -> Mapping[str, str]:
    """The version of each program, by its name."""
    commands = {
        "nginx": (tools.nginx, "-v"),
        "curl": ("curl", "--version"),
        "aria2c": ("aria2c", "--version"),
        "rclone": (tools.rclone, "version"),
        "wget": ("wget", "--version"),
        "sha256sum": ("sha256sum", "--version"),
        "OpenSSL of Python": (sys.executable, "-c", "import ssl; print(ssl.OPENSSL_VERSION)"),
        "artifact-sync": (tools.artifact_sync, "--version"),
    }
    return {name: _version(command) for name, command in commands.items()}


def _version(command: tuple[str, ...]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = _VERSION.search(done.stdout + done.stderr)
    return found[1] if found else "unknown"


def commit() -> str:
    """Which state of the repository this is; ``unknown`` outside of git."""
    command = ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty", "--abbrev=10"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
