"""``artifact-sync sync``: mirror once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from artifact_sync.cli.ledger_completion import complete_runs
from artifact_sync.cli.options import (
    as_json,
    common_and_quick,
    duration_option,
    no_wait,
    repositories,
    root,
)
from artifact_sync.cli.session import configuration

if TYPE_CHECKING:
    from pathlib import Path

    from artifact_sync.domain.request import PassRequest
    from artifact_sync.domain.settings import Config


@click.command(
    epilog="""\b
Examples:
  artifact-sync sync
  artifact-sync sync acme/rocket --root ./mirror --since 7d
  artifact-sync sync acme/rocket --run 41 --run 42 --include '*.tar.gz'
  artifact-sync sync --expiring 3d
  artifact-sync sync --dry-run
  artifact-sync sync --json > result.json

\b
Exit code 0 only when everything selected is present and verified: a dry run that
would download something ends with 1.""",
)
@repositories
@click.option(
    "--run",
    "runs",
    metavar="N",
    multiple=True,
    shell_complete=complete_runs,
    help="Only this run, whatever is known of it. Repeatable.",
)
@click.option(
    "--since", callback=duration_option, metavar="7d", help="Only runs created within this time."
)
@click.option(
    "--expiring",
    callback=duration_option,
    metavar="3d",
    help="Only runs whose artifacts vanish within this time, by source.retention.",
)
@click.option(
    "--include",
    metavar="GLOB",
    multiple=True,
    help="Only these paths, not those of the configuration. Repeatable.",
)
@click.option(
    "--exclude",
    metavar="GLOB",
    multiple=True,
    help="Not these paths, in place of the configuration's. Repeatable.",
)
@click.option(
    "--workflow",
    metavar="GLOB",
    multiple=True,
    help="Only these workflows, not those of the configuration. Repeatable.",
)
@root
@no_wait
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Downloads at a time. Overrides download.jobs.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Ask the service and show what would be done, and change nothing.",
)
@as_json
@click.option("--no-progress", is_flag=True, help="Lines instead of bars, as without a terminal.")
@common_and_quick
def command(*, config_file: Path | None, as_json: bool, no_progress: bool, **said: Any) -> int:
    """Mirror the artifacts of finished runs, once.

    Without ORG/REPO: every repository of the configuration. ORG/* stands for every repository of an
    organisation. With --root and a repository it needs no configuration at all. While a daemon
    holds the mirror, the daemon does it, and its progress and result are shown here.
    """
    from artifact_sync.app.selection import Overrides, request_of, with_overrides  # noqa: PLC0415 - likewise
    from artifact_sync.cli.run_pass import PassDisplay, pass_command  # noqa: PLC0415 - keeps --help quick

    flags = Overrides(**said)

    def prepare() -> tuple[Config, PassRequest]:
        config = configuration(config_file)
        request = request_of(config, flags, os.environ)
        return with_overrides(config, flags), request

    delegate = not flags.dry_run
    display = PassDisplay(as_json, flags.dry_run, not no_progress, delegate, flags.jobs)
    return pass_command(prepare, display)
