"""Run the generator over a project's docs, strictly."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

CONFIG = "zensical.toml"
SITE = Path("build/site")
"""Where the configuration has the site built, below the project."""

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Build(NamedTuple):
    """How a build ended."""

    good: bool
    output: str


def build(project: Path) -> Build:
    """Build the site of a project anew. A warning is an error."""
    program = Path(sys.executable).with_name("zensical")
    done = subprocess.run(
        [program, "build", "--clean", "--strict", "--config-file", CONFIG],
        cwd=project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    output = _COLOUR.sub("", done.stdout + done.stderr.partition("Traceback")[0])
    index = project / SITE / "index.html"
    good = done.returncode == 0 and "Error" not in output and index.is_file()
    return Build(good, output)
