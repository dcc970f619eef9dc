"""``artifact-sync daemon``: run the background service."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import click

from artifact_sync.cli.options import common, root
from artifact_sync.domain.settings import LogFormat

if TYPE_CHECKING:
    from pathlib import Path


@click.command(
    epilog="""\b
Examples:
  artifact-sync daemon --config /etc/artifact-sync/config.toml
  artifact-sync daemon --config ./mirror.toml --log-format json

\b
SIGTERM and SIGINT: files in flight may finish, then it ends; once more: at once.
SIGHUP: the configuration is read again, which also happens when its file changes.
The folder systemd/ of the source has units for it.""",
)
@root
@click.option(
    "--log-format",
    type=click.Choice(get_args(LogFormat)),
    help="Overrides daemon.log_format.",
)
@common
def command(*, config_file: Path | None, root: Path | None, log_format: LogFormat | None) -> int:
    """Keep the mirrors current, until it is stopped.

    Looks at each [[repo]] of the configuration when it is due. Stays in the foreground; a service
    manager puts it into the background. While it runs, sync and status ask it.
    """
    from artifact_sync.app.assemble_daemon import service  # noqa: PLC0415 - keeps --help quick
    from artifact_sync.cli.serving import serve  # noqa: PLC0415 - likewise

    return serve(service, config_file, root, log_format)
