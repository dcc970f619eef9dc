"""``python -m artifact_sync`` and the console script ``artifact-sync``: into ``cli``, no more."""

from __future__ import annotations

import io
import sys

from artifact_sync import cli
from artifact_sync.cli.errors import run


def main() -> int:
    """The exit code of one call with the process's arguments."""
    for stream in (sys.stdout, sys.stderr):
        # a remote name that the terminal's encoding lacks must not end the program
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    return run(cli.group, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
