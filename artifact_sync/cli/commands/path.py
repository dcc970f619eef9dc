"""``artifact-sync path``: print where mirrored files are."""

from __future__ import annotations

import os
import re
import shutil
import sys
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING

import click

from artifact_sync.cli.ledger_completion import complete_places
from artifact_sync.cli.options import common, root
from artifact_sync.cli.session import configuration_beside_daemon
from artifact_sync.domain.errors import UsageError
from artifact_sync.runtime import event_loop
from artifact_sync.runtime.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from artifact_sync.app.listing import ListingTerms
    from artifact_sync.domain.settings import Config

_IN_MEMORY = 1 << 20
"""Bytes from which on the paths are kept in a file until they are printed."""
_FORGES_LINES = "[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029]"
"""What some program or other takes for the end of a line, or a terminal for a command."""


@click.command(
    epilog="""\b
Examples:
  artifact-sync path acme/rocket@latest-success '*.tar.gz'
  artifact-sync path -0 acme/rocket@42 | xargs -0 sha256sum

\b
Exit codes: 0 found, 1 nothing fits, 2 usage.""",
)
@click.argument("where", metavar="ORG/REPO[@RUN]", shell_complete=complete_places)
@click.argument("globs", metavar="[GLOB]...", nargs=-1)
@click.option("-0", "--null", "nul", is_flag=True, help="End each path with NUL, not with a line.")
@root
@common
def command(
    *, config_file: Path | None, where: str, globs: tuple[str, ...], nul: bool, root: Path | None
) -> None:
    """Print the absolute paths of mirrored files, one a line.

    RUN is a number, latest or latest-success; without it: of all runs, the newest first. GLOB is as
    in include; of several one must fit. Nothing else is on stdout, and nothing at all when it
    fails. Reads the ledger only, also beside a running sync.
    """
    from artifact_sync.app.listing import files_named  # noqa: PLC0415 - keeps --help quick

    config = configuration_beside_daemon(config_file, root)
    terms = files_named(where, globs)
    with SpooledTemporaryFile(_IN_MEMORY) as found:
        event_loop.run_plainly(_find(config, terms, found, nul=nul))
        found.seek(0)
        shutil.copyfileobj(found, sys.stdout.buffer)


async def _find(config: Config, terms: ListingTerms, found: IO[bytes], *, nul: bool) -> None:
    from artifact_sync.app.listing import named_files  # noqa: PLC0415 - keeps --help quick
    from artifact_sync.app.locations import is_in_store, root_of  # noqa: PLC0415 - likewise
    from artifact_sync.app.storage import open_storage  # noqa: PLC0415 - likewise

    url = f"{config.mirror.root}/" if is_in_store(config) else ""
    root = root_of(config)
    end = b"\0" if nul else b"\n"
    async with open_storage(config, rehearse=True) as store:
        async for row in named_files(store.ledger, terms):
            path = url + row.path if url and row.path else str(root / (row.path or ""))
            if not nul and re.search(_FORGES_LINES, path):
                raise UsageError(
                    f"a path would be taken for several lines: {printable(path)}; say -0, and read"
                    " the paths up to the next NUL (xargs -0)"
                )
            found.write(os.fsencode(path) + end)
