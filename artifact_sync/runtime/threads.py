"""Runs blocking work in threads, off the event loop, also in batches."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    _Call = tuple[Future[Any], Callable[[], Any]]

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")


class UncancellableFuture(asyncio.Future[T]):
    """A future that cannot be cancelled.

    A cancelled waiter gets ``CancelledError`` only after the work has finished.
    """

    _since: float | None = None
    behalf: Sequence[UncancellableFuture[Any]] = ()
    """Those who wait for it by futures of their own."""

    def cancel(self, msg: Any = None) -> bool:  # noqa: ARG002 - the base's
        """Refuse. asyncio raises the cancellation once the outcome is there."""
        if self._since is None:
            self._since = time.monotonic()
        return False

    @property
    def unwanted_since(self) -> float | None:
        """Since when all who wait are cancelled, by ``time.monotonic``; None: somebody is not."""
        since = [it.unwanted_since for it in self.behalf] or [self._since]
        known = [it for it in since if it is not None]
        return max(known) if len(known) == len(since) else None


_carried_out: ContextVar[UncancellableFuture[Any] | None] = ContextVar("carried_out", default=None)
"""For the thread that carries a call out: the call's future."""


def unwanted_since() -> float | None:
    """Since when nobody wants the outcome of the call on this thread.

    By ``time.monotonic``; None: somebody waits for it, or nobody can tell. A call that may hang
    asks, and raises.
    """
    future = _carried_out.get()
    return future.unwanted_since if future is not None else None


def resolve(future: asyncio.Future[T], outcome: T | BaseException) -> None:
    """Set a future's result or error, which a cancelled waiter need not fetch."""
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
        future.exception()
    else:
        future.set_result(outcome)


class Offload:
    """Runs blocking calls in threads. Cancelling a waiter never abandons a call."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._outcomes: deque[tuple[asyncio.Future[Any], Any]] = deque()
        self._scheduled = False
        """Whether ``_deliver`` is scheduled on the event loop and has not run yet."""

    def start(
        self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> UncancellableFuture[T]:
        """Begin a call. The caller must await the future, which ignores cancellation."""
        future: UncancellableFuture[T] = UncancellableFuture()
        try:
            self._executor.submit(self._carry_out, future, lambda: call(*args, **kwargs))
        except (RuntimeError, MemoryError) as error:  # no thread can be started
            resolve(future, error)
        return future

    async def __call__(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking call to its end and return what it returns."""
        return await self.start(call, *args, **kwargs)

    def _carry_out(self, future: UncancellableFuture[T], call: Callable[[], T]) -> None:
        """Run the call on a thread. Many outcomes wake the event loop once."""
        outcome: T | BaseException
        _carried_out.set(future)
        try:
            outcome = call()
        except BaseException as error:  # noqa: BLE001 - somebody is waiting for it
            outcome = error
        _carried_out.set(None)
        self._outcomes.append((future, outcome))
        if not self._scheduled:
            self._scheduled = True
            with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
                future.get_loop().call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False  # first: an outcome that comes from now on calls us again
        while self._outcomes:
            resolve(*self._outcomes.popleft())


@dataclass(eq=False, slots=True)
class Batches(Generic[T, R]):
    """Processes items in batches. Cancelling a waiter never abandons its item."""

    offload: Offload
    work: Callable[[Sequence[T]], Sequence[R | Exception]]
    """A blocking call that returns one outcome an item, in order."""
    at_once: int
    """Most calls at the same time."""
    largest: int
    """Most items in one call."""
    _waiting: deque[tuple[T, UncancellableFuture[R]]] = field(default_factory=deque, init=False)
    _running: int = field(default=0, init=False)

    async def __call__(self, item: T) -> R:
        """Process an item and return its outcome."""
        outcome: UncancellableFuture[R] = UncancellableFuture()
        self._waiting.append((item, outcome))
        self._begin_if_due()
        return await outcome

    def _begin_if_due(self) -> None:
        """Begin a call if none runs, or if a full batch waits.

        A full batch shows that the running calls are too slow; more threads would otherwise only
        compete.
        """
        full = len(self._waiting) >= self.largest
        if self._waiting and (not self._running or (full and self._running < self.at_once)):
            count = min(len(self._waiting), self.largest)
            batch = [self._waiting.popleft() for _ in range(count)]
            work = self.offload.start(self.work, [item for item, _ in batch])
            work.behalf = [future for _, future in batch]
            self._running += 1
            # no task: one could be cancelled, and nobody who waits would ever hear of it
            work.add_done_callback(partial(self._done, batch))

    def _done(
        self,
        batch: Sequence[tuple[T, asyncio.Future[R]]],
        work: asyncio.Future[Sequence[R | Exception]],
    ) -> None:
        self._running -= 1
        error = work.exception()
        outcomes = work.result() if error is None else [error] * len(batch)
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            resolve(future, outcome)
        self._begin_if_due()


