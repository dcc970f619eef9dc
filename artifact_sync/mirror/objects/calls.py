"""Carries out calls of a store; one that hangs and is unwanted is left.

A store may be silent for minutes, and a program that is told to stop has seconds. What is left goes
on in its thread, as a request does that a dead process has sent.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from artifact_sync.domain.errors import StoreUnreachable
from artifact_sync.runtime.threads import Threads, unwanted_since

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")

_PATIENCE = 5.0
"""Seconds that a call has to its end, once nobody waits for it any more."""
_LOOK = 0.5
"""Seconds between two looks whether somebody does."""
_MOST = 4096


class Calls:
    """Threads for the calls of one store. ``url``: for messages, without secrets."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._threads = Threads(_MOST, "store")

    def __call__(self, call: Callable[[], T]) -> T:
        """Call, and return what it returns. ``StoreUnreachable``: it was left."""
        self._check()
        future = self._threads.submit(call)
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

    def _check(self) -> None:
        since = unwanted_since()
        if since is not None and time.monotonic() - since > _PATIENCE:
            raise StoreUnreachable(
                f"the object store {self._url} does not answer as it should (stopped while it was"
                " silent): look at it, and run it again"
            )
