"""The JSON object of a command that has failed."""

from __future__ import annotations

import functools
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import click

from artifact_sync.cli.errors import is_lost_output
from artifact_sync.cli.json_objects import FailureEntry, as_line
from artifact_sync.cli.options import as_json
from artifact_sync.cli.session import session
from artifact_sync.domain.errors import (
    ArtifactSyncError,
    Interrupted,
    Reason,
    exit_code,
    system_limit,
)
from artifact_sync.domain.model import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from msgspec import Struct

R = TypeVar("R")


def as_json_also_failed(
    failed: Callable[..., Struct],
) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """``--json`` → ``as_json: bool``, with an object also where the command raises.

    ``failed`` makes it of ``complete``, ``exit_code`` and ``failures``.
    """

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        @functools.wraps(function)
        def with_object(*, as_json: bool, **rest: Any) -> R:
            with _object_of_error(failed) if as_json else nullcontext():
                return function(as_json=as_json, **rest)

        return as_json(with_object)

    return decorate


@contextmanager
def _object_of_error(failed: Callable[..., Struct]) -> Iterator[None]:
    """Print the object of an error, and raise it on: who reads stdout must not find nothing."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        if not is_lost_output(error):
            failure = failure_to_begin(error)
            code = int(exit_code([failure.reason]))
            failures = [FailureEntry.of(failure)]
            answer = failed(complete=False, exit_code=code, failures=failures)
            with suppress(OSError):
                click.echo(session().mask(as_line(answer)))
        raise


def failure_to_begin(error: BaseException) -> Failure:
    """What has kept a command from its work, as an entry of its report."""
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        error = Interrupted("stopped before it was done")
    error = system_limit(error) or error
    if isinstance(error, ArtifactSyncError):
        return Failure("", error.reason, str(error))
    return Failure("", Reason.INTERNAL, f"a bug in artifact-sync: {type(error).__name__}")
