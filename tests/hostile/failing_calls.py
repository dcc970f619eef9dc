"""System calls that fail in the program: a small library, compiled for the purpose."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("failing_calls.c")


def failing(call: str, code: int | str, name: str = "", **which: int) -> dict[str, str]:
    """Variables under which a call on files whose path holds ``name`` fails with this errno.

    ``which``: ``first`` of them by number, and ``times``. The code ``kill`` ends the program there.
    ``statvfs`` with 0 answers that everything is 0.
    """
    return {
        "LD_PRELOAD": _compiled(),
        "FAIL_CALL": call,
        "FAIL_ERRNO": str(code),
        **({"FAIL_NAME": name} if name else {}),
        **{f"FAIL_{word.upper()}": str(number) for word, number in which.items()},
    }


@cache
def _compiled() -> str:
    """The library, in a folder that is there to the end."""
    compiler = shutil.which("cc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("needs Linux and a C compiler")
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    library = f"{folder}/failing_calls.so"
    command = [compiler, "-shared", "-fPIC", "-o", library, str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return library
