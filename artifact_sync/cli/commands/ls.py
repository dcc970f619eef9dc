"""``artifact-sync ls``: list the artifacts in the ledger."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from artifact_sync.cli.json_objects import ListedArtifact, as_line
from artifact_sync.cli.ledger_completion import complete_runs
from artifact_sync.cli.options import as_json, common, repositories, root
from artifact_sync.cli.report_text import age, span
from artifact_sync.cli.session import configuration_beside_daemon
from artifact_sync.domain.model import RunKey, State
from artifact_sync.domain.vanishing import SOON, vanishing_time
from artifact_sync.runtime import event_loop
from artifact_sync.runtime.text import printable
from artifact_sync.runtime.units import size_in_words as size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from artifact_sync.domain.model import ArtifactRow, RepoName
    from artifact_sync.domain.ports import Ledger
    from artifact_sync.domain.settings import Config


@click.command(
    epilog="""\b
Examples:
  artifact-sync ls acme/rocket --root ./mirror
  artifact-sync ls acme/rocket --run 42
  artifact-sync ls --json | jq -r '.artifacts[] | select(.state != "mirrored") | .local_path'""",
)
@repositories
@click.option("--run", metavar="N", shell_complete=complete_runs, help="Only this run.")
@click.option("--all", "everything", is_flag=True, help="Also what the rules leave out.")
@root
@as_json
@common
def command(
    *,
    config_file: Path | None,
    repos: tuple[str, ...],
    run: str | None,
    everything: bool,
    root: Path | None,
    as_json: bool,
) -> None:
    """List artifacts: state, size, evidence, age, path, last error.

    It marks what vanishes within two days, has vanished unmirrored, or is lost, and since when.
    Looks at the ledger only: verify looks at the files. Works beside a running sync.
    """
    from artifact_sync.app.selection import checked_names  # noqa: PLC0415 - keeps --help quick

    config = configuration_beside_daemon(config_file, root)
    listing = _list(config, checked_names(repos), run, everything=everything, as_json=as_json)
    event_loop.run_plainly(listing)


async def _list(
    config: Config, names: list[str], run: str | None, *, everything: bool, as_json: bool
) -> None:
    """Print rows as they are read: a ledger may be larger than memory."""
    from artifact_sync.app.selection import known_repositories  # noqa: PLC0415 - keeps --help quick
    from artifact_sync.app.storage import open_storage  # noqa: PLC0415 - likewise

    async with open_storage(config, rehearse=True) as store:
        repos = known_repositories(names, await store.ledger.repositories())
        if as_json:
            click.echo('{"artifacts": [', nl=False)
        first = True
        for repo in repos:
            async for row in store.ledger.listing(repo, run):
                if row.state is State.UNWANTED and not everything:
                    continue
                if first and not as_json:
                    click.echo(_columns("STATE", "SIZE", "EVIDENCE", "AGE") + "PATH")
                line = _json(row, config, first=first) if as_json else _line(row, config)
                click.echo(line, nl=not as_json)
                first = False
        if as_json:
            click.echo("]}")
        elif first:
            which = f" of run {printable(run)}" if run else ""
            why = await _why_pruned(store.ledger, repos, run) if run else ""
            click.echo(f"nothing to list: the ledger has no artifact{which}{why}", err=True)


async def _why_pruned(ledger: Ledger, repos: Sequence[RepoName], run: str) -> str:
    """That a run was pruned; empty: it was not."""
    rows = [await ledger.run(RunKey(repo, run)) for repo in repos]
    pruned = (row.pruned_at for row in rows if row is not None and row.pruned_at is not None)
    return next((f": it was pruned on {at:%Y-%m-%d}" for at in pruned), "")


def _json(row: ArtifactRow, config: Config, *, first: bool) -> str:
    entry = ListedArtifact.of(row, config.source.retention)
    return ("" if first else ", ") + as_line(entry)


def _line(row: ArtifactRow, config: Config) -> str:
    now = datetime.now(UTC)
    amount = size(row.size) if row.size is not None else "-"
    since = age(row.mirrored_at or row.first_seen, now)
    facts = _columns(row.state.told, amount, row.strength if row.sha256 else "-", since)
    words = [*_endangered(row, config.source.retention, now), row.message]
    remark = "; ".join(printable(it) for it in words if it)
    return facts + printable(row.path or str(row.key)) + (f"  ({remark})" if remark else "")


def _endangered(row: ArtifactRow, retention: float, now: datetime) -> Iterator[str]:
    """Tell of a file that is lost, has vanished upstream, or will so within two days."""
    if row.state is State.LOST and row.lost_since is not None:
        yield f"lost since {row.lost_since:%Y-%m-%d}"
    elif row.state in {State.GONE, State.EXPIRED}:
        yield "vanished unmirrored"
    elif row.state in {State.WANTED, State.PENDING, State.FAILED}:
        vanishes = vanishing_time(row.created_at, retention)
        left = (vanishes - now).total_seconds() if vanishes is not None else 0
        if 0 < left <= SOON:
            yield f"vanishes in {span(left)}"


def _columns(state: str, amount: str, strength: str, since: str) -> str:
    return f"{state:<9} {amount:>10} {strength:<8} {since:>8}  "
