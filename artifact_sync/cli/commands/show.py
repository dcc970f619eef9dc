"""``artifact-sync show``: what is known of one run."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click
from msgspec.structs import asdict

from artifact_sync.cli.errors import result_of
from artifact_sync.cli.failed_answer import as_json_also_failed
from artifact_sync.cli.ledger_completion import complete_repositories, complete_runs
from artifact_sync.cli.options import common, root
from artifact_sync.cli.run_answer import ShowAnswer, ShownDocument
from artifact_sync.cli.session import configuration_beside_daemon
from artifact_sync.domain.errors import ExitCode, UsageError
from artifact_sync.runtime import event_loop

if TYPE_CHECKING:
    from pathlib import Path

    from artifact_sync.app.shown_run import ShownRun


@click.command(
    epilog="""\b
Examples:
  artifact-sync show acme/rocket 42
  artifact-sync show acme/rocket latest-success --root ./mirror
  artifact-sync show acme/rocket 42 --json | jq '.run.error_messages'

\b
Exit codes: 0 shown, 2 the run is not known.""",
)
@click.argument("repo", metavar="ORG/REPO", shell_complete=complete_repositories)
@click.argument("run", metavar="RUN", required=False, shell_complete=complete_runs)
@root
@as_json_also_failed(partial(ShowAnswer, gone_since=None, run=None))
@common
def command(
    *, config_file: Path | None, repo: str, run: str | None, root: Path | None, as_json: bool
) -> int:
    """Show a run: who, why, how long, what failed, what is here.

    RUN is its number, latest or latest-success. The address of its page stands for both. It is read
    from the ledger, also when the service has forgotten the run, and beside a running sync.
    """
    from artifact_sync.app.forgetting import scope_of  # noqa: PLC0415 - keeps --help quick
    from artifact_sync.app.shown_run import shown_run  # noqa: PLC0415 - likewise

    config = configuration_beside_daemon(config_file, root)
    scope = scope_of(repo, run, None)
    if not scope.run:
        raise UsageError(f"name a run of {scope.repo}: its number, latest or latest-success")
    shown = event_loop.run_plainly(shown_run(config, scope.repo, scope.run))
    with result_of(ExitCode.COMPLETE):
        click.echo(_object(shown) if as_json else _text(shown))
    return ExitCode.COMPLETE


def _text(shown: ShownRun) -> str:
    from artifact_sync.cli.run_text import run_lines  # noqa: PLC0415 - keeps --help quick

    return "\n".join(run_lines(shown))


def _object(shown: ShownRun) -> str:
    from artifact_sync.cli.json_objects import as_line  # noqa: PLC0415 - keeps --help quick

    since, pruned = shown.row.gone_since, shown.row.pruned_at
    answer = ShowAnswer(
        complete=True,
        exit_code=int(ExitCode.COMPLETE),
        failures=[],
        gone_since=since.isoformat() if since is not None else None,
        run=ShownDocument(**asdict(shown.document), mirror_complete=shown.complete),
        pruned_at=pruned.isoformat() if pruned is not None else None,
    )
    return as_line(answer)
