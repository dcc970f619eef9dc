"""Programs whose time of day is off: a small library, compiled for the purpose."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest


def shifted(seconds: int) -> dict[str, str]:
    """Variables under which a program's clock is so far ahead."""
    return {"LD_PRELOAD": _compiled(), "SHIFT_SECONDS": str(seconds)} if seconds else {}


@cache
def _compiled() -> str:
    """The library, in a folder that is there to the end."""
    compiler = shutil.which("cc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("needs Linux and a C compiler")
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    source, library = Path(__file__).with_suffix(".c"), f"{folder}/shifted_clock.so"
    command = [compiler, "-shared", "-fPIC", "-o", library, str(source), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return library
