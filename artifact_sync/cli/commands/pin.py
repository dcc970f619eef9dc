"""``artifact-sync pin``: never prune a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from artifact_sync.cli.errors import result_of
from artifact_sync.cli.json_objects import PinEntry, PinsAnswer, as_line
from artifact_sync.cli.ledger_completion import complete_repositories, complete_runs
from artifact_sync.cli.options import as_json, common, no_wait, root
from artifact_sync.cli.session import configuration
from artifact_sync.domain.errors import ExitCode, UsageError
from artifact_sync.domain.model import RunKey
from artifact_sync.runtime import event_loop
from artifact_sync.runtime.text import printable

if TYPE_CHECKING:
    from pathlib import Path


@click.command(
    epilog="""\b
Examples:
  artifact-sync pin acme/rocket 42 --reason 'released as 1.0'

\b
Exit codes: 0 done, 2 there is no such run, 6 the disk refuses, 7 the mirror is in use.""",
)
@click.argument("repo", metavar="ORG/REPO", shell_complete=complete_repositories)
@click.argument("run", metavar="RUN", shell_complete=complete_runs)
@click.option("--reason", metavar="TEXT", default="", help="Why; stands in run.json and in pins.")
@root
@no_wait
@as_json
@common
def command(
    *,
    config_file: Path | None,
    repo: str,
    run: str,
    reason: str,
    root: Path | None,
    as_json: bool,
) -> int:
    """Pin a run: no rule of [keep] removes it.

    Another reason replaces the first. A daemon that holds the mirror does it.
    """
    from artifact_sync.app.forgetting import scope_of  # noqa: PLC0415 - keeps --help quick
    from artifact_sync.app.pinning import LONGEST_REASON, put_pin  # noqa: PLC0415 - likewise
    from artifact_sync.app.selection import Overrides, with_overrides  # noqa: PLC0415 - likewise

    config = with_overrides(configuration(config_file), Overrides(root=root))
    if len(reason) > LONGEST_REASON:
        raise UsageError(f"--reason is longer than {LONGEST_REASON:,} characters: say it in fewer")
    scope = scope_of(repo, run, None)
    made = event_loop.run_plainly(put_pin(config, RunKey(scope.repo, scope.run), reason))
    answer = PinsAnswer(complete=True, exit_code=0, pins=[PinEntry.of(made)])
    with result_of(ExitCode.COMPLETE):
        click.echo(as_line(answer) if as_json else f"pinned: {printable(str(made.run))}")
    return ExitCode.COMPLETE
