"""``artifact-sync prune``: have runs go that no rule keeps."""

from __future__ import annotations

import functools
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from msgspec.structs import replace

from artifact_sync.cli.errors import result_of
from artifact_sync.cli.failed_answer import as_json_also_failed
from artifact_sync.cli.json_objects import PruneAnswer, PruneEntry, RefusedPrune, as_line
from artifact_sync.cli.options import common, no_wait, repositories, root
from artifact_sync.cli.session import configuration
from artifact_sync.domain.errors import ExitCode, UsageError
from artifact_sync.domain.events import FilesRemoved, Noticed, PruneRefused
from artifact_sync.domain.model import RunKey, State
from artifact_sync.runtime import event_loop
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.text import printable
from artifact_sync.runtime.units import counted
from artifact_sync.runtime.units import size_in_words as size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from artifact_sync.app.pruning import Pruning
    from artifact_sync.domain.events import Event
    from artifact_sync.domain.keeping import PlannedRun
    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.settings import Config
    from artifact_sync.sync.prune_plan import RepoPlan

_log = get_logger(__name__)

_PLAN_HOLDS = timedelta(days=7)
_CLOCKS_DIFFER = timedelta(days=1)
_LARGEST_PLAN = 1 << 30
_ALREADY = "already pruned"
_LINES = 1000
"""That are printed at a time."""


class _PlanOptions(NamedTuple):
    """What becomes of the plan."""

    dry_run: bool
    yes: bool
    file: Path | None
    applied: Path | None

    @property
    def rehearse(self) -> bool:
        """Whether nothing is changed."""
        return self.dry_run or self.file is not None


def _plan_options(function: Callable[..., int]) -> Callable[..., int]:
    """Add the options → ``plan: _PlanOptions``. ``UsageError`` for some together."""

    @functools.wraps(function)
    def with_plan(
        *, dry_run: bool, yes: bool, plan_file: Path | None, applied: Path | None, **rest: Any
    ) -> int:
        if sum((dry_run, plan_file is not None, applied is not None)) > 1:
            raise UsageError("--dry-run, --plan and --apply exclude each other: give one of them")
        return function(plan=_PlanOptions(dry_run, yes, plan_file, applied), **rest)

    for option in reversed(_OPTIONS):
        with_plan = option(with_plan)
    return with_plan


_FILE = click.Path(path_type=Path, dir_okay=False)
_OPTIONS = (
    click.option("--dry-run", is_flag=True, help="Say what would go, and why; change nothing."),
    click.option("--yes", is_flag=True, help="More than keep.max_share of the runs may go."),
    click.option(
        "--plan",
        "plan_file",
        type=_FILE,
        metavar="FILE",
        help="Write what would go to a file; change nothing.",
    ),
    click.option(
        "--apply",
        "applied",
        type=_FILE,
        metavar="FILE",
        help="Carry out a plan that is at most seven days old.",
    ),
)


@click.command(
    epilog="""\b
Examples:
  artifact-sync prune --dry-run
  artifact-sync prune acme/rocket --plan plan.json
  artifact-sync prune --apply plan.json

\b
Exit codes: 0 what the rules ask for is done, 1 something stays that they would have
go, 2 a plan is of another mirror or too old, 6 the disk refuses, 7 the mirror is in use.""",
)
@repositories
@_plan_options
@root
@no_wait
@as_json_also_failed(PruneAnswer.of_failures)
@common
def command(
    *,
    config_file: Path | None,
    repos: tuple[str, ...],
    plan: _PlanOptions,
    root: Path | None,
    as_json: bool,
) -> int:
    """Remove the runs that no rule of [keep] keeps.

    It is not fetched again while the service lists it. Nothing goes that is pinned, in flight or a
    target of latest or latest-success, nor while the newest list of runs is not complete. A daemon
    that holds the mirror does it.
    """
    from artifact_sync.app.forgetting import check_begun  # noqa: PLC0415 - keeps --help quick
    from artifact_sync.app.selection import Overrides, checked_names, with_overrides  # noqa: PLC0415 - likewise

    if plan.applied is not None and repos:
        raise UsageError("--apply carries out the whole plan: name no repository")
    config = with_overrides(configuration(config_file), Overrides(root=root))
    work = _Work(config, checked_names(repos), plan)
    check_begun(config)
    found = list[_Outcome]()  # asyncio renders what a coroutine returns, however large
    event_loop.run_plainly(work.run(found.append))
    [outcome] = found
    if plan.file is not None:
        _write(plan.file, outcome)
    with result_of(outcome.answer.exit_code):
        if as_json:
            for piece in _pieces(outcome):
                click.echo(piece, nl=False)
            click.echo()
        else:
            _print(outcome, rehearsed=plan.rehearse)
    return outcome.answer.exit_code


