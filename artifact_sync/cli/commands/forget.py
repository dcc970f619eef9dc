"""``artifact-sync forget``: let go of artifacts, and of their files."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from artifact_sync.cli.errors import result_of
from artifact_sync.cli.failed_answer import as_json_also_failed
from artifact_sync.cli.json_objects import ForgetAnswer, ListedArtifact, as_line
from artifact_sync.cli.options import common, no_wait, root, scope
from artifact_sync.cli.session import configuration
from artifact_sync.cli.spool import json_pieces, spooled
from artifact_sync.domain.errors import ExitCode, UsageError
from artifact_sync.domain.events import FilesRemoved, Noticed
from artifact_sync.runtime import event_loop
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.text import printable
from artifact_sync.runtime.units import counted
from artifact_sync.runtime.units import size_in_words as size

if TYPE_CHECKING:
    from pathlib import Path

    from artifact_sync.cli.spool import SpooledList
    from artifact_sync.domain.events import Event
    from artifact_sync.domain.forget_rules import ForgetScope
    from artifact_sync.domain.settings import Config

_log = get_logger(__name__)


@click.command(
    epilog="""\b
Examples:
  artifact-sync forget acme/rocket 42 'app.tar.gz'
  artifact-sync forget acme/rocket 42 --delete
  artifact-sync forget acme/rocket --delete --yes

\b
Exit codes: 0 it is forgotten, 2 nothing fits, or --delete needs --yes, 6 the disk
refuses, 7 the mirror is in use.""",
)
@scope
@click.option("--delete", is_flag=True, help="Remove the files from the mirror, too.")
@click.option("--yes", is_flag=True, help="Do not ask before files are removed.")
@root
@no_wait
@as_json_also_failed(partial(ForgetAnswer, forgotten=[]))
@common
def command(
    *,
    config_file: Path | None,
    named: tuple[str, str | None, str | None],
    delete: bool,
    yes: bool,
    root: Path | None,
    as_json: bool,
) -> int:
    """Let go of a repository, a run, or paths of a run.

    It is no failure any more, and is not fetched again while the service lists it, nor what comes
    of it later. GLOB is as in include. Its files stay, without --delete, and nobody vouches for
    them. A daemon that holds the mirror does it. See also: artifact-sync remember.
    """
    from artifact_sync.app.forgetting import check_begun, scope_of  # noqa: PLC0415 - keeps --help quick
    from artifact_sync.app.selection import Overrides, with_overrides  # noqa: PLC0415 - likewise

    config = with_overrides(configuration(config_file), Overrides(root=root))
    what = scope_of(*named)
    check_begun(config)
    if delete and not yes and not _agreed(config, what):
        click.echo("nothing was forgotten", err=True)
        return ExitCode.INCOMPLETE
    return event_loop.run_plainly(_forget(config, what, delete=delete, as_json=as_json))


def _agreed(config: Config, named: ForgetScope) -> bool:
    """Ask on the terminal. ``UsageError`` where there is none, or nothing fits."""
    from artifact_sync.app.forgetting import files_in  # noqa: PLC0415 - keeps --help quick

    if not sys.stdin.isatty():
        raise UsageError("--delete removes files for good: say --yes, as nobody can be asked here")
    count, amount = event_loop.run_plainly(files_in(config, named))
    what = f"{counted(count, 'file')} ({size(amount)}) of {printable(str(named))}"
    try:
        return click.confirm(f"Remove {what} from the mirror for good?", err=True)
    except click.Abort as leaving:  # Ctrl-C, or Ctrl-D, which is a no
        click.echo(err=True)
        if isinstance(leaving.__context__, EOFError):
            return False
        raise


async def _forget(config: Config, named: ForgetScope, *, delete: bool, as_json: bool) -> int:
    from artifact_sync.app.forgetting import opened_forgetting  # noqa: PLC0415 - keeps --help quick

    retention = config.source.retention
    with spooled() as forgotten, spooled() as removed, spooled() as left:
        told = _Removed(removed, left, retention)
        async with opened_forgetting(config) as forgetting:
            await forgetting.check(named)
            await forgetting.forget(named, told, delete=delete)
            async for row in forgetting.forgotten(named):
                forgotten.add(as_line(ListedArtifact.of(row, retention)))
        with result_of(ExitCode.COMPLETE):  # said only when all is closed and safe
            (_print_json if as_json else _print_words)(named, forgotten, told if delete else None)
    return ExitCode.COMPLETE


class _Removed:
    """An observer that keeps what was removed, and what was left."""

    def __init__(self, files: SpooledList, left: SpooledList, retention: float) -> None:
        self.files = files
        self.left = left
        self.bytes = 0
        self._retention = retention

    def notify(self, event: Event) -> None:
        """Keep an event."""
        if isinstance(event, FilesRemoved):
            for row in event.rows:
                self.files.add(as_line(ListedArtifact.of(row, self._retention)))
            self.bytes += event.freed_bytes
            for path in event.left:
                self.left.add_text(path)
        elif isinstance(event, Noticed):
            _log.warning(event.message)


def _print_json(_: ForgetScope, forgotten: SpooledList, told: _Removed | None) -> None:
    lists = {"forgotten": forgotten}
    if told is not None:
        lists |= {"removed": told.files, "left": told.left}
    click.echo('{"complete": true, "exit_code": 0, "failures": []', nl=False)
    for name, values in lists.items():
        click.echo(f', "{name}": ', nl=False)
        for piece in json_pieces(values):
            click.echo(piece, nl=False)
    click.echo("}")


def _print_words(named: ForgetScope, forgotten: SpooledList, told: _Removed | None) -> None:
    line = f"forgotten: {printable(str(named))}: {counted(len(forgotten), 'artifact')}"
    if told is not None:
        line += f", {counted(len(told.files), 'file')} removed ({size(told.bytes)})"
    click.echo(line)
    for path in told.left.texts() if told is not None else ():
        click.echo(f"left, nobody recorded it: {printable(path)}")
