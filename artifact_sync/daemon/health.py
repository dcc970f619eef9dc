"""The ground that the daemon stands on: is the mirror there, and is there room on its disk.

Looks and remembers; what follows from it is ``service``'s.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from artifact_sync.domain.errors import DiskError, MirrorGone, Reason
from artifact_sync.runtime.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from artifact_sync.daemon.engine import Engine
    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.report import Report

_log = get_logger(__name__)

_GROWN = 1 << 20
"""Bytes by which the free space must have grown before what found none is tried again."""


class MirrorHealth:
    """``again`` is called with repositories that are worth another look, eagerly; None: all.

    ``leave`` is called when another mirror stands at the root, which only a new process can open.
    """

    def __init__(
        self,
        engine: Engine,
        again: Callable[[frozenset[RepoName] | None], None],
        leave: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._again = again
        self._leave = leave
        self.replaced = False
        """Whether ``leave`` was called."""
        self.free: int | None = None
        """Bytes free, as of the last look."""
        self.gone = ""
        """Why the mirror cannot be used; empty: it can."""
        self.ledger_size: int | None = None
        """Bytes of the ledger, as of the last look; None: a server's, or not known."""
        self._short: set[RepoName] = set()
        """Repositories whose last pass found no room."""
        self._least = 0
        """Bytes that were free then."""

    @property
    def troubles(self) -> tuple[str, ...]:
        """What is wrong, a sentence each."""
        count = len(self._short)
        short = f"no room on the mirror's disk for {count} repositor{'y' if count == 1 else 'ies'}"
        return tuple(filter(None, (self.gone, short if self._short else "")))

    async def look(self) -> None:
        """See whether the mirror is there and how much room it has."""
        try:
            free = await self._engine.offload(self._checked)
        except DiskError as error:
            self._lost(str(error))
            if isinstance(error, MirrorGone) and await self._engine.offload(self._engine.replaced):
                self.replaced = True
                self._leave()
            return
        self.free = free
        self.ledger_size = await self._engine.ledger.size()
        if self.gone:
            self.gone = ""
            _log.warning("the mirror is there again; every repository is looked at")
            self._again(None)
        if self._short and free >= self._least + _GROWN:
            self._least = free
            self._again(frozenset(self._short))

    def _checked(self) -> int:
        self._engine.mirror.check()
        return self._engine.mirror.free()

    def _lost(self, why: str) -> None:
        if not self.gone:
            _log.error("the mirror cannot be used; nothing is done until it can", why=why)
        self.gone = why

    async def judge(self, repo: RepoName, report: Report) -> None:
        """Learn from a pass whether there was room."""
        if any(failure.reason is Reason.NO_SPACE for failure in report.failures):
            with suppress(DiskError):
                self.free = await self._engine.offload(self._engine.mirror.free)
            if not self._short:
                _log.error("no room on the mirror's disk", repo=str(repo), free=self.free)
            free = self.free or 0  # of several looks the least counts, also of what is put off
            self._least = min(self._least, free) if self._short else free
            self._short.add(repo)
        elif repo in self._short and (report.downloaded or report.caught_up):
            self._short.discard(repo)
            if not self._short:
                _log.warning("there is room on the mirror's disk again")

    def keep(self, repos: Collection[RepoName]) -> None:
        """Only these are looked after from now on."""
        self._short.intersection_update(repos)


NO_ANSWER = "no answer of the ledger"


async def ledger_trouble(engine: Engine, seconds: float) -> str:
    """Why the ledger cannot be used, which has so many seconds to answer; empty: it can."""
    try:
        async with asyncio.timeout(seconds):
            await engine.offload(int)
            await engine.ledger.ping()
    except TimeoutError:
        return NO_ANSWER
    except DiskError as error:
        return str(error)
    return ""


async def answers(engine: Engine, seconds: float) -> bool:
    """Whether the threads for the disk and the ledger do their work within so many seconds."""
    return await ledger_trouble(engine, seconds) != NO_ANSWER  # any answer, if not a good one
