"""``python -m artifact_sync`` and the console script ``artifact-sync``: into ``cli``, no more."""

from __future__ import annotations

import gc
import io
import os
import sys
from typing import Any, TextIO

# What is made while modules are imported stays: looking for garbage in it is a tenth of the start.
# ``cli.session.begin_work`` sets the collector going where there is work to be done.
gc.disable()

# structlog and httpx take these in where they find them, for coloured tracebacks and a command line
# that nobody here uses: six megabytes and a tenth of a second for nothing.
for name in ("rich", "pygments"):
    sys.modules.setdefault(name, None)  # type: ignore[arg-type]

from artifact_sync import cli  # noqa: E402 - see above
from artifact_sync.cli.errors import run_program  # noqa: E402 - likewise


def main() -> int:
    """The exit code of one call with the process's arguments."""
    _occupy_standard_streams()
    if sys.stderr is not None:
        sys.stderr = _lossy(sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        # a remote name that the terminal's encoding lacks must not end the program
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    code = run_program(cli.group, sys.argv[1:])
    gc.freeze()  # nor need it be looked through at the end
    return code


def _occupy_standard_streams() -> None:
    """Let nothing of ours be opened in the place of a stream that the caller has closed.

    What some library says there would go into that file, and libuv ends a process over it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which is this


class _LossyFile(io.FileIO):
    """A file that drops what it cannot write: its reader has gone, or its disk is full."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def _lossy(stream: TextIO) -> TextIO:
    """Standard error that never fails: the exit code must not depend on who reads the log.

    The interpreter ends with code 120 when it cannot flush a stream.
    """
    raw = _LossyFile(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw), stream.encoding, line_buffering=True)


if __name__ == "__main__":
    sys.exit(main())