class AbandonableThreads:
    """Runs read-only blocking calls in threads.

    On cancellation the caller returns at once, and the thread is abandoned.
    """

    def __init__(self, executor: Executor | None = None) -> None:
        """None: the default executor of the event loop, which name lookups can fill."""
        self._executor = executor

    async def __call__(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking call and return what it returns."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, lambda: call(*args, **kwargs))


class Threads(ThreadPoolExecutor):
    """A thread pool whose hanging threads do not keep the process from ending.

    The standard library waits without a limit, in ``shutdown`` and once more when the interpreter
    exits. ``patience``: seconds that ``shutdown`` waits for running calls. Where the system gives
    no further thread, those that there are do the work.
    """

    def __init__(self, most: int, name: str, *, patience: float = 0.0) -> None:
        super().__init__(most, thread_name_prefix=name)  # an event loop takes no other kind
        self._most = most
        self._name = name
        self._patience = patience
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._begun: list[threading.Thread] = []
        self._unfinished = 0
        self._ended = False
        self._changing = threading.Lock()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call. ``RuntimeError`` after ``shutdown``, or when there is no thread at all."""
        future: Future[T] = Future()
        with self._changing:
            if self._ended:
                raise RuntimeError("these threads have been told to end")
            if len(self._begun) < min(self._unfinished + 1, self._most):
                self._begin()
            self._unfinished += 1
            self._calls.put((future, lambda: fn(*args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - the base's
        """Take no more calls. ``wait``: for running ones, at most ``patience`` seconds.

        ``cancel_futures``: drop calls that no thread has begun.
        """
        with self._changing:
            self._ended = True
        if cancel_futures:
            with suppress(Empty):
                while call := self._calls.get_nowait():
                    call[0].cancel()
        for _ in self._begun:
            self._calls.put(None)
        until = time.monotonic() + self._patience
        for thread in self._begun if wait else ():
            thread.join(max(0.0, until - time.monotonic()))

    def _begin(self) -> None:
        name = f"{self._name}_{len(self._begun)}"
        thread = threading.Thread(target=self._serve, name=name, daemon=True)
        try:
            thread.start()
        except (RuntimeError, MemoryError):
            if not self._begun:
                raise
        else:
            self._begun.append(thread)

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            _carry_out(*call)
            del call  # frees what it holds while the thread waits
            with self._changing:
                self._unfinished -= 1


def check_threads(count: int) -> None:
    """Check that so many further threads can be started. ``RuntimeError``: they cannot.

    For libraries that abort the process where they get none. Blocking, for less than a millisecond.
    """
    let_go = threading.Event()
    probes: list[threading.Thread] = []
    try:
        for _ in range(count):
            probe = threading.Thread(target=let_go.wait, daemon=True)
            probe.start()
            probes.append(probe)
    finally:
        let_go.set()
        for probe in probes:
            probe.join()
            _wait_until_gone(probe.native_id)


def _wait_until_gone(thread: int | None) -> None:
    """Wait until the system counts a thread no more, which is after Python has."""
    while sys.platform == "linux" and os.path.exists(f"/proc/self/task/{thread}"):  # noqa: PTH110
        time.sleep(0.0001)


def _carry_out(future: Future[T], work: Callable[[], T]) -> None:
    if future.set_running_or_notify_cancel():
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - the caller is waiting for it
            future.set_exception(error)
