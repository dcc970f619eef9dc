"""``artifact-sync pins``: list the runs that are never pruned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from artifact_sync.cli.json_objects import PinEntry, PinsAnswer, as_line
from artifact_sync.cli.options import as_json, common, repositories, root
from artifact_sync.cli.session import configuration_beside_daemon
from artifact_sync.domain.errors import ExitCode
from artifact_sync.runtime import event_loop
from artifact_sync.runtime.text import printable

if TYPE_CHECKING:
    from pathlib import Path


@click.command(
    epilog="\b\nExamples:\n  artifact-sync pins\n  artifact-sync pins acme/rocket --json",
)
@repositories
@root
@as_json
@common
def command(
    *, config_file: Path | None, repos: tuple[str, ...], root: Path | None, as_json: bool
) -> int:
    """List the runs that are pinned, since when, and why.

    Works beside a running sync.
    """
    from artifact_sync.app.pinning import read_pins  # noqa: PLC0415 - keeps --help quick
    from artifact_sync.app.selection import checked_names  # noqa: PLC0415 - likewise

    config = configuration_beside_daemon(config_file, root)
    found = event_loop.run_plainly(read_pins(config, checked_names(repos)))
    if as_json:
        entries = [PinEntry.of(it) for it in found]
        click.echo(as_line(PinsAnswer(complete=True, exit_code=0, pins=entries)))
        return ExitCode.COMPLETE
    for it in found:
        which, day = printable(f"{it.run.repo} {it.run.run}"), f"{it.pinned_at:%Y-%m-%d}"
        click.echo(f"{which}  {day}  {printable(it.reason)}".rstrip())
    if not found:
        click.echo("nothing to list: no run is pinned", err=True)
    return ExitCode.COMPLETE
