"""``artifact-sync du``: what the mirror takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from artifact_sync.cli.ledger_completion import complete_repositories
from artifact_sync.cli.options import as_json, common, root
from artifact_sync.cli.session import configuration_beside_daemon
from artifact_sync.domain.usage import UsageBy, UsagePart
from artifact_sync.runtime import event_loop
from artifact_sync.runtime.text import printable
from artifact_sync.runtime.units import size_in_words as size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from artifact_sync.app.usage import Beside
    from artifact_sync.domain.settings import Config

_LOGS = "(logs of cubes)"
"""The part of the files that have no path in CI."""


@click.command(
    epilog="""\b
Examples:
  artifact-sync du
  artifact-sync du acme --by workflow
  artifact-sync du acme/rocket --by run | head
  artifact-sync du --by path --json | jq '.parts[0]'""",
)
@click.argument("repos", metavar="[ORG[/REPO]]...", nargs=-1, shell_complete=complete_repositories)
@click.option(
    "--by",
    type=click.Choice([it.value for it in UsageBy]),
    default=UsageBy.REPO.value,
    show_default=True,
    help="What the parts are. A path is that in CI, over all runs.",
)
@root
@as_json
@common
def command(
    *, config_file: Path | None, repos: tuple[str, ...], by: str, root: Path | None, as_json: bool
) -> None:
    """Sum up the bytes of mirrored files, the largest part first.

    They are the bytes that status, ls and prune tell of, without SHA256SUMS and run.json. Besides
    it tells of displaced files and of staged downloads. Works beside a running sync.
    """
    from artifact_sync.app.usage import repository_names  # noqa: PLC0415 - keeps --help quick

    config = configuration_beside_daemon(config_file, root)
    names = repository_names(repos)
    work = _as_json if as_json else _as_text
    event_loop.run_plainly(work(config, names, UsageBy(by)))


async def _as_json(config: Config, names: Sequence[str], by: UsageBy) -> None:
    from artifact_sync.app.usage import opened_usage  # noqa: PLC0415 - keeps --help quick
    from artifact_sync.cli.json_objects import UsageEntry, as_line  # noqa: PLC0415 - likewise
    from artifact_sync.cli.spool import json_pieces, spooled  # noqa: PLC0415 - likewise

    total = 0
    with spooled() as parts:
        async with opened_usage(config, names) as usage:
            async for part in usage.parts(by):
                total += part.bytes
                parts.add(as_line(UsageEntry.of(_named(part))))
            beside = await usage.beside()
        click.echo(
            f'{{"bytes": {total}, "shared_bytes": {beside.shared}, "displaced_bytes":'
            f' {beside.displaced}, "staging_bytes": {beside.staged}, "parts": ',
            nl=False,
        )
        for piece in json_pieces(parts):
            click.echo(piece, nl=False)
    click.echo("}")


async def _as_text(config: Config, names: Sequence[str], by: UsageBy) -> None:
    from artifact_sync.app.usage import opened_usage  # noqa: PLC0415 - keeps --help quick

    count = total = files = 0
    async with opened_usage(config, names) as usage:
        async for part in usage.parts(by):
            if not count:
                click.echo(_line("SIZE", "FILES", "RUNS", by.name))
            click.echo(_of_part(_named(part)))
            count, total, files = count + 1, total + part.bytes, files + part.files
        beside = await usage.beside()
    if count > 1:
        click.echo(_line(size(total), f"{files:,}", "", "in all"))
    for line in _remarks(beside):
        click.echo(line)
    if not count:
        click.echo("nothing to sum up: the mirror has no files of that", err=True)


def _named(part: UsagePart) -> UsagePart:
    return part if part.name else part._replace(name=_LOGS)


def _of_part(part: UsagePart) -> str:
    return _line(size(part.bytes), f"{part.files:,}", f"{part.runs:,}", printable(part.name))


def _line(amount: str, files: str, runs: str, name: str) -> str:
    return f"{amount:>11} {files:>9} {runs:>7}  {name}"


def _remarks(beside: Beside) -> Iterator[str]:
    if beside.shared:
        yield f"{size(beside.shared)} of that share their blocks with other files"
    if beside.displaced:
        yield f"besides: {size(beside.displaced)} displaced (artifact-sync displaced list)"
    if beside.staged:
        yield f"besides: {size(beside.staged)} staged, of downloads that are not done"
