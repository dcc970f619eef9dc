"""``python -m artifact_sync`` and the console script ``artifact-sync``: into ``cli``, no more."""

from __future__ import annotations

import io
import sys

# structlog takes rich in where it finds it, for coloured tracebacks that nobody here prints: five
# megabytes and a tenth of a second for nothing.
sys.modules.setdefault("rich", None)  # type: ignore[arg-type]

from artifact_sync import cli  # noqa: E402 - see above
from artifact_sync.cli.errors import run  # noqa: E402 - likewise


def main() -> int:
    """The exit code of one call with the process's arguments."""
    for stream in (sys.stdout, sys.stderr):
        # a remote name that the terminal's encoding lacks must not end the program
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    return run(cli.group, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
