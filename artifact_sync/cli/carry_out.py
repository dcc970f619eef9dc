"""One pass from the command line, to its end: what is printed, and the exit code."""

from __future__ import annotations

import json
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from msgspec import Struct

from artifact_sync.cli.options import Verbosity, session, token
from artifact_sync.cli.report_text import as_object, summary
from artifact_sync.domain.errors import ArtifactSyncError, Interrupted, Reason
from artifact_sync.domain.model import Failure
from artifact_sync.domain.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from artifact_sync.config.api_token import Token
    from artifact_sync.domain.request import PassRequest
    from artifact_sync.domain.settings import Config


class Manner(Struct, frozen=True):
    """How a pass is carried out and shown."""

    as_json: bool = False
    dry_run: bool = False
    bars: bool = True
    ask: bool = False
    """A daemon that holds the mirror may do it instead."""
    jobs: int | None = None
    """As the user has said; a daemon has its own."""


def carry_out(prepare: Callable[[], tuple[Config, PassRequest]], manner: Manner) -> int:
    """Prepare and carry out a pass, print what has become of it, and give the exit code.

    An error that kept the pass from beginning is raised, after its JSON object was printed.
    """
    try:
        config, wish = prepare()
        known = token(config.source)
        report = _carried_out(config, wish, manner, known)
    except ArtifactSyncError as error:
        if manner.as_json:
            _print(Report(failures=[Failure("", error.reason, str(error))]), manner)
        raise
    except KeyboardInterrupt:
        if manner.as_json:
            stop = Interrupted("stopped before it was done")
            _print(Report(failures=[Failure("", stop.reason, str(stop))]), manner)
        raise
    except Exception as error:
        if manner.as_json:  # a bug: whoever reads the object must not find nothing
            message = f"a bug in artifact-sync: {type(error).__name__}"
            _print(Report(failures=[Failure("", Reason.INTERNAL, message)]), manner)
        raise
    _print(report, manner)
    return int(report.exit_code)


def _carried_out(config: Config, wish: PassRequest, manner: Manner, known: Token | None) -> Report:
    from artifact_sync.app.unchanged_check import glanced  # noqa: PLC0415 - only where it is asked for

    with _heard():
        report, left = glanced(config, wish, known)
    if left is not None:
        # slow to import, and of no use where nothing is left to do
        from artifact_sync.cli.run_pass import passed  # noqa: PLC0415
        from artifact_sync.runtime.event_loop import run_quickly  # noqa: PLC0415

        report.add(run_quickly(passed(config, left, manner, known)))
    return report


@contextmanager
def _heard() -> Iterator[None]:
    """Let SIGINT and SIGTERM end what runs without an event loop, in order and with a word.

    An exception that a handler raises can get lost, as in a destructor: then it comes in the end.
    """
    heard: list[int] = []

    def stop(number: int, _: object) -> None:
        heard.append(number)
        raise KeyboardInterrupt

    before = {it: signal.signal(it, stop) for it in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if heard:
        raise KeyboardInterrupt


def _print(report: Report, manner: Manner) -> None:
    if manner.as_json:
        click.echo(json.dumps(as_object(report), ensure_ascii=True))
        return
    complete_and_quiet = report.complete and session().verbosity is Verbosity.QUIET
    if not complete_and_quiet:
        text = session().mask("\n".join(summary(report, dry_run=manner.dry_run)))
        click.echo(text)
