"""The machine in words: what a measurement means nothing without. Names no host and no path."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def describe(folder: Path) -> Mapping[str, str]:
    """What it is, by headings; the file system is that of ``folder``."""
    return {
        "CPU": f"{_first('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores",
        "SHA instructions": "yes" if " sha_ni " in _first("/proc/cpuinfo", "flags") + " " else "no",
        "Memory": f"{int(_first('/proc/meminfo', 'MemTotal').split()[0]) / 2**20:.1f} GiB",
        "Kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "File system": file_system(folder),
        "Python": f"{platform.python_version()} ({platform.python_compiler()})",
    }


def _first(path: str, heading: str) -> str:
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(heading)), "?")


def file_system(folder: Path) -> str:
    """Its type and the options that it is mounted with."""
    device = os.stat(folder).st_dev  # noqa: PTH116 - numbers
    number = f"{os.major(device)}:{os.minor(device)}"
    return next((words for found, words in _mounts() if found == number), "unknown")


def _mounts() -> Iterator[tuple[str, str]]:
    """Device number → type and options. See proc_pid_mountinfo(5)."""
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        mount, _, device = line.partition(" - ")
        kind, _, options = device.split(" ", 2)
        yield mount.split()[2], f"{kind} ({mount.split()[5]}; {options})"
