"""Small file systems of their own for tests, and a mirror's disk that can be taken away."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def tmpfs(folder: Path, options: str) -> Iterator[Path]:
    """A file system in a folder, which is made. Where none can be mounted the test is skipped."""
    if sys.platform != "linux" or shutil.which("mount") is None:
        pytest.skip("mounting a small tmpfs needs Linux and its mount command")
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.skip(f"a small tmpfs can't be mounted here: {result.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


@dataclass
class MirrorDisk:
    """A small disk that can be mounted at the mirror's root and taken away from it."""

    behind: Path
    root: Path
    mounted: bool = False

    @classmethod
    @contextmanager
    def of(cls, folder: Path, options: str) -> Iterator[Self]:
        """One that is mounted in a folder, at ``mirror``."""
        disk = cls(folder / "behind", folder / "mirror")
        disk.root.mkdir()
        with tmpfs(disk.behind, options):
            (disk.behind / "data").mkdir()
            disk.mount()
            try:
                yield disk
            finally:
                if disk.mounted:
                    disk.unmount()

    def mount(self) -> None:
        subprocess.run(["mount", "--bind", str(self.behind / "data"), str(self.root)], check=True)
        self.mounted = True

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.root)], check=True)
        self.mounted = False
