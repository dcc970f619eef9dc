"""Renames without overwriting, by a system call that Python's ``os`` lacks."""

from __future__ import annotations

import errno
import os
import sys
from functools import cache
from typing import TYPE_CHECKING

from artifact_sync.domain.disk_errors import is_not_offered

if TYPE_CHECKING:
    from collections.abc import Callable

_CALLS = {"linux": ("renameat2", 1), "darwin": ("renameatx_np", 4)}
"""The C function and its flag for "not over an existing name": RENAME_NOREPLACE, RENAME_EXCL."""


def rename_new(source: str, source_fd: int, target: str, target_fd: int) -> None:
    """Rename between two open folders; ``FileExistsError`` when the target's name is taken.

    Atomic where the system and the file system offer it (renameat2(2), renameatx_np(2)), else by a
    look beforehand.
    """
    call = _system_call()
    if call is not None:
        code = call(source_fd, os.fsencode(source), target_fd, os.fsencode(target))
        if code == 0:
            return
        error = OSError(code, os.strerror(code), source, None, target)
        if not is_not_offered(error):
            raise error
    _look_and_rename(source, source_fd, target, target_fd)


def _look_and_rename(source: str, source_fd: int, target: str, target_fd: int) -> None:
    try:
        os.stat(target, dir_fd=target_fd, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd)
    else:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)


@cache
def _system_call() -> Callable[[int, bytes, int, bytes], int] | None:
    """The call as a function that returns 0 or an errno; None where the C library has none."""
    import ctypes  # noqa: PLC0415 - for those who write

    name, flag = _CALLS.get(sys.platform, ("", 0))
    function = getattr(ctypes.CDLL(None, use_errno=True), name, None) if name else None
    if function is None:
        return None
    function.argtypes = (
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_uint,
    )
    function.restype = ctypes.c_int

    def call(source_fd: int, source: bytes, target_fd: int, target: bytes) -> int:
        done = function(source_fd, source, target_fd, target, flag) == 0
        return 0 if done else ctypes.get_errno()

    return call
