"""Small libraries that are loaded before a program's own, compiled for the purpose."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@cache
def compiled(source: Path) -> str:
    """The library of a C file, in a folder that is there to the end."""
    compiler = shutil.which("cc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("needs Linux and a C compiler")
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    library = f"{folder}/{source.stem}.so"
    command = [compiler, "-shared", "-fPIC", "-o", library, str(source), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return library
