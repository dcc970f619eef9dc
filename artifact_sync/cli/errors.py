"""What was raised → a message on stderr and an exit code. The only place that decides on both."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

import click

from artifact_sync.cli.mask import visible
from artifact_sync.cli.options import Session, Verbosity
from artifact_sync.errors import ArtifactSyncError, ConfigError, ExitCode, Interrupted, exit_code

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_NAME = "artifact-sync"


def run(command: click.Command, arguments: Sequence[str]) -> int:
    """Run the program to its exit code, which every way to end has."""
    session = Session()
    try:
        code = _invoke(command, arguments, session)
    except SystemExit as ending:  # click, for a closed pipe and for shell completion
        code = ending.code if isinstance(ending.code, int) else int(bool(ending.code))
    except BaseException as error:  # noqa: BLE001 - the last place to give an answer
        code = _answer(error, session)
    return _flushed(code)


def _invoke(command: click.Command, arguments: Sequence[str], session: Session) -> int:
    outcome = command.main(list(arguments), prog_name=_NAME, standalone_mode=False, obj=session)
    return int(outcome) if isinstance(outcome, int) else ExitCode.COMPLETE


def _answer(error: BaseException, session: Session) -> int:
    """Say what went wrong; its exit code."""
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if _is_interrupt(error):
        _say("interrupted; what is staged is kept, and the next run goes on from there")
        return ExitCode.INTERRUPTED
    if isinstance(error, BrokenPipeError):
        return ExitCode.INCOMPLETE
    known = list(_leaves(error))
    if all(isinstance(leaf, ArtifactSyncError) for leaf in known):
        return _known(known, session)
    return _bug(error, session)
