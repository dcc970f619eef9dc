"""Turns exceptions into a message on stderr and an exit code."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from artifact_sync.cli.logs.line_writer import LineWriter
from artifact_sync.cli.pointers import pointers
from artifact_sync.cli.session import Session, Verbosity
from artifact_sync.domain.errors import (
    ArtifactSyncError,
    ConfigError,
    ExitCode,
    Reason,
    exit_code,
    system_limit,
)
from artifact_sync.runtime.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_NAME = "artifact-sync"
_OUTPUT = (errno.EPIPE, errno.ENOSPC)  # elsewhere these are translated at the edge


def run_program(command: click.Command, arguments: Sequence[str]) -> int:
    """Run the program, and return the exit code of every way to end."""
    session = Session()
    try:
        code = _invoke(command, arguments, session)
    except SystemExit as ending:  # click, for a closed pipe and for shell completion
        code = ending.code if isinstance(ending.code, int) else int(bool(ending.code))
    except BaseException as error:  # noqa: BLE001 - the last place to give an answer
        code = _answer(error, session)
    return _flushed(code, session)


def _invoke(command: click.Command, arguments: Sequence[str], session: Session) -> int:
    outcome = command.main(list(arguments), prog_name=_NAME, standalone_mode=False, obj=session)
    return int(outcome) if isinstance(outcome, int) else ExitCode.COMPLETE


def _answer(error: BaseException, session: Session) -> int:
    """Print the message of an error; return its exit code."""
    if isinstance(error, click.ClickException):
        with contextlib.suppress(OSError):
            error.show()
        return error.exit_code
    leaves = [system_limit(leaf) or leaf for leaf in _leaves(error)]
    if any(isinstance(leaf, (KeyboardInterrupt, click.Abort)) for leaf in leaves):
        _say("artifact-sync: interrupted", session)
        return ExitCode.INTERRUPTED
    if isinstance(error, OSError) and is_lost_output(error):
        return _lost_output(error, session)
    ours = [leaf for leaf in leaves if isinstance(leaf, ArtifactSyncError)]
    return _known(ours, session) if len(ours) == len(leaves) else _bug(error, session)


def is_lost_output(error: BaseException) -> bool:
    """Whether stdout could not take what was to be printed."""
    return isinstance(error, OSError) and error.errno in _OUTPUT


@contextlib.contextmanager
def result_of(code: int) -> Iterator[None]:
    """Print a result. The exit code counts, also when stdout cannot take the words."""
    try:
        yield
    except OSError as error:
        if code == ExitCode.COMPLETE or error.errno not in _OUTPUT:
            raise
        raise SystemExit(code) from error


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The single errors of a group. An end of input is not click's ``Abort``."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    elif isinstance(error, click.Abort) and isinstance(error.__cause__, EOFError):
        yield error.__cause__
    else:
        yield error


def _known(errors: Sequence[ArtifactSyncError], session: Session) -> int:
    """Print errors of ours, with ``-v`` their tracebacks."""
    for error in errors:
        begin = "" if isinstance(error, ConfigError) else "artifact-sync: "
        for line in _lines(error):
            _say(begin + line, session)
        if session.verbosity is Verbosity.VERBOSE and not isinstance(error, ConfigError):
            _trace(error, session)
        session.explain((line, error.reason) for line in _lines(error))
    return exit_code(error.reason for error in errors)


def _lines(error: ArtifactSyncError) -> Sequence[str]:
    """The message of an error: of a configuration, a line for each problem."""
    return str(error).splitlines() or [type(error).__name__]


def _bug(error: BaseException, session: Session) -> int:
    """Print an unforeseen error: type and place, with ``-v`` the traceback."""
    hint = "run it again with -v and report it"
    if session.verbosity is Verbosity.VERBOSE:
        _trace(error, session)
        hint = "please report it with the lines above"
    line = f"artifact-sync: this is a bug: {type(error).__name__}{_place(error)}; {hint}"
    _say(line, session)
    session.explain([(line, Reason.INTERNAL)])
    return ExitCode.INCOMPLETE


def _place(error: BaseException) -> str:
    """The innermost line of this package in the traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{os.sep}artifact_sync{os.sep}" in frame.filename]
    return f" at {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""


def _trace(error: BaseException, session: Session) -> None:
    for part in traceback.format_exception(error):
        for line in part.splitlines():
            _say(line, session)


def _say(line: str, session: Session) -> None:
    """Print one masked line on stderr, which may be closed."""
    if sys.stderr is not None:
        _writer(sys.stderr).write(printable(session.mask(line)) + "\n")


@functools.cache
def _writer(stream: TextIO) -> LineWriter:
    return LineWriter(stream)


def _flushed(code: int, session: Session) -> int:
    """Flush the output, and say where its messages are explained.

    Only now a closed pipe or a full disk shows. The log changes no code.
    """
    error = _flush(sys.stdout)
    code = code or (_lost_output(error, session) if error is not None else 0)
    for line in pointers(session.said):
        _say(line, session)
    if sys.stderr is not None:
        _writer(sys.stderr).flush()
    _flush(sys.stderr)
    return code


def _flush(stream: TextIO | None) -> OSError | None:
    """Flush a stream; if that fails, keep the interpreter from failing over it at its exit."""
    if stream is None:
        return None
    try:
        stream.flush()
    except OSError as error:
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
        return error
    return None


def _lost_output(error: OSError, session: Session) -> int:
    """Report a full disk; a reader that left (``| head``) needs no message."""
    if error.errno == errno.EPIPE:
        return ExitCode.INCOMPLETE
    line = f"artifact-sync: cannot write the output: {error.strerror}"
    _say(line, session)
    session.explain([(line, Reason.DISK)])
    return ExitCode.NO_SPACE if error.errno == errno.ENOSPC else ExitCode.INCOMPLETE