class _Work:
    """One call of the command."""

    def __init__(self, config: Config, names: Sequence[str], options: _PlanOptions) -> None:
        self.config = config
        self.names = names
        self.options = options
        self.told = _Told()

    async def run(self, take: Callable[[_Outcome], None]) -> None:
        """Plan, or read a plan, and carry it out where that is asked for."""
        from artifact_sync.app.pruning import opened_pruning  # noqa: PLC0415 - keeps --help quick

        file = self.options.applied
        planned = _read(file) if file is not None else None
        async with opened_pruning(self.config, rehearse=self.options.rehearse) as pruning:
            if planned is None:
                plans = await pruning.plan(self.names, agreed=self.options.yes)
            elif planned.mirror == await pruning.mirror():
                plans = planned.plans()
                self.told.gone = await pruning.gone(plans)
            else:
                raise UsageError(f"{printable(str(file))} is a plan of another mirror: make one")
            take(await self._carried_out(pruning, plans))

    async def _carried_out(self, pruning: Pruning, plans: Sequence[RepoPlan]) -> _Outcome:
        made_at = datetime.now(UTC)
        if not self.options.rehearse:
            await pruning.carry_out(plans, self.told, agreed=self.options.yes)
        refused = [
            RefusedPrune(repo=str(plan.repo), why=why) for plan in plans for why in plan.refused
        ]
        freed = self.told.bytes
        if self.options.rehearse:
            freed = sum(it.bytes for plan in plans for it in plan.going)
            freed -= await pruning.shared_beyond(plans)
        refused += self.told.refused
        answer = PruneAnswer(
            mirror=await pruning.mirror(),
            made_at=made_at.isoformat(),
            complete=not refused,
            exit_code=int(ExitCode.INCOMPLETE if refused else ExitCode.COMPLETE),
            runs=[],
            freed_bytes=max(freed, 0),
            refused=refused,
            left=self.told.left,
        )
        return _Outcome(answer, plans, self.told)


class _Outcome(NamedTuple):
    """What is answered; the runs are made when they are printed: there may be 100,000."""

    answer: PruneAnswer
    plans: Sequence[RepoPlan]
    told: _Told

    def entries(self) -> Iterator[PruneEntry]:
        """Every run, and what becomes or became of it."""
        for plan in self.plans:
            for run in plan.runs:
                if (entry := self.told.entry(plan.repo, run)) is not None:
                    yield entry


