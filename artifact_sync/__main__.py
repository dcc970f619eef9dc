"""``python -m artifact_sync`` and the console script ``artifact-sync``: into ``cli``, no more."""

from __future__ import annotations

import io
import sys

# structlog and httpx take these in where they find them, for coloured tracebacks and a command line
# that nobody here uses: six megabytes and a tenth of a second for nothing.
for name in ("rich", "pygments"):
    sys.modules.setdefault(name, None)  # type: ignore[arg-type]

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
