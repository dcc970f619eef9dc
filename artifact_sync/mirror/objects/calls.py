"""Carries out calls of a store; one that hangs and is unwanted is left.

A store may be silent for minutes, and a program that is told to stop has seconds. What is left goes
on in its thread, as a request does that a dead process has sent. What it sends piece by piece ends.
"""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from artifact_sync.domain.errors import StoreUnreachable
from artifact_sync.runtime.threads import Threads, unwanted_since

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds that a call has to its end, once nobody waits for it any more."""
_LOOK = 0.5
"""Seconds between two looks whether somebody does."""
_MOST = 4096

_left: ContextVar[threading.Event] = ContextVar("left")
"""For the thread that carries a call out: set once the call was left."""


class Calls:
    """Threads for the calls of one store. ``url``: for messages, without secrets.

    ``patience``: seconds to its end that a call has, once nobody waits for it any more.
    """

    def __init__(self, url: str, patience: float = PATIENCE) -> None:
        self._url = url
        self._patience = patience
        self._threads = Threads(_MOST, "store")

    def __call__(self, call: Callable[[], T]) -> T:
        """Call, and return what it returns. ``StoreUnreachable``: it was left."""
        self._check()
        left = threading.Event()
        try:
            return self._outcome(self._threads.submit(_carry_out, call, left))
        except BaseException:
            left.set()
            raise

    def _outcome(self, future: Future[T]) -> T:
        while True:
            try:
                return future.result(_LOOK)
            except TimeoutError:
                if future.done():
                    return future.result()  # it may be the call's own
                self._check()

    def each(self, items: Iterable[T]) -> Iterator[T]:
        """The items, each by a call."""
        following = partial(next, iter(items), None)
        while (item := self(following)) is not None:
            yield item

    def while_wanted(self, items: Iterator[T], end: Callable[[], object]) -> Iterator[T]:
        """The items of a call, which calls this on its thread, and then ``end``.

        Whoever takes one raises ``StoreUnreachable`` once the call was left, also at the end.
        """
        left = _left.get()

        def checked() -> Iterator[T]:
            for item in items:
                self._check_left(left)
                yield item
            end()
            self._check_left(left)

        return checked()

    def _check_left(self, left: threading.Event) -> None:
        if left.is_set():
            raise self._error()

    def _check(self) -> None:
        since = unwanted_since()
        if since is not None and time.monotonic() - since > self._patience:
            raise self._error()

    def _error(self) -> StoreUnreachable:
        return StoreUnreachable(
            f"the object store {self._url} does not answer as it should (stopped while it was"
            " silent): look at it, and run it again"
        )


def _carry_out(call: Callable[[], T], left: threading.Event) -> T:
    _left.set(left)
    return call()
