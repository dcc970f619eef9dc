"""Signal handling: the first signal stops in order, the second at once."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from artifact_sync.domain.errors import ExitCode, Interrupted
from artifact_sync.domain.model import Failure
from artifact_sync.domain.report import Report
from artifact_sync.runtime.logs import get_logger
from artifact_sync.sync.failures import failures_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
    from types import FrameType

_log = get_logger(__name__)

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopMessages(Struct, frozen=True):
    """What the user reads on stopping a pass: at once, and in its report."""

    at_once: str = "stopping; what came so far is kept (once more: stop at once)"
    outcome: str = "stopped before it was done"


class Reporting(Protocol):
    """A pass that has begun and can report at any time."""

    @property
    def report(self) -> Report:
        """What it has done so far."""


def on_signals(
    actions: Mapping[signal.Signals, Callable[[], None]],
    at_once: Callable[[signal.Signals], None] = lambda _: None,
) -> Callable[[], None]:
    """Run actions on the event loop on signals; return what restores the handlers.

    ``at_once`` is called in the handler, even while the loop hangs. The handlers are Python's,
    not the loop's: those are missing on Windows, and wait for the loop. What is to stop us and
    was ignored stays ignored: a shell does so to SIGINT for its background jobs (POSIX, 2.11).
    """
    loop = asyncio.get_running_loop()

    def heard(number: int, _: FrameType | None) -> None:
        at_once(signal.Signals(number))
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(actions[signal.Signals(number)])

    before = {number: signal.signal(number, heard) for number in actions if _heeded(number)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    return restore


def _heeded(number: signal.Signals) -> bool:
    return number not in STOP_SIGNALS or signal.getsignal(number) is not signal.SIG_IGN


def ends_at_second(grace: float) -> Callable[[], None]:
    """Make a call that, the second time, ends the process after ``grace`` seconds.

    The process ends even if it hangs. Signal handlers may call it at any moment.
    """
    calls: SimpleQueue[None] = SimpleQueue()

    def watch() -> None:
        calls.get()
        calls.get()
        time.sleep(grace)
        os._exit(ExitCode.INTERRUPTED)

    threading.Thread(target=watch, name="second signal", daemon=True).start()
    return lambda: calls.put(None)


async def until_stopped(
    whole: Coroutine[None, None, None],
    begun: Sequence[Reporting],
    messages: StopMessages,
    leave: Callable[[], None] = lambda: None,
) -> Report:
    """Run a pass to its report, also when it fails or is stopped.

    ``begun`` holds the pass once it has begun. ``leave`` is called when it is stopped, before it is
    cancelled. Raises what kept it from beginning.
    """
    work = asyncio.ensure_future(whole)
    with _stopping(work, messages.at_once, leave) as stopped:
        await asyncio.wait([work])
    error = None if work.cancelled() else work.exception()
    interrupted = work.cancelled() or (stopped.is_set() and error is not None)
    if error is not None and not (begun or interrupted):
        raise error
    report = begun[0].report if begun else Report()
    if error is not None:
        report.failures += failures_of(error)
    if interrupted:
        stop = Interrupted(messages.outcome)
        report.failures.append(Failure("", stop.reason, str(stop)))
    return report


@contextmanager
def _stopping(
    work: asyncio.Future[None], message: str, leave: Callable[[], None]
) -> Iterator[asyncio.Event]:
    """Cancel the work at the first signal; a second one ends the process.

    The event is set when one has come. Signals that come together count as one.
    """
    stopped = asyncio.Event()

    def stop() -> None:
        if stopped.is_set() or work.done():
            return
        stopped.set()
        for number in filter(_heeded, STOP_SIGNALS):
            signal.signal(number, signal.SIG_DFL)
        _log.warning(message)
        leave()
        work.cancel()

    restore = on_signals(dict.fromkeys(STOP_SIGNALS, stop))
    try:
        yield stopped
    finally:
        if not stopped.is_set():
            restore()
