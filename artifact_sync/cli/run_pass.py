"""One pass while it is under way: progress, and how signals end it. The result is not printed."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

import click
from msgspec import Struct

from artifact_sync.app.assemble_pass import opened
from artifact_sync.cli.options import Verbosity, begin_work, session
from artifact_sync.cli.progress_lines import Lines, wants_bars
from artifact_sync.cli.report_text import plan_lines
from artifact_sync.domain.errors import Interrupted, MirrorBusy
from artifact_sync.domain.events import RunPlanned
from artifact_sync.domain.model import Failure
from artifact_sync.domain.report import Report
from artifact_sync.runtime.logs import get_logger
from artifact_sync.sync.failures import reasons_of

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from artifact_sync.cli.carry_out import Manner
    from artifact_sync.config.api_token import Token
    from artifact_sync.domain.events import Event, Observer
    from artifact_sync.domain.request import PassRequest
    from artifact_sync.domain.settings import Config

_log = get_logger(__name__)


class Stopping(Struct, frozen=True):
    """What is said when the user stops a pass: at once, and of it in the end."""

    word: str = "stopping; what came so far is kept (once more: stop at once)"
    outcome: str = "stopped before it was done"


class Reporting(Protocol):
    """What has begun, and can tell at any time what it has done so far."""

    @property
    def report(self) -> Report:
        """So far."""


async def passed(config: Config, wish: PassRequest, manner: Manner, known: Token | None) -> Report:
    """Carry out a pass and show its progress. Raises what kept it from beginning."""
    begin_work()
    begun: list[Reporting] = []

    async def whole() -> None:
        async with opened(config, wish, observer, known) as one_pass:
            begun.append(one_pass)
            await one_pass.run()

    with _shown(config, manner) as observer:
        try:
            return await until_stopped(whole(), begun, Stopping())
        except MirrorBusy as busy:
            if not manner.ask:
                raise
            from artifact_sync.cli.delegate import Handing  # noqa: PLC0415 - it is rarely needed

            return await Handing(config, wish, manner.jobs, busy).over(observer)


async def until_stopped(
    whole: Coroutine[None, None, None], begun: list[Reporting], stopping: Stopping
) -> Report:
    """The pass's report, whatever ended it; that of an interrupted one says so.

    Raises what kept the pass from beginning.
    """
    work = asyncio.ensure_future(whole)
    with _stopping(work, stopping.word) as stopped:
        await asyncio.wait([work])
    error = None if work.cancelled() else work.exception()
    interrupted = work.cancelled() or (stopped.is_set() and error is not None)
    if error is not None and not (begun or interrupted):
        raise error
    report = begun[0].report if begun else Report()
    if error is not None:
        report.failures += [Failure("", reason, text) for reason, text in reasons_of(error)]
    if interrupted:
        report.failures.append(interruption(stopping))
    return report


def interruption(stopping: Stopping) -> Failure:
    """What a report says of a pass that was stopped."""
    error = Interrupted(stopping.outcome)
    return Failure("", error.reason, str(error))


@contextmanager
def _stopping(work: asyncio.Future[None], word: str) -> Iterator[asyncio.Event]:
    """Let the first SIGINT or SIGTERM end the pass in order, and a second one the process.

    The event tells whether one has come.
    """
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    stopped = asyncio.Event()

    def stop() -> None:
        stopped.set()
        for number in signals:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        _log.warning(word)
        work.cancel()

    try:
        for number in signals:
            loop.add_signal_handler(number, stop)
    except NotImplementedError:  # Windows: the runner cancels everything on Ctrl-C by itself
        yield stopped
        return
    try:
        yield stopped
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


class _Plans:
    """Prints the plan of each run, for a dry run."""

    def __init__(self, then: Observer) -> None:
        self._then = then

    def notify(self, event: Event) -> None:
        """Print a plan; hand everything on. That the reader has left is no concern of the pass."""
        if isinstance(event, RunPlanned):
            with suppress(BrokenPipeError):
                click.echo("\n".join(plan_lines(event.plan)))
        self._then.notify(event)


@contextmanager
def _shown(config: Config, manner: Manner) -> Iterator[Observer]:
    """Whoever watches the pass."""
    lines = Lines()
    if manner.dry_run and not manner.as_json:
        yield _Plans(lines)
        return
    quiet = session().verbosity is Verbosity.QUIET
    if quiet or manner.dry_run or not manner.bars or not wants_bars():
        yield lines
        return
    from artifact_sync.cli.progress_bars import Bars  # noqa: PLC0415 - tqdm is slow to import

    bars = Bars(sys.stderr, lines, config.download.jobs)
    try:
        yield bars
    finally:
        bars.close()
