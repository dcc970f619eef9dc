"""The shim's side in Python: compile it, tell it where to strike, read what it has written down."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).with_name("shim.c")


@dataclass(frozen=True)
class Call:
    """A call that was to change something below the watched folder, in the order of all."""

    number: int
    name: str
    """``create write truncate sync rename link symlink unlink mkdir rmdir chmod …``"""
    result: int
    """Negative: an errno."""
    path: str
    """Relative to the watched folder, which is ``.``."""
    other: str
    """Where a renamed thing goes, or what a symbolic link points to."""
    value: int
    """The offset of a write, the length of a truncation, the mode of what was made."""
    data: bytes
    """What was written."""

    @property
    def is_done(self) -> bool:
        return self.result >= 0

    def __str__(self) -> str:
        other = f" -> {self.other}" if self.other else ""
        return f"call {self.number}: {self.name} {self.path}{other}"


@dataclass(frozen=True)
class Strike:
    """What happens at which call."""

    at: int
    deed: str
    """``before after torn short``, or an errno as a number."""
    stays: bool = False
    """Whether all later calls are struck, too."""
    syncs: str = ""
    """How the names end of the files whose syncs alone are counted; empty: every call counts."""

    @property
    def kills(self) -> bool:
        return self.deed in {"before", "after", "torn"}

    @property
    def errno(self) -> int:
        """0: no error."""
        return int(self.deed) if self.deed.isdecimal() else 0

    def __str__(self) -> str:
        deed = os.strerror(self.errno) if self.errno else self.deed
        return f"{deed} at call {self.at}{' and from then on' if self.stays else ''}"


NOWHERE = Strike(0, "after")


def compiled(folder: Path) -> Path:
    """The shim as a shared library. Skips where it cannot be had, but not in CI."""
    if not sys.platform.startswith("linux") or shutil.which("cc") is None:
        if os.environ.get("CI"):
            pytest.fail("the sweep needs a C compiler: apt-get install gcc libc6-dev")
        pytest.skip("strikes at system calls need Linux and a C compiler (gcc libc6-dev)")
    library = folder / "shim.so"
    command = ["cc", "-shared", "-fPIC", "-O1"]
    subprocess.run([*command, "-o", str(library), str(SOURCE), "-ldl", "-pthread"], check=True)
    return library


def environ(library: Path, below: Path, log: Path, strike: Strike = NOWHERE) -> dict[str, str]:
    """The environment in which a program is struck."""
    more = {"SWEEP_STAYS": "1"} if strike.stays else {}
    more |= {"SWEEP_SYNCS": strike.syncs} if strike.syncs else {}
    return {
        "LD_PRELOAD": str(library),
        "SWEEP_BELOW": str(below.resolve()),
        "SWEEP_LOG": str(log),
        "SWEEP_AT": str(strike.at),
        "SWEEP_DEED": strike.deed,
        **more,
    }


def calls(log: Path) -> list[Call]:
    """What was written down, in order."""
    return list(_calls(log.read_bytes())) if log.exists() else []


def _calls(text: bytes) -> Iterator[Call]:
    at = 0
    while at < len(text):
        end = text.index(b"\n", at)
        number, name, result, path, other, value, size = text[at:end].decode().split("\t")
        at = end + 1 + int(size)
        data = text[end + 1 : at]
        yield Call(int(number), name, int(result), path, other, int(value), data)
