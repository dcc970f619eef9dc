"""``artifact-sync hooks``: what hooks are still to be told."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import click

from artifact_sync.cli.command_group import CommandGroup
from artifact_sync.cli.errors import result_of
from artifact_sync.cli.failed_answer import as_json_also_failed
from artifact_sync.cli.json_objects import DeliveryEntry, HooksAnswer, as_line
from artifact_sync.cli.options import common, root
from artifact_sync.cli.report_text import age
from artifact_sync.cli.session import configuration, configuration_beside_daemon, session
from artifact_sync.domain.errors import ExitCode
from artifact_sync.runtime import event_loop
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.text import printable
from artifact_sync.runtime.units import counted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from artifact_sync.domain.hooks import Delivery
    from artifact_sync.domain.settings import Config

_log = get_logger(__name__)

_FAILED = partial(HooksAnswer, waiting=[], failed=[])


@click.group(
    cls=CommandGroup,
    invoke_without_command=True,
    epilog="\b\nExamples:\n  artifact-sync hooks\n  artifact-sync hooks --json\n"
    "  artifact-sync hooks retry\n  artifact-sync hooks drop 648f345c4267f46dc4acc38489ff911a",
)
@root
@as_json_also_failed(_FAILED)
@common
@click.pass_context
def command(
    ctx: click.Context, *, config_file: Path | None, root: Path | None, as_json: bool
) -> int | None:
    """List what hooks are still to be told, and what was given up.

    The delivery, event, hook, tries, when the next one is, and why the last one has failed. Works
    beside a daemon.
    """
    from artifact_sync.app.outbox import list_deliveries  # noqa: PLC0415 - keeps --help quick

    if ctx.invoked_subcommand is not None:
        return None
    config = configuration_beside_daemon(config_file, root)
    found = event_loop.run_plainly(list_deliveries(config))
    if as_json:
        return _print(_answer(found, ExitCode.COMPLETE))
    for it in found:
        click.echo(_line(it))
    if not found:
        click.echo("nothing to list: no hook is to be told anything", err=True)
    return ExitCode.COMPLETE


@command.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@root
@as_json_also_failed(_FAILED)
@common
def retry(
    *, ids: tuple[str, ...], config_file: Path | None, root: Path | None, as_json: bool
) -> int:
    """Tell it now: what waits, and what was given up.

    Waits for each hook as long as its timeout allows; the exit code is 1 if something could not be
    told. Where a daemon holds the mirror, the daemon tells it.
    """
    from artifact_sync.app.outbox import retry_deliveries  # noqa: PLC0415 - keeps --help quick

    asked, left = event_loop.run_plainly(retry_deliveries(_config(config_file, root), ids))
    if left is None:
        _log.info("the process that holds the mirror tells it")
    code = ExitCode.INCOMPLETE if left else ExitCode.COMPLETE
    still = {it.id for it in (asked if left is None else left)}
    told = [it for it in asked if it.id not in still]
    if as_json:
        return _print(_answer(left if left is not None else asked, code, delivered=told))
    many = counted(len(asked), "delivery", "deliveries")
    lines = [f"told {len(told):,} of {many}", *map(_line, left or ())]
    with result_of(code):
        click.echo("\n".join(lines))
    return code


@command.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@root
@as_json_also_failed(_FAILED)
@common
def drop(
    *, ids: tuple[str, ...], config_file: Path | None, root: Path | None, as_json: bool
) -> int:
    """Drop deliveries: they are not made, and not listed any more."""
    from artifact_sync.app.outbox import discard_deliveries  # noqa: PLC0415 - keeps --help quick

    gone, left = event_loop.run_plainly(discard_deliveries(_config(config_file, root), ids))
    if as_json:
        return _print(_answer(left, ExitCode.COMPLETE, dropped=gone))
    click.echo(f"dropped {counted(len(gone), 'delivery', 'deliveries')}")
    return ExitCode.COMPLETE


def _config(config_file: Path | None, root: Path | None) -> Config:
    from artifact_sync.app.selection import Overrides, with_overrides  # noqa: PLC0415 - keeps --help quick

    return with_overrides(configuration(config_file), Overrides(root=root))


def _answer(found: Iterable[Delivery], code: ExitCode, **did: Iterable[Delivery]) -> HooksAnswer:
    entries = [DeliveryEntry.of(it) for it in found]
    return HooksAnswer(
        complete=code is ExitCode.COMPLETE,
        exit_code=int(code),
        failures=[],
        waiting=[it for it in entries if it.next_try is not None],
        failed=[it for it in entries if it.next_try is None],
        **{name: [DeliveryEntry.of(it) for it in some] for name, some in did.items()},
    )


def _print(answer: HooksAnswer) -> int:
    """Print the one object of a command; return the exit code."""
    with result_of(answer.exit_code):
        click.echo(session().mask(as_line(answer)))
    return answer.exit_code


def _line(it: Delivery) -> str:
    run = f"{it.facts.get('repo')} run {it.facts.get('run')}"
    since, tries = age(it.happened_at, datetime.now(UTC)), counted(it.tries, "try", "tries")
    following = "given up" if it.next_try is None else f"next {it.next_try:%Y-%m-%d %H:%M:%S} UTC"
    facts = (it.id, f"{it.event:<14}", it.hook, run, since, f"{tries}, {following}")
    error = f"  ({it.last_error})" if it.last_error else ""
    return session().mask(printable("  ".join(facts) + error))
