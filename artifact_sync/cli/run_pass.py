"""Run one pass from the command line: progress, result, exit code."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import click
from msgspec import UNSET, Struct, field

from artifact_sync.app.assemble_pass import open_pass
from artifact_sync.app.locations import is_begun
from artifact_sync.cli.errors import result_of
from artifact_sync.cli.failed_answer import failure_to_begin
from artifact_sync.cli.interrupt import StopMessages, until_stopped
from artifact_sync.cli.json_objects import PlannedEntry, SyncAnswer, as_line, planned_entries
from artifact_sync.cli.progress_lines import ProgressLines
from artifact_sync.cli.report_text import plan_lines, summary
from artifact_sync.cli.session import Verbosity, begin_work, session, token
from artifact_sync.domain.errors import MirrorBusy
from artifact_sync.domain.events import RunPlanned
from artifact_sync.domain.report import Report
from artifact_sync.runtime.event_loop import run_plainly, run_quickly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from artifact_sync.cli.interrupt import Reporting
    from artifact_sync.config.api_token import Token
    from artifact_sync.domain.events import Event, Observer
    from artifact_sync.domain.request import PassRequest
    from artifact_sync.domain.settings import Config


class PassDisplay(Struct, frozen=True):
    """How a pass is shown, and whether a daemon may run it."""

    as_json: bool = False
    dry_run: bool = False
    bars: bool = True
    delegate: bool = False
    """Let a daemon that holds the mirror run the pass."""
    jobs: int | None = None
    """``--jobs``, which does not count for a daemon."""
    plan: list[PlannedEntry] = field(default_factory=list)
    """For ``--json`` of a dry run: filled with what would be downloaded."""


def pass_command(prepare: Callable[[], tuple[Config, PassRequest]], display: PassDisplay) -> int:
    """Prepare and run a pass, print its result, and return the exit code.

    An error that kept the pass from beginning is raised, after its JSON object was printed.
    """
    try:
        config, request = prepare()
        known = token(config.source)
        # a mirror that was begun has little or nothing new, for which uvloop takes long to import
        run_it = run_plainly if is_begun(config) else run_quickly
        report = run_it(run_pass(config, request, display, known))
    except (Exception, KeyboardInterrupt) as error:
        if display.as_json:  # a program that reads the object must not find nothing
            with suppress(OSError):
                _print(Report(failures=[failure_to_begin(error)]), display)
        raise
    with result_of(report.exit_code):
        _print(report, display)
    return int(report.exit_code)


async def run_pass(
    config: Config, request: PassRequest, display: PassDisplay, known: Token | None
) -> Report:
    """Run a pass and show its progress. Raises what kept it from beginning."""
    begin_work()
    begun: list[Reporting] = []

    async def whole() -> None:
        async with open_pass(config, request, observer, known) as one_pass:
            begun.append(one_pass)
            await one_pass.run()

    with pass_observer(config, display) as observer:
        try:
            return await until_stopped(whole(), begun, StopMessages())
        except MirrorBusy as busy:
            if not display.delegate:
                raise
            from artifact_sync.cli.delegate import Delegation  # noqa: PLC0415 - it is rarely needed

            return await Delegation(config, request, display.jobs, busy).run(observer)


class _PlanPrinter:
    """Prints the plan of each run of a dry run, or keeps it for ``--json``."""

    def __init__(self, then: Observer, display: PassDisplay) -> None:
        self._then = then
        self._display = display

    def notify(self, event: Event) -> None:
        """Print a plan, if stdout has a reader; hand the event on."""
        if isinstance(event, RunPlanned) and self._display.as_json:
            self._display.plan.extend(planned_entries(event.plan))
        elif isinstance(event, RunPlanned):
            with suppress(OSError):
                click.echo("\n".join(plan_lines(event.plan)))
        self._then.notify(event)


@contextmanager
def pass_observer(config: Config, display: PassDisplay) -> Iterator[Observer]:
    """The observer that shows the pass: plans, bars or lines."""
    lines = ProgressLines()
    if display.dry_run:
        yield _PlanPrinter(lines, display)
        return
    known = session()
    bars = display.bars and known.verbosity is not Verbosity.QUIET
    if not bars or known.terminal is None:
        yield lines
        return
    from artifact_sync.cli.progress_bars import ProgressBars  # noqa: PLC0415 - of no use elsewhere

    shown = ProgressBars(known.terminal, lines, config.download.jobs)
    try:
        yield shown
    finally:
        shown.close()


def _print(report: Report, display: PassDisplay) -> None:
    if display.as_json:
        answer = SyncAnswer.of(report, display.plan if display.dry_run else UNSET)
        click.echo(as_line(answer))
    elif not report.complete or session().verbosity is not Verbosity.QUIET:
        session().explain((failure.message, failure.reason) for failure in report.failures)
        click.echo(session().mask("\n".join(summary(report, dry_run=display.dry_run))))
