"""``python -m artifact_sync`` and the console script ``artifact-sync``: into ``cli``, no more."""

from __future__ import annotations

import gc
import io
import sys

# What is made while modules are imported stays: looking for garbage in it is a tenth of the start.
# ``cli.options.begin_work`` sets the collector going where there is work to be done.
gc.disable()

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
    code = run(cli.group, sys.argv[1:])
    gc.freeze()  # nor need it be looked through at the end
    return code


if __name__ == "__main__":
    sys.exit(main())
