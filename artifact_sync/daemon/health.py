"""Checks the mirror, its free space, and the ledger."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from artifact_sync.domain.errors import DiskError, MirrorGone, Reason
from artifact_sync.runtime.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Collection

    from artifact_sync.daemon.engine import Engine
    from artifact_sync.domain.errors import LedgerTooNew
    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.report import Report

_log = get_logger(__name__)

_GROWN = 1 << 20
"""Bytes by which free space must grow before a repository without room is tried again."""


class MirrorHealth:
    """Whether the mirror can be used, and which repositories lacked space."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.replaced: MirrorGone | None = None
        """Set when another mirror was found at the root, which only a new process can open."""
        self.outdated: LedgerTooNew | None = None
        """Set when a newer program was found to have the ledger, which this one must leave."""
        self.free: int | None = None
        """Free bytes, when last checked."""
        self.gone = ""
        """Why the mirror cannot be used; empty: it can."""
        self.ledger_size: int | None = None
        """Bytes of the ledger, when last checked; None: a server's, or not known."""
        self._repos: frozenset[RepoName] = frozenset()
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

    async def check(self) -> frozenset[RepoName]:
        """Check the mirror; the repositories that are worth another pass now."""
        try:
            free = await self._engine.offload(self._check_mirror)
        except DiskError as error:
            self._lost(str(error))
            if isinstance(error, MirrorGone) and await self._engine.offload(self._engine.replaced):
                self.replaced = error
            return frozenset()
        self.free = free
        self.ledger_size = await self._engine.ledger.size()
        return self._recovered(free)

    def _recovered(self, free: int | None) -> frozenset[RepoName]:
        """The repositories for which the mirror, or room, is there again."""
        has_room = bool(self._short) and free is not None and free >= self._least + _GROWN
        if has_room:
            self._least = free or 0
        if self.gone:
            self.gone = ""
            _log.warning("the mirror is there again; every repository is looked at")
            return self._repos
        return frozenset(self._short) if has_room else frozenset()

    def _check_mirror(self) -> int | None:
        self._engine.mirror.check()
        return self._engine.mirror.free()

    def _lost(self, why: str) -> None:
        if not self.gone:
            _log.error("the mirror cannot be used; nothing is done until it can", why=why)
        self.gone = why

    async def pass_ended(self, repo: RepoName, report: Report) -> None:
        """Learn from the report of a pass whether there was room."""
        if any(failure.reason is Reason.NO_SPACE for failure in report.failures):
            with suppress(DiskError):
                self.free = await self._engine.offload(self._engine.mirror.free)
            if not self._short:
                _log.error("no room on the mirror's disk", repo=str(repo), free=self.free)
            free = self.free or 0  # the least of several reports counts
            self._least = min(self._least, free) if self._short else free
            self._short.add(repo)
        elif repo in self._short and (report.downloaded or report.caught_up):
            self._short.discard(repo)
            if not self._short:
                _log.warning("there is room on the mirror's disk again")

    def keep(self, repos: Collection[RepoName]) -> None:
        """Forget all other repositories."""
        self._repos = frozenset(repos)
        self._short.intersection_update(repos)


NO_ANSWER = "no answer of the ledger"


async def ledger_trouble(engine: Engine, seconds: float) -> str:
    """Why the ledger does not answer in time; empty: it does."""
    try:
        async with asyncio.timeout(seconds):
            await engine.offload(int)
            await engine.ledger.ping()
    except TimeoutError:
        return NO_ANSWER
    except DiskError as error:
        return str(error)
    return ""
