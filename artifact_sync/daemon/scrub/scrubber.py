"""Verifies what was verified longest ago, within bounds, and reports damage."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Protocol

from artifact_sync.daemon.scrub.paced_reader import PacedReader
from artifact_sync.daemon.scrub.timing import due_window, pause
from artifact_sync.domain.errors import ArtifactSyncError, DiskError, MirrorGone
from artifact_sync.domain.status import ScrubState
from artifact_sync.domain.verification import FOR_EVER
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.tasks import first_of
from artifact_sync.sync.verify import Condition, compared

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from artifact_sync.domain.model import ArtifactRow, MirrorPath, RepoName
    from artifact_sync.domain.ports import Clock
    from artifact_sync.domain.settings import VerifySettings
    from artifact_sync.domain.verification import DueWindow
    from artifact_sync.sync.verify import Auditor, Finding

_log = get_logger(__name__)

_RECORDING = 2.0
"""Seconds of reading that an interruption costs, at most."""

_TOGETHER = 500
"""Files that are recorded together, at most."""

_LARGE = 64 << 20
"""Bytes of a file whose reading takes long, where there is no rate."""

_MEASURING = 3600.0
"""Seconds between two looks at the size of the mirror."""

_PATIENCE, _LOOK = 5.0, 0.25
"""Seconds to wait for a pass over a repository to end, and between two looks whether it has."""

_MOST_BUSY = 20_000
"""Files of repositories with a pass that are gone by in one round."""

_TROUBLE = 60.0
"""Seconds to wait after disk or ledger have failed."""

_BAD_FILE = 300.0
"""Seconds until a file that cannot be read is tried again."""

_IN_A_ROW = 3
"""Files that cannot be read one after the other: then it is the disk."""

_REMEMBERED = 10_000
"""Unreadable files at most."""


class DamageListener(Protocol):
    """Who hears of damage; ``DamageRepair`` has it mended."""

    def is_busy(self, repo: RepoName) -> bool:
        """Whether a pass is over a repository."""

    def damaged(self, findings: Sequence[Finding]) -> None:
        """Tell of damage and have it mended."""


class Scrubber:
    """Reads the mirror again, what was verified longest ago first, until cancelled."""

    def __init__(
        self,
        auditor: Auditor,
        clock: Clock,
        listener: DamageListener,
        settings: Callable[[], VerifySettings],
    ) -> None:
        self._auditor = auditor
        self._clock = clock
        self._listener = listener
        self._settings = settings
        self._reader = PacedReader(auditor.mirror, clock)
        self._reader.counted = self._count
        self._changed = asyncio.Event()
        self._size = 0
        self._measured_at: float | None = None
        self._right: list[ArtifactRow] = []
        self._bad: list[Finding] = []
        self._recorded_at = 0.0
        self._unreadable: dict[MirrorPath, float] = {}
        """Files that cannot be read, and when to try each again."""
        self._why = ""
        self._files = self._bytes = self._damaged = 0

    @property
    def state(self) -> ScrubState:
        """The scrub's part of the status."""
        settings = self._settings()
        return ScrubState(
            every=settings.every,
            rate=settings.rate or None,
            files=self._files,
            bytes=self._bytes,
            damaged=self._damaged,
            unreadable=len(self._unreadable),
            why=self._why,
        )

    def config_changed(self) -> None:
        """Follow ``[verify]``, which may have changed."""
        self._reader.limit(self._settings().rate)
        self._changed.set()

    async def run(self) -> None:
        """Verify what is due, look again after a while, and follow changes of ``[verify]``."""
        self.config_changed()
        while True:
            self._changed.clear()
            seconds = pause(self._settings())
            if self._settings().every:
                await first_of(self._until_off(), self._try_round())
                seconds = max(seconds, _TROUBLE if self._why else 0.0)
            await first_of(self._changed.wait(), self._clock.sleep(seconds))

    async def look(self) -> None:
        """Verify what is due, once."""
        self._reader.limit(self._settings().rate)
        await self._try_round()

    async def _until_off(self) -> None:
        while self._settings().every:
            await self._changed.wait()
            self._changed.clear()

    async def _try_round(self) -> None:
        """Verify all that is due. An error of disk or ledger ends one round only."""
        try:
            await self._round()
            self._why = ""
        except MirrorGone as error:  # the health check says so
            _log.debug("the mirror is not there to be verified", why=str(error))
        except ArtifactSyncError as error:
            if str(error) != self._why:
                _log.warning("the mirror is not verified for the time being", why=str(error))
            self._why = str(error)
        finally:
            self._right.clear()
            self._bad.clear()

    async def _round(self) -> None:
        self._recorded_at = self._clock.monotonic()
        window = due_window(self._clock.now(), self._settings(), await self._measure())
        turn = _Turn()
        async with aclosing(self._due(window)) as rows:
            async for row in rows:
                if turn.passed >= _MOST_BUSY:
                    break
                if await self._may_look(row, turn):
                    await self._verify(row, turn)
                    await self._record_if_due()
        await self._record()

    async def _measure(self) -> int:
        now = self._clock.monotonic()
        if self._measured_at is None or now - self._measured_at >= _MEASURING:
            totals = await self._auditor.ledger.all_totals()
            self._size, self._measured_at = sum(it.bytes for it in totals), now
        return self._size

    async def _due(self, window: DueWindow) -> AsyncGenerator[ArtifactRow]:
        """What is due; last, what was begun and broken off."""
        ledger = self._auditor.ledger
        overdue = ledger.least_verified(window.before, unread=True)
        ahead = ledger.least_verified(FOR_EVER, since=window.after, unread=True)
        for span in (overdue, ahead):
            async with aclosing(span) as rows:
                async for row in rows:
                    yield row
        for row in await ledger.broken_off():
            if window.holds(row.verified_at):
                yield row

    async def _may_look(self, row: ArtifactRow, turn: _Turn) -> bool:
        """Whether a file may be read now; waits a little for a pass over its repository."""
        repo = row.key.run_key.repo
        if row.path is None or self._unreadable.get(row.path, 0.0) > self._clock.monotonic():
            return False
        until = self._clock.monotonic() + (_PATIENCE if repo not in turn.busy else 0.0)
        while self._listener.is_busy(repo):
            turn.busy.add(repo)
            await self._record()
            if self._clock.monotonic() >= until:
                turn.passed += 1
                return False
            await self._clock.sleep(_LOOK)
        return True

    async def _verify(self, row: ArtifactRow, turn: _Turn) -> None:
        """Read a file, and remember what it was found to be."""
        try:
            finding = await self._look(row)
            is_right = finding.condition is Condition.OK
            bad = await self._damaged_entries(row) if is_right else [finding]
        except DiskError as error:
            await self._cannot_read(row, error, turn)
            return
        turn.failed = 0
        self._unreadable.pop(finding.path, None)
        self._files += 1
        if is_right:
            self._right.append(row)
        if bad and await self._is_damage(row):
            self._bad += bad
            self._damaged += len(bad)

    async def _damaged_entries(self, row: ArtifactRow) -> list[Finding]:
        """Read what was unpacked of an archive, a file at a time; what is not as it was."""
        found = []
        async with aclosing(self._auditor.unpacked([row], ahead=1)) as entries:
            async for it in entries:
                await self._reader.pay(it.size)
                self._files += 1
                if it.condition is not Condition.OK:
                    found.append(it)
        return found

    async def _look(self, row: ArtifactRow) -> Finding:
        auditor, path = self._auditor, row.path
        if path is None:
            raise ValueError("a mirrored artifact without a path")
        found = await auditor.offload(auditor.mirror.find, path)
        if found is None or found.kind != "file":
            return compared(row, path, None)
        if found.size != row.size:
            return compared(row, path, (found.size, ""))
        if self._takes_long(row.size_unpacked):
            await self._record()
            await auditor.ledger.begin_reading([row], self._clock.now())
        return compared(row, path, await self._reader.digest(path, found.size))

    def _takes_long(self, size: int) -> bool:
        rate = self._settings().rate
        return size > (rate * _RECORDING if rate else _LARGE)

    async def _is_damage(self, row: ArtifactRow) -> bool:
        """Whether the mirror is there, and no pass has changed the file meanwhile."""
        auditor, path = self._auditor, str(row.path)
        await auditor.offload(auditor.mirror.check)
        if self._listener.is_busy(row.key.run_key.repo):
            return False
        async with aclosing(auditor.ledger.at(path)) as rows:
            known = await anext(rows, None)
        return known == row

    async def _cannot_read(self, row: ArtifactRow, error: DiskError, turn: _Turn) -> None:
        """Tell of a file that cannot be read, and go on with the others. ``DiskError``."""
        await self._auditor.offload(self._auditor.mirror.check)
        path = row.path
        if path is None:
            return
        if path not in self._unreadable:
            facts = {"repo": str(row.key.run_key.repo), "run": row.key.run, "path": path}
            _log.error("a file of the mirror cannot be read", why=str(error), **facts)
        self._unreadable[path] = self._clock.monotonic() + _BAD_FILE
        if len(self._unreadable) > _REMEMBERED:
            del self._unreadable[next(iter(self._unreadable))]
        await self._auditor.ledger.begin_reading([row], self._clock.now())
        turn.failed += 1
        if turn.failed >= _IN_A_ROW:
            raise error

    async def _record_if_due(self) -> None:
        together = len(self._right) + len(self._bad)
        if together >= _TOGETHER or self._clock.monotonic() - self._recorded_at >= _RECORDING:
            await self._record()

    async def _record(self) -> None:
        """Record what was found right, and tell of damage."""
        right, self._right = self._right, []
        bad, self._bad = self._bad, []
        self._recorded_at = self._clock.monotonic()
        if bad:
            self._listener.damaged(bad)
        await self._auditor.ledger.note_verified(right, self._clock.now())

    def _count(self, count: int) -> None:
        self._bytes += count


class _Turn:
    """What one round has met."""

    def __init__(self) -> None:
        self.failed = 0
        """Files in a row that could not be read."""
        self.passed = 0
        """Files of repositories with a pass, which were left to the next round."""
        self.busy: set[RepoName] = set()
