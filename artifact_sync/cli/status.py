"""``artifact-sync status``: what the ledger holds, a repository at a time. Reads only."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import click

from artifact_sync.cli.options import as_json, common, configuration, root

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from artifact_sync.model import Totals
    from artifact_sync.settings import Config


@click.command(
    short_help="What the ledger holds, a line a repository.",
    epilog="""\b
Examples:
  artifact-sync status --root ./mirror
  artifact-sync status --json | jq '.repositories[].states'""",
)
@root
@as_json
@common
def command(*, config_file: Path | None, root: Path | None, as_json: bool) -> None:
    """What the ledger holds of each repository: runs, files, sizes, states, the last pass.

    Looks at the ledger only: verify looks at the files. Works beside a running sync.
    """
    from artifact_sync.cli.wishes import Flags, with_flags  # noqa: PLC0415 - keeps --help quick

    config = with_flags(configuration(config_file), Flags(root=root))
    totals = asyncio.run(_totals(config))
    if as_json:
        click.echo(json.dumps({"repositories": [_object(it) for it in totals]}))
        return
    for line in _lines(totals, config):
        click.echo(line)


async def _totals(config: Config) -> list[Totals]:
    from artifact_sync.wiring.store import opened_to_read  # noqa: PLC0415 - keeps --help quick

    async with opened_to_read(config) as store:
        return [await store.ledger.totals(repo) for repo in await store.ledger.repositories()]


def _object(totals: Totals) -> dict[str, Any]:
    return {
        "repo": str(totals.repo),
        "runs": totals.runs,
        "settled": totals.settled,
        "bytes": totals.bytes,
        "states": {str(state): count for state, count in totals.states.items()},
        "newest_run": totals.newest_run,
        "last_mirrored": _moment(totals.last_mirrored),
        "last_pass": _moment(totals.last_pass),
        "last_complete": _moment(totals.last_complete),
        "last_error": totals.last_error,
    }


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None


def _lines(totals: Sequence[Totals], config: Config) -> list[str]:
    """A table for people, and the last error of whoever has one."""
    from datetime import UTC, datetime  # noqa: PLC0415 - beside its only use

    from artifact_sync.cli.result import age, printable, size, table  # noqa: PLC0415 - likewise
    from artifact_sync.model import State  # noqa: PLC0415 - likewise

    if not totals:
        return [f"nothing is mirrored in {config.mirror.root} yet: artifact-sync sync ORG/REPO"]
    now = datetime.now(UTC)
    rows = [("REPOSITORY", "RUNS", "FILES", "SIZE", "OUTSTANDING", "LAST PASS", "LAST COMPLETE")]
    for it in totals:
        outstanding = sum(n for state, n in it.states.items() if state is not State.MIRRORED)
        mirrored = it.states.get(State.MIRRORED, 0)
        rows.append(
            (
                printable(str(it.repo)),
                f"{it.runs:,}",
                f"{mirrored:,}",
                size(it.bytes),
                f"{outstanding:,}",
                age(it.last_pass, now),
                age(it.last_complete, now),
            )
        )
    errors = [f"{it.repo}: {it.last_error}" for it in totals if it.last_error]
    return table(rows) + [f"last error of {printable(error)}" for error in errors]
