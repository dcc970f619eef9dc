"""``artifact-sync worker``: work on a mirror beside others."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, get_args

import click

from artifact_sync.cli.options import common, root
from artifact_sync.domain.settings import LogFormat

if TYPE_CHECKING:
    from pathlib import Path


@click.command(
    epilog="""\b
Examples:
  artifact-sync worker --config /etc/artifact-sync/config.toml
  artifact-sync worker --config ./mirror.toml --name one

\b
SIGTERM and SIGINT: no new job begins, and files in flight may finish; once more:
it ends at once. SIGHUP: the configuration is read again, which also happens when
its file changes. What a worker had in hand another one takes over.""",
)
@root
@click.option("--name", metavar="NAME", help="What status calls it; else the machine's name.")
@click.option(
    "--log-format",
    type=click.Choice(get_args(LogFormat)),
    help="Overrides daemon.log_format.",
)
@click.option("--sign", type=click.FloatRange(0.1), hidden=True)
@common
def command(
    *,
    config_file: Path | None,
    root: Path | None,
    name: str | None,
    log_format: LogFormat | None,
    sign: float | None,
) -> int:
    """Keep the mirrors current together with other workers, until it is stopped.

    As many as wanted, on any machines, in place of the daemon: they share a ledger in PostgreSQL
    (ledger.url) and the files, and one of them plans what is due. Stays in the foreground. It does
    not watch the mirror's files: each pass looks at the newest.
    """
    from artifact_sync.app.assemble_worker import SIGN, worker  # noqa: PLC0415 - keeps --help quick
    from artifact_sync.cli.serving import serve  # noqa: PLC0415 - likewise

    make = partial(worker, name=name, sign=SIGN if sign is None else sign)
    return serve(make, config_file, root, log_format)