class _Told:
    """An observer that keeps what was removed, and what was refused."""

    def __init__(self) -> None:
        self.bytes = 0
        self.refused: list[RefusedPrune] = []
        self.left: list[str] = []
        self.gone: set[RunKey] = set()
        """What was not here any more when its plan was carried out."""
        self._stay: dict[tuple[str, str], str] = {}

    def notify(self, event: Event) -> None:
        """Keep an event."""
        if isinstance(event, FilesRemoved):
            pruned = sum(row.size or 0 for row in event.rows if row.state is State.PRUNED)
            self.bytes += max(pruned - event.kept_bytes, 0)
            self.left += event.left
        elif isinstance(event, PruneRefused):
            repo, run = str(event.run.repo), event.run.run
            why = f"run {run}: {event.why}" if run else event.why
            self.refused.append(RefusedPrune(repo=repo, why=why))
            self._stay[repo, run] = event.why
        elif isinstance(event, Noticed):
            _log.warning(event.message)

    def entry(self, repo: RepoName, run: PlannedRun) -> PruneEntry | None:
        """What became of a run.

        None: nothing of it is here, and it was not to go.
        """
        planned = PruneEntry.of(str(repo), run)
        goes = run.action == "prune"
        refused = goes and any((planned.repo, it) in self._stay for it in (planned.run, ""))
        if RunKey(repo, run.run) in self.gone:
            return replace(planned, why=[_ALREADY]) if goes and not refused else None
        return replace(planned, action="keep", why=["refused"]) if refused else planned


def _read(file: Path) -> PruneAnswer:
    """The plan in a file. ``UsageError`` for one that is none, or is too old."""
    import msgspec  # noqa: PLC0415 - keeps --help quick

    shown = printable(str(file))
    try:
        if file.stat().st_size > _LARGEST_PLAN:
            raise UsageError(f"{shown} is too large for a plan")
        plan = msgspec.json.decode(file.read_bytes(), type=PruneAnswer)
        made_at = datetime.fromisoformat(plan.made_at)
        plan.plans()
    except OSError as error:
        raise UsageError(f"{shown} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise UsageError(f"{shown} is no plan: prune --plan FILE writes one") from None
    old = datetime.now(UTC) - made_at if made_at.tzinfo is not None else _PLAN_HOLDS * 2
    if old < -_CLOCKS_DIFFER:
        raise UsageError(f"{shown} was made in the future: this machine's clock is wrong, or was")
    if old > _PLAN_HOLDS:
        raise UsageError(f"{shown} was made at {plan.made_at}: a plan holds for seven days")
    return plan


def _pieces(outcome: _Outcome) -> Iterator[str]:
    """The answer as JSON on one line, some runs at a time."""
    head, runs, tail = as_line(outcome.answer).partition('"runs": [')
    yield head + runs
    entries = outcome.entries()
    between = ""
    while some := list(islice(entries, _LINES)):
        yield between + as_line(some)[1:-1]
        between = ", "
    yield tail


def _write(file: Path, outcome: _Outcome) -> None:
    try:
        with file.open("w", encoding="ascii") as plan:
            plan.writelines(_pieces(outcome))
            plan.write("\n")
    except OSError as error:
        raise UsageError(f"{printable(str(file))} cannot be written: {error.strerror}") from None


def _line(it: PruneEntry) -> str:
    day = (it.created_at or "")[:10] or "undated"
    which, why = printable(f"{it.repo} {it.run}"), ", ".join(it.why)
    return f"{it.action:5} {which}  {day}  {size(it.bytes)}  {why}"


def _print(outcome: _Outcome, *, rehearsed: bool) -> None:
    answer, counts = outcome.answer, Counter[str]()
    lines = list[str]()
    for it in outcome.entries():
        counts[_ALREADY if it.why == [_ALREADY] else it.action] += 1
        if rehearsed or it.action == "prune":
            lines.append(_line(it))
        if len(lines) == _LINES:
            click.echo("\n".join(lines))
            lines.clear()
    does = "would be pruned" if rehearsed else "pruned"
    went = f"{counted(counts['prune'], 'run')} {does} ({size(answer.freed_bytes)})"
    before = f", {counts[_ALREADY]:,} {_ALREADY}" if counts[_ALREADY] else ""
    lines.append(f"{went}{before}, {counts['keep']:,} stay")
    click.echo("\n".join(lines))
    for path in answer.left:
        click.echo(f"left, nobody recorded it: {printable(path)}")
    for refused in answer.refused:
        click.echo(f"refused: {printable(refused.repo)}: {printable(refused.why)}", err=True)
