"""``artifact-sync status``: what the ledger holds and what the daemon does."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec

from artifact_sync.cli.commands.daemon_text import check_errors, live_lines, next_check
from artifact_sync.cli.options import as_json, common_and_quick, root
from artifact_sync.cli.report_text import age, table
from artifact_sync.cli.session import begin_work, configuration
from artifact_sync.domain.errors import ArtifactSyncError
from artifact_sync.domain.model import REMOVED, State
from artifact_sync.domain.settings import CONTROL_SOCKET, OWN_FOLDER
from artifact_sync.domain.status import DaemonState, RepoStatus, as_object
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.text import printable
from artifact_sync.runtime.units import size_in_words as size

if TYPE_CHECKING:
    from pathlib import Path

    from artifact_sync.domain.settings import Config


@click.command(
    short_help="What the ledger holds, a line a repository.",
    epilog="""\b
Examples:
  artifact-sync status --root ./mirror
  artifact-sync status --json | jq '.repositories[].states'
  artifact-sync status --json | jq '.daemon.passes'""",
)
@root
@as_json
@common_and_quick
def command(*, config_file: Path | None, root: Path | None, as_json: bool) -> int:
    """Show what the ledger holds of each repository: runs, files, sizes, states, last pass.

    While a daemon runs, what it does now, too. Looks at the ledger only: verify looks at the files.
    Works beside a running sync.
    """
    from artifact_sync.app.selection import Overrides, with_overrides  # noqa: PLC0415 - keeps --help quick

    config = with_overrides(configuration(config_file), Overrides(root=root))
    found = _found(config)
    lines = [json.dumps(found)] if as_json else _lines(found, config)
    click.echo("\n".join(lines))
    return _complain(found.get("error"))


def _complain(error: object) -> int:
    """Log that the daemon cannot read its ledger; return the exit code."""
    if not error:
        return 0
    get_logger(__name__).error(f"the daemon cannot read its ledger: {error}")
    return 1


def _found(config: Config) -> dict[str, Any]:
    """The object of ``--json``, from the daemon or else from the ledger."""
    return _asked(config) or {"repositories": _totals(config), "daemon": None}


def _asked(config: Config) -> dict[str, Any] | None:
    """Ask the daemon; None if there is none or it does not answer."""
    from artifact_sync.app.locations import root_of  # noqa: PLC0415 - keeps --help quick

    own = root_of(config) / OWN_FOLDER
    if not os.path.lexists(own / CONTROL_SOCKET):
        return None
    begin_work()
    import asyncio  # noqa: PLC0415 - slow, and of no use without a daemon

    from artifact_sync.daemon.control.client import DaemonClient  # noqa: PLC0415 - likewise

    try:
        return asyncio.run(DaemonClient(own).status())
    except ArtifactSyncError as error:
        get_logger(__name__).warning(f"without the daemon's word: {error}")
        return None


def _totals(config: Config) -> list[dict[str, Any]]:
    from artifact_sync.app.read_ledger import read_totals  # noqa: PLC0415 - keeps --help quick

    return [as_object(it) for it in read_totals(config)]


def _lines(found: dict[str, Any], config: Config) -> list[str]:
    """Lines for people: the daemon, a table of repositories, their last errors."""
    now = datetime.now(UTC)
    repos = msgspec.convert(found["repositories"], list[RepoStatus])
    daemon = msgspec.convert(found["daemon"], DaemonState | None)
    errors = {it.repo: f"last error of {it.repo}: {it.last_error}" for it in repos if it.last_error}
    if daemon is not None:
        known = {it.repo for it in repos}
        names = (it.repo for it in daemon.repositories)
        repos += [RepoStatus(repo=name) for name in names if name not in known]
        errors |= check_errors(daemon)
    lines = live_lines(daemon, now) if daemon is not None else []
    if repos:
        lines += table(_rows(repos, daemon, now))
    else:
        lines.append(
            f"nothing is mirrored in {config.mirror.root} yet, or its disk is not mounted:"
            " artifact-sync sync ORG/REPO begins a mirror"
        )
    return lines + [printable(errors[repo]) for repo in sorted(errors)]


def _rows(
    repos: list[RepoStatus], daemon: DaemonState | None, now: datetime
) -> list[tuple[str, ...]]:

    head = ("REPOSITORY", "RUNS", "FILES", "SIZE", "OUTSTANDING", "LAST PASS", "LAST COMPLETE")
    rows = [_row(it, now) for it in sorted(repos, key=lambda it: it.repo)]
    if daemon is None:
        return [head, *rows]
    states = {it.repo: it for it in daemon.repositories}
    looks = [next_check(states.get(it.repo)) for it in sorted(repos, key=lambda it: it.repo)]
    return [(*head, "NEXT LOOK"), *((*row, look) for row, look in zip(rows, looks, strict=True))]


def _row(it: RepoStatus, now: datetime) -> tuple[str, ...]:

    if it.is_star:  # on a daemon's schedule: the organisation's list is looked at
        return (printable(it.repo), *["-"] * 6)
    at_rest = {State.MIRRORED, *REMOVED}
    outstanding = sum(n for state, n in it.states.items() if state not in at_rest)
    ages = (datetime.fromisoformat(at) if at else None for at in (it.last_pass, it.last_complete))
    return (
        printable(it.repo),
        f"{it.runs:,}",
        f"{it.states.get(State.MIRRORED, 0):,}",
        size(it.bytes),
        f"{outstanding:,}",
        *(age(at, now) for at in ages),
    )
