"""Tries a call of a store again, where its trouble may pass."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING

from artifact_sync.mirror.objects.store_errors import Passing, store_error_of
from artifact_sync.runtime.backoff import delay

if TYPE_CHECKING:
    from artifact_sync.domain.errors import DiskError
    from artifact_sync.runtime.backoff import RetryPolicy

_RNG = Random()  # noqa: S311 - jitter


class Tries:
    """The tries of one call, each a ``with`` block; ``what``: a noun for messages.

    A block ends quietly, after a pause, when another try may help; else as ``store_error_of`` says.
    """

    def __init__(self, url: str, what: str, policy: RetryPolicy, *, conditional: bool) -> None:
        """``conditional``: see ``store_error_of``."""
        self._url = url
        self._what = what
        self._policy = policy
        self._conditional = conditional
        self._failures = 0

    def __enter__(self) -> None:
        """Begin a try."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if not isinstance(error, Exception):
            return False
        told = store_error_of(error, self._url, self._what, conditional=self._conditional)
        if isinstance(told, Passing):
            self._wait(told.error)
            return True
        if told is error:
            return False
        raise told from None

    def _wait(self, error: DiskError) -> None:
        self._failures += 1
        pause = delay(self._policy, self._failures, None, _RNG)
        if pause is None:
            raise error from None
        time.sleep(pause)
