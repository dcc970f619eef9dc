"""``artifact-sync move``: take a mirror to another folder, store or database."""

from __future__ import annotations

import os
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec.structs import replace

from artifact_sync.app.moving import opened_move
from artifact_sync.app.selection import Overrides, with_overrides
from artifact_sync.cli.errors import result_of
from artifact_sync.cli.failed_answer import as_json_also_failed
from artifact_sync.cli.hash_bar import hash_bar
from artifact_sync.cli.interrupt import StopMessages, until_stopped
from artifact_sync.cli.json_objects import FailureEntry, MoveAnswer, as_line
from artifact_sync.cli.options import common, root
from artifact_sync.cli.report_text import failure_line
from artifact_sync.cli.session import begin_work, configuration, configuration_of_target, session
from artifact_sync.domain.errors import ExitCode, Reason
from artifact_sync.runtime.event_loop import run_plainly
from artifact_sync.runtime.text import printable
from artifact_sync.runtime.units import counted, size_in_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from artifact_sync.app.moving import Moving
    from artifact_sync.domain.report import Report
    from artifact_sync.domain.settings import Config
    from artifact_sync.sync.verify import Finding

_STOPPING = "stopping; what was copied so far stays copied (once more: stop at once)"


@click.command(
    epilog="""\b
Examples:
  artifact-sync move --to new.toml
  artifact-sync move --root ./mirror --to new.toml

\b
Exit codes: 0 the mirror is there, whole; 5 or 1 files are damaged or missing,
and the move is not ended; 2 it cannot go there; 6 a disk refuses, 7 the mirror
is in use. Run it again to go on.""",
)
@click.option(
    "--to",
    "target",
    required=True,
    metavar="CONFIG",
    type=click.Path(path_type=Path),
    help="The configuration that says where the mirror goes.",
)
@root
@as_json_also_failed(MoveAnswer)
@common
def command(*, config_file: Path | None, target: Path, root: Path | None, as_json: bool) -> int:
    """Take a mirror to where another configuration says: folder, object store, ledger.

    Files are hashed while they are copied, and nothing is fetched again. Stop it at any time: the
    next call goes on. The mirror itself stays as it is, and is not worked on meanwhile.
    """
    config = with_overrides(configuration(config_file), Overrides(root=root))
    to = configuration_of_target(target)
    return run_plainly(_move(config, to, as_json=as_json))


async def _move(config: Config, to: Config, *, as_json: bool) -> int:
    begin_work()
    begun: list[Moving] = []

    async def whole() -> None:
        async with opened_move(config, to) as moving:
            begun.append(moving)
            with hash_bar(moving.progress, shown=not as_json) as clear:
                async with aclosing(moving.look()) as findings:
                    async for finding in findings:
                        _tell(finding, clear, shown=not as_json)

    report = await until_stopped(whole(), begun, StopMessages(_STOPPING))
    moving = begun[0] if begun else None
    code = moving.exit_code if moving is not None else report.exit_code
    with result_of(code):
        click.echo(_json(moving, report, code) if as_json else _words(moving, report, code))
    return int(code)


def _tell(finding: Finding, clear: Callable[[], None], *, shown: bool) -> None:
    if shown:
        clear()
        detail = f" ({finding.detail})" if finding.detail else ""
        with suppress(OSError):
            click.echo(f"{finding.condition:<8} {printable(finding.path)}{detail}")


def _words(moving: Moving | None, report: Report, code: ExitCode) -> str:
    failures = report.failures
    session().explain((failure.message, failure.reason) for failure in failures)
    lines = [f"  {failure_line(failure)}" for failure in failures]
    if moving is None:
        return session().mask("\n".join(lines))
    copied = f"{counted(moving.progress.files, 'file')}, {size_in_words(moving.size)} copied now"
    if code is ExitCode.COMPLETE:
        lines.append(f"moved: {copied}, {counted(moving.rows, 'row')} of the ledger")
        lines.append(_next_step(moving))
        return session().mask("\n".join(lines))
    lines.append(f"not moved yet: {copied}")
    if moving.damage:
        told = "damaged files are not moved: artifact-sync verify --repair first, then move again"
        session().explain([(told, Reason.MISSING)])
        lines.append(told)
    return session().mask("\n".join(lines))


def _next_step(moving: Moving) -> str:
    new, old = printable(str(moving.to.path)), printable(str(moving.config.mirror.root))
    return (
        f"next: have the service use {new}, see that artifact-sync verify --config {new} is"
        f" content, then remove the old mirror {old} and its ledger"
    )


def _json(moving: Moving | None, report: Report, code: ExitCode) -> str:
    answer = MoveAnswer(
        complete=code is ExitCode.COMPLETE,
        exit_code=int(code),
        failures=[FailureEntry.of(failure) for failure in report.failures],
    )
    if moving is None:
        return as_line(answer)
    return as_line(
        replace(
            answer,
            files=moving.progress.files,
            bytes=moving.size,
            rows=moving.rows,
            damaged=[str(it.path) for it in moving.damage],
            config=os.fspath(moving.to.path or ""),
        )
    )
