"""``artifact-sync remember``: take back what was forgotten."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from artifact_sync.cli.errors import result_of
from artifact_sync.cli.failed_answer import as_json_also_failed
from artifact_sync.cli.json_objects import ListedArtifact, RememberAnswer, as_line
from artifact_sync.cli.options import common, no_wait, root, scope
from artifact_sync.cli.session import configuration
from artifact_sync.cli.spool import json_pieces, spooled
from artifact_sync.domain.errors import ExitCode
from artifact_sync.domain.events import Noticed, Remembered
from artifact_sync.runtime import event_loop
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.text import printable
from artifact_sync.runtime.units import counted

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
  artifact-sync remember acme/rocket 42 'app.tar.gz'
  artifact-sync remember acme/rocket

\b
Exit codes: 0 it is remembered, 2 nothing of it was forgotten, 6 the disk refuses,
7 the mirror is in use.""",
)
@scope
@root
@no_wait
@as_json_also_failed(partial(RememberAnswer, remembered=[]))
@common
def command(
    *,
    config_file: Path | None,
    named: tuple[str, str | None, str | None],
    root: Path | None,
    as_json: bool,
) -> int:
    """Take back what was forgotten of a repository or run.

    With GLOB, only the paths of the run that fit. The next sync fetches what the rules want of it,
    and the service still has. What was removed and is gone is lost then, until it is put back.
    """
    from artifact_sync.app.forgetting import check_begun, scope_of  # noqa: PLC0415 - keeps --help quick
    from artifact_sync.app.selection import Overrides, with_overrides  # noqa: PLC0415 - likewise

    config = with_overrides(configuration(config_file), Overrides(root=root))
    what = scope_of(*named)
    check_begun(config)
    return event_loop.run_plainly(_remember(config, what, as_json=as_json))


async def _remember(config: Config, named: ForgetScope, *, as_json: bool) -> int:
    from artifact_sync.app.forgetting import opened_forgetting  # noqa: PLC0415 - keeps --help quick

    with spooled() as remembered:
        async with opened_forgetting(config) as forgetting:
            await forgetting.check_forgotten(named)
            await forgetting.remember(named, _Back(remembered, config.source.retention))
        with result_of(ExitCode.COMPLETE):
            (_print_json if as_json else _print_words)(named, remembered)
    return ExitCode.COMPLETE


class _Back:
    """An observer that keeps what was taken back."""

    def __init__(self, remembered: SpooledList, retention: float) -> None:
        self._remembered = remembered
        self._retention = retention

    def notify(self, event: Event) -> None:
        """Keep an event."""
        if isinstance(event, Remembered):
            for row in event.rows:
                self._remembered.add(as_line(ListedArtifact.of(row, self._retention)))
        elif isinstance(event, Noticed):
            _log.warning(event.message)


def _print_json(_: ForgetScope, remembered: SpooledList) -> None:
    click.echo('{"complete": true, "exit_code": 0, "failures": [], "remembered": ', nl=False)
    for piece in json_pieces(remembered):
        click.echo(piece, nl=False)
    click.echo("}")


def _print_words(named: ForgetScope, remembered: SpooledList) -> None:
    what = counted(len(remembered), "artifact")
    click.echo(f"remembered: {printable(str(named))}: {what}; the next sync looks at it")
