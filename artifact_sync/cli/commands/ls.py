"""``artifact-sync ls``: list the artifacts in the ledger."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from artifact_sync.cli.artifact_text import artifact_line, detail_lines, heading
from artifact_sync.cli.ledger_completion import complete_named_runs
from artifact_sync.cli.options import as_json, common, moment_option, repositories, root
from artifact_sync.cli.session import configuration_beside_daemon
from artifact_sync.domain.listing import SortKey
from artifact_sync.domain.model import RunKey, State
from artifact_sync.runtime import event_loop
from artifact_sync.runtime.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from artifact_sync.app.listing import ListingTerms
    from artifact_sync.domain.model import ArtifactRow
    from artifact_sync.domain.ports import Ledger
    from artifact_sync.domain.settings import Config


class _States(click.ParamType[str]):
    """A state as it is told; which there are, ``ListingTerms`` checks."""

    name = "state"

    def shell_complete(
        self, _: click.Context, __: click.Parameter, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        """Complete a state."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only for completion

        told = (it.value for it in State if it.told is it)
        return [CompletionItem(it) for it in told if it.startswith(incomplete)]


@click.command(
    epilog="""\b
Examples:
  artifact-sync ls acme/rocket --root ./mirror
  artifact-sync ls acme/rocket --run latest-success --include '*.tar.gz'
  artifact-sync ls --state failed --state lost
  artifact-sync ls --sha256 9f86d081
  artifact-sync ls --since 7d --sort size | head
  artifact-sync ls --json | jq -r '.artifacts[] | select(.state != "mirrored") | .local_path'""",
)
@repositories
@click.option(
    "--run",
    "runs",
    metavar="N",
    multiple=True,
    shell_complete=complete_named_runs,
    help="Only this run: a number, latest or latest-success. Repeatable.",
)
@click.option("--workflow", metavar="GLOB", multiple=True, help="Only these workflows. Repeatable.")
@click.option(
    "--include",
    metavar="GLOB",
    multiple=True,
    help="Only these paths in CI, by globs as in the configuration. Repeatable.",
)
@click.option(
    "--state",
    "states",
    metavar="STATE",
    multiple=True,
    type=_States(),
    help="Only what is mirrored, wanted, failed, … (the first column). Repeatable.",
)
@click.option("--sha256", metavar="HEX", help="Only files with this SHA-256, or its first digits.")
@click.option(
    "--since",
    callback=moment_option,
    metavar="7d",
    help="Only runs created within this time, or since a date (2026-11-20).",
)
@click.option(
    "--sort",
    type=click.Choice([it.value for it in SortKey]),
    metavar="KEY",
    help="By path, size (largest first), age, run (newest), state (failed), verified (oldest).",
)
@click.option("--reverse", is_flag=True, help="The other way round.")
@click.option("--long", "in_full", is_flag=True, help="Also SHA-256, evidence, version, times.")
@click.option("--all", "everything", is_flag=True, help="Also what the rules leave out.")
@root
@as_json
@common
def command(
    *,
    config_file: Path | None,
    repos: tuple[str, ...],
    root: Path | None,
    as_json: bool,
    in_full: bool,
    **said: Any,
) -> None:
    """List artifacts: state, size, evidence, age, path, last error.

    It marks what vanishes within two days, has vanished unmirrored, or is lost, and since when.
    Looks at the ledger only: verify looks at the files. Works beside a running sync. Of options
    that are given together all must fit; of one that is repeated, one.
    """
    from artifact_sync.app.listing import ListingTerms  # noqa: PLC0415 - keeps --help quick
    from artifact_sync.app.selection import checked_names, pasted_runs  # noqa: PLC0415 - likewise

    config = configuration_beside_daemon(config_file, root)
    said["runs"] = said["runs"] or pasted_runs(repos)
    said["sort"] = SortKey(said["sort"]) if said["sort"] else None
    said["sha256"] = said["sha256"].strip().lower() if said["sha256"] is not None else None
    terms = ListingTerms(names=checked_names(repos), **said)
    terms.check()
    listing = _as_json(config, terms) if as_json else _as_text(config, terms, in_full=in_full)
    event_loop.run_plainly(listing)


async def _as_json(config: Config, terms: ListingTerms) -> None:
    """Print objects as rows are read: a ledger may be larger than memory."""
    from artifact_sync.app.listing import listed  # noqa: PLC0415 - keeps --help quick
    from artifact_sync.app.storage import open_storage  # noqa: PLC0415 - likewise
    from artifact_sync.cli.json_objects import ListedArtifact, as_line  # noqa: PLC0415 - likewise

    async with open_storage(config, rehearse=True) as store:
        before = '{"artifacts": ['
        async for row in listed(store.ledger, terms):
            entry = as_line(ListedArtifact.of(row, config.source.retention))
            click.echo(before + entry, nl=False)
            before = ", "
        click.echo("]}" if before == ", " else f"{before}]}}")


async def _as_text(config: Config, terms: ListingTerms, *, in_full: bool) -> None:
    """Print lines as rows are read."""
    from artifact_sync.app.listing import listed  # noqa: PLC0415 - keeps --help quick
    from artifact_sync.app.storage import open_storage  # noqa: PLC0415 - likewise

    first = True
    async with open_storage(config, rehearse=True) as store:
        async for row in listed(store.ledger, terms):
            if first:
                click.echo(heading())
            click.echo("\n".join(_lines(row, config, in_full=in_full)))
            first = False
        if first:
            click.echo(await _nothing(store.ledger, terms), err=True)


def _lines(row: ArtifactRow, config: Config, *, in_full: bool) -> list[str]:
    now, retention = datetime.now(UTC), config.source.retention
    line = artifact_line(row, retention, now)
    return [line, *detail_lines(row, retention, now)] if in_full else [line]


async def _nothing(ledger: Ledger, terms: ListingTerms) -> str:
    """What is said where nothing fits."""
    from artifact_sync.app.listing import ListingTerms  # noqa: PLC0415 - keeps --help quick

    which = f" of run {printable(', '.join(terms.runs))}" if terms.runs else ""
    plain = ListingTerms(names=terms.names, runs=terms.runs, everything=terms.everything)
    if terms != plain:
        return f"nothing to list: no artifact{which} fits these options"
    why = await _why_pruned(ledger, terms) if terms.runs else ""
    return f"nothing to list: the ledger has no artifact{which}{why}"


async def _why_pruned(ledger: Ledger, terms: ListingTerms) -> str:
    """That a run was pruned; empty: it was not."""
    from artifact_sync.app.selection import known_repositories  # noqa: PLC0415 - keeps --help quick

    repos = known_repositories(terms.names, await ledger.repositories())
    keys: Sequence[RunKey] = [RunKey(repo, run) for repo in repos for run in terms.runs]
    rows = [await ledger.run(key) for key in keys]
    pruned = (row.pruned_at for row in rows if row is not None and row.pruned_at is not None)
    return next((f": it was pruned on {at:%Y-%m-%d}" for at in pruned), "")
