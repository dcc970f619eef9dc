"""``artifact-sync displaced``: list, put back and remove what was in the way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from artifact_sync.app.displaced import displacement_of, restore_displaced
from artifact_sync.app.selection import Overrides, with_overrides
from artifact_sync.cli.command_group import CommandGroup
from artifact_sync.cli.errors import result_of
from artifact_sync.cli.failed_answer import as_json_also_failed, failure_to_begin
from artifact_sync.cli.json_objects import DisplacedAnswer, DisplacedEntry, FailureEntry, as_line
from artifact_sync.cli.options import common, duration_option, no_wait, root
from artifact_sync.cli.report_text import age, failure_line
from artifact_sync.cli.session import configuration, session
from artifact_sync.domain.errors import DiskError, ExitCode, exit_code
from artifact_sync.domain.model import DisplacedFile
from artifact_sync.runtime import event_loop
from artifact_sync.runtime.text import printable
from artifact_sync.runtime.units import counted
from artifact_sync.runtime.units import size_in_words as size
from artifact_sync.sync.displaced_files import empty_displaced

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from artifact_sync.domain.model import Failure
    from artifact_sync.domain.ports import Displacement
    from artifact_sync.domain.settings import Config


@click.group(
    cls=CommandGroup,
    epilog="\b\nExamples:\n  artifact-sync displaced list --root ./mirror\n"
    "  artifact-sync displaced restore 20261123T214607Z/acme/rocket/40/ci/build/build/app.tar.gz\n"
    "  artifact-sync displaced empty --older-than 30d",
)
def command() -> None:
    """List, put back and remove what was in the way.

    It was moved to .artifact-sync/displaced/, below a folder for the time.
    """


@command.command("list")
@root
@as_json_also_failed(DisplacedAnswer)
@common
def list_command(*, config_file: Path | None, root: Path | None, as_json: bool) -> int:
    """List what was displaced, the oldest first.

    Size, age, and the path below .artifact-sync/displaced/.
    """
    files = list(_displacement(config_file, root).displaced())
    if as_json:
        return _print(_answer(ExitCode.COMPLETE, displaced=files))
    for file in files:
        click.echo(_line(file))
    if not files:
        click.echo("nothing to list: nothing was displaced", err=True)
    return ExitCode.COMPLETE


@command.command()
@click.argument("path")
@root
@no_wait
@as_json_also_failed(DisplacedAnswer)
@common
def restore(*, path: str, config_file: Path | None, root: Path | None, as_json: bool) -> int:
    """Move a file, or all in a folder, back to where it was.

    PATH is as the list has it, or the path that one file had in the mirror. What stands there now
    stays: then the exit code is 1. The next sync or verify takes a file as mirrored again if it is
    the one on record.
    """
    restored, left = event_loop.run_plainly(restore_displaced(_config(config_file, root), path))
    code = ExitCode.INCOMPLETE if left else ExitCode.COMPLETE
    if as_json:
        return _print(_answer(code, restored=restored, left=left))
    lines = [f"restored {printable(file.path)}" for file in restored]
    lines += [f"left, something stands in its place: {printable(file.path)}" for file in left]
    with result_of(code):
        click.echo("\n".join(lines))
    return code


@command.command()
@click.option(
    "--older-than",
    metavar="TIME",
    required=True,
    callback=duration_option,
    help="Only what was displaced so long ago: 30d, 12h.",
)
@root
@as_json_also_failed(DisplacedAnswer)
@common
def empty(*, older_than: float, config_file: Path | None, root: Path | None, as_json: bool) -> int:
    """Remove for good what was displaced long ago."""
    displacement = _displacement(config_file, root)
    before = datetime.now(UTC) - timedelta(seconds=older_than)
    removed, left = list[DisplacedFile](), dict[DisplacedFile, DiskError]()
    for file, error in empty_displaced(displacement, before):
        if error is None:
            removed.append(file)
        else:
            left[file] = error
    failures = [failure_to_begin(error) for error in left.values()]
    code = exit_code(failure.reason for failure in failures)
    if as_json:
        return _print(_answer(code, *failures, removed=removed, left=left))
    session().explain((failure.message, failure.reason) for failure in failures)
    amount = size(sum(file.size for file in removed))
    lines = [f"  {failure_line(failure)}" for failure in failures]
    lines.append(f"removed {counted(len(removed), 'file')} ({amount})")
    with result_of(code):
        click.echo("\n".join(lines))
    return code


def _displacement(config_file: Path | None, root: Path | None) -> Displacement:
    return displacement_of(_config(config_file, root))


def _config(config_file: Path | None, root: Path | None) -> Config:
    return with_overrides(configuration(config_file), Overrides(root=root))


def _line(file: DisplacedFile) -> str:
    since = age(file.at, datetime.now(UTC))
    return f"{size(file.size):>10} {since:>8}  {printable(file.place)}"


def _answer(
    code: ExitCode, *failures: Failure, **lists: Iterable[DisplacedFile]
) -> DisplacedAnswer:
    return DisplacedAnswer(
        complete=code is ExitCode.COMPLETE,
        exit_code=int(code),
        failures=[FailureEntry.of(failure) for failure in failures],
        **{name: [DisplacedEntry.of(file) for file in files] for name, files in lists.items()},
    )


def _print(answer: DisplacedAnswer) -> int:
    """Print the one object of a command; return the exit code."""
    with result_of(answer.exit_code):
        click.echo(as_line(answer))
    return answer.exit_code
