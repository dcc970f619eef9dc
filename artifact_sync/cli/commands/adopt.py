"""``artifact-sync adopt``: make a lost ledger again from the files of a mirror."""

from __future__ import annotations

from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Protocol

import click
from msgspec import Struct

from artifact_sync.app.adoption import opened_adoption
from artifact_sync.app.selection import Overrides, checked_names, with_overrides
from artifact_sync.cli.errors import result_of
from artifact_sync.cli.failed_answer import failure_to_begin
from artifact_sync.cli.hash_bar import hash_bar
from artifact_sync.cli.interrupt import StopMessages, until_stopped
from artifact_sync.cli.json_objects import FailureEntry, ListedArtifact, UnfitEntry
from artifact_sync.cli.json_stream import StreamedObject
from artifact_sync.cli.options import as_json, common, no_wait, repositories, root
from artifact_sync.cli.report_text import failure_line
from artifact_sync.cli.session import begin_work, configuration, session
from artifact_sync.domain.errors import ExitCode, Reason, exit_code
from artifact_sync.runtime.event_loop import run_plainly
from artifact_sync.runtime.text import printable
from artifact_sync.sync.adopt_runs import Fitness

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from artifact_sync.app.adoption import Adoption
    from artifact_sync.domain.model import Failure
    from artifact_sync.domain.settings import Config
    from artifact_sync.sync.adopt_runs import Fit


_STOPPING = "stopping; whole runs are adopted so far (once more: stop at once)"


@click.command(
    epilog="""\b
Examples:
  artifact-sync adopt --root ./mirror --dry-run
  artifact-sync adopt --root ./mirror
  artifact-sync adopt acme/rocket

\b
Exit codes: 0 all fits, 1 something does not, 2 the ledger is of another
mirror, 6 the disk refuses, 7 the mirror is in use. Files that nobody recorded
are told, but are no fault.""",
)
@repositories
@click.option("--dry-run", is_flag=True, help="Show what fits and what does not; change nothing.")
@root
@no_wait
@as_json
@common
def command(
    *,
    config_file: Path | None,
    repos: tuple[str, ...],
    dry_run: bool,
    root: Path | None,
    as_json: bool,
) -> int:
    """Make a lost ledger again from the files of a mirror.

    It reads every run.json, hashes every file that is named, and records what fits. A folder that
    was copied from elsewhere becomes a mirror. What the ledger has already stays.
    """
    with StreamedObject((Fitness.ADOPTED, Fitness.UNFIT, Fitness.EXTRA)) as lists:
        display = _Object(lists) if as_json else _Lines()
        try:
            config = with_overrides(configuration(config_file), Overrides(root=root))
            work = _adopt(config, checked_names(repos), display, dry_run=dry_run)
            return run_plainly(work)
        except (Exception, KeyboardInterrupt) as error:
            failure = failure_to_begin(error)
            with suppress(OSError):  # a program that reads the object must not find nothing
                if as_json:
                    display.end(_Outcome(exit_code([failure.reason]), failures=(failure,)))
            raise


class _Outcome(Struct, frozen=True):
    """What came of it."""

    code: ExitCode
    counts: Mapping[Fitness, int] | None = None
    """None: it could not begin."""
    failures: Sequence[Failure] = ()
    """What has ended it early."""

    def count(self, fitness: Fitness) -> int:
        return (self.counts or {}).get(fitness, 0)


async def _adopt(config: Config, names: list[str], display: _Display, *, dry_run: bool) -> int:
    begin_work()
    begun: list[Adoption] = []

    async def whole() -> None:
        async with opened_adoption(config, names, dry_run=dry_run) as adoption:
            begun.append(adoption)
            with hash_bar(adoption.progress, shown=display.bar) as clear:
                async with aclosing(adoption.look()) as fits:
                    async for fit in fits:
                        display.show(fit, config, clear)

    def leave() -> None:
        for adoption in begun:
            adoption.stop()

    report = await until_stopped(whole(), begun, StopMessages(_STOPPING), leave)
    outcome = _Outcome(report.exit_code, None, report.failures)
    if begun:
        outcome = _Outcome(begun[0].exit_code, begun[0].counts, report.failures)
    with result_of(outcome.code):
        display.end(outcome)
    return int(outcome.code)


class _Display(Protocol):
    bar: bool
    """Whether there may be a line of progress between."""

    def show(self, fit: Fit, config: Config, clear: Callable[[], None]) -> None:
        """Tell of one, also without a reader; ``clear`` makes room."""

    def end(self, outcome: _Outcome) -> None:
        """Tell what came of it. ``OSError``."""


class _Lines:
    """A line for each that does not fit or is extra, and the counts."""

    bar = True

    def show(self, fit: Fit, _: Config, clear: Callable[[], None]) -> None:
        """Print a line."""
        if fit.fitness in {Fitness.UNFIT, Fitness.EXTRA}:
            clear()
            detail = f" ({fit.why})" if fit.why else ""
            with suppress(OSError):
                click.echo(printable(f"{fit.fitness:<8} {fit.path or '.'}{detail}"))

    def end(self, outcome: _Outcome) -> None:
        """Print the counts, after what has ended the work early."""
        session().explain((failure.message, failure.reason) for failure in outcome.failures)
        if outcome.count(Fitness.UNFIT):
            session().explain([("", Reason.UNFIT)])
        lines = [f"  {failure_line(failure)}" for failure in outcome.failures]
        lines.append(", ".join(f"{outcome.count(it):,} {it}" for it in Fitness))
        click.echo(session().mask("\n".join(lines)))


class _Object:
    """One object; its lists are written as they come."""

    bar = False

    def __init__(self, lists: StreamedObject) -> None:
        self._lists = lists

    def show(self, fit: Fit, config: Config, _: Callable[[], None]) -> None:
        """Add it to its list; what the ledger has already is only counted."""
        if fit.fitness is Fitness.EXTRA:
            self._lists.add(fit.fitness, fit.path)
        elif fit.fitness is Fitness.UNFIT:
            self._lists.add(fit.fitness, UnfitEntry.at(fit.path, fit.failure))
        elif fit.fitness is Fitness.ADOPTED and fit.row is not None:
            self._lists.add(fit.fitness, ListedArtifact.of(fit.row, config.source.retention))

    def end(self, outcome: _Outcome) -> None:
        """Write the rest of the object."""
        self._lists.end(
            known=outcome.count(Fitness.KNOWN),
            complete=outcome.code is ExitCode.COMPLETE,
            exit_code=int(outcome.code),
            failures=[FailureEntry.of(failure) for failure in outcome.failures],
        )
