"""Reading a small file that a person names: never one that could keep us waiting for ever."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


_HANDED = ("/dev/fd/", "/proc/self/fd/", "/dev/stdin")


def read_regular(path: Path, most: int) -> tuple[bytes, int]:
    """At most so many bytes from the beginning of a regular file, and its mode.

    ``OSError``, also for what is no regular file, such as a pipe that nobody writes to. What the
    caller's shell has opened itself, as for ``<(command)``, may be a pipe.
    """
    handed = str(path).startswith(_HANDED)
    with open(path, "rb", opener=None if handed else _without_waiting) as file:
        mode = os.fstat(file.fileno()).st_mode
        if not (handed or stat.S_ISREG(mode)):
            raise OSError(errno.EINVAL, "it is no regular file")
        return file.read(most), mode


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
