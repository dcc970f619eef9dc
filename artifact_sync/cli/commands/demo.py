"""``artifact-sync demo``: a whole session against the simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from artifact_sync.cli.options import common, root

if TYPE_CHECKING:
    from pathlib import Path


@click.command(
    short_help="Try it all against a simulator on this machine; needs nothing.",
    epilog="""\b
Example:
  artifact-sync demo --root /tmp/demo-mirror""",
)
@root
@common
def command(*, config_file: Path | None, root: Path | None) -> int:  # noqa: ARG001 - every command takes --config
    """Mirror a small simulated organisation over real HTTP, and verify the mirror.

    Links lapse after two seconds, one download is cut and one is told to come again.
    """
    from artifact_sync.cli.commands.demo_run import run_demo  # noqa: PLC0415 - keeps --help quick

    return run_demo(root)
