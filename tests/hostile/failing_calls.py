"""System calls that fail in the program: a small library, compiled for the purpose."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("failing_calls.c")


def failing(
    folder: Path, call: str, code: int | str, name: str = "", **which: int
) -> dict[str, str]:
    """Variables under which a call on files whose path holds ``name`` fails with this errno.

    ``which``: ``first`` of them by number, and ``times``. The code ``kill`` ends the program there.
    ``statvfs`` with 0 answers that everything is 0.
    """
    compiler = shutil.which("cc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("needs Linux and a C compiler")
    library = folder / "failing_calls.so"
    command = [compiler, "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return {
        "LD_PRELOAD": str(library),
        "FAIL_CALL": call,
        "FAIL_ERRNO": str(code),
        **({"FAIL_NAME": name} if name else {}),
        **{f"FAIL_{word.upper()}": str(number) for word, number in which.items()},
    }
