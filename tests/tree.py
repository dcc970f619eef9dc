"""Looks into folders in which a program works: what vanishes during the look is not there."""

from __future__ import annotations

import glob
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_GONE = (FileNotFoundError, NotADirectoryError)


def files_below(folder: Path) -> Iterator[Path]:
    """Every file at any depth, without links."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            with suppress(*_GONE):
                if stat.S_ISREG(path.lstat().st_mode):
                    yield path


def matching(root: Path, pattern: str) -> list[Path]:
    """What a pattern finds, without what begins with a dot unless the pattern says so."""
    return [root / it for it in sorted(glob.glob(pattern, root_dir=root))]  # noqa: PTH207 - that of Path fails where a folder vanishes


def contents(paths: Iterable[Path]) -> Iterator[tuple[Path, bytes]]:
    """What is in these files."""
    for path in paths:
        with suppress(*_GONE):
            yield path, path.read_bytes()


def size_of(paths: Iterable[Path]) -> int:
    """How many bytes lie in these files."""
    size = 0
    for path in paths:
        with suppress(*_GONE):
            size += path.stat().st_size
    return size
