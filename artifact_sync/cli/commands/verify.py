"""``artifact-sync verify``: compare the mirror with the ledger, and repair it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from artifact_sync.cli.options import as_json, common, root
from artifact_sync.cli.session import configuration, token
from artifact_sync.domain.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


@click.command(
    short_help="Hash the mirror's files again and compare them with the ledger.",
    epilog="""\b
Examples:
  artifact-sync verify --root ./mirror
  artifact-sync verify acme/rocket --repair

\b
Exit codes: 0 all is as recorded, 5 files were changed or what came for them is
denied, 6 the disk refuses, 1 files are missing, or several of these. Files that
nobody recorded are told, but are no fault.""",
)
@click.argument("repo", metavar="[ORG/REPO]", required=False)
@click.option("--repair", is_flag=True, help="Fetch damaged files again, where they still are.")
@root
@as_json
@common
def command(
    *, config_file: Path | None, repo: str | None, repair: bool, root: Path | None, as_json: bool
) -> int:
    """Hash every mirrored file again: ok, missing, changed; and files that nobody recorded.

    --repair moves a changed file to .artifact-sync/displaced/ and fetches it again.
    """
    from artifact_sync.app.locations import has_ledger  # noqa: PLC0415 - likewise
    from artifact_sync.app.selection import Overrides, checked_names, with_overrides  # noqa: PLC0415 - likewise
    from artifact_sync.cli.commands.verify_run import VerifyCommand  # noqa: PLC0415 - keeps --help quick
    from artifact_sync.runtime.event_loop import run_quickly  # noqa: PLC0415 - likewise

    config = with_overrides(configuration(config_file), Overrides(root=root))
    if not has_ledger(config):  # nothing to verify must not read as verified
        raise UsageError(f"nothing is mirrored in {config.mirror.root} yet: artifact-sync sync")
    names = checked_names([repo]) if repo else []
    verification = VerifyCommand(
        config, tuple(names), token(config.source) if repair else None, repair, as_json
    )
    return run_quickly(verification.run())
