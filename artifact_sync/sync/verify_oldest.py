"""Compares what was verified longest ago with the ledger, within bounds."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from artifact_sync.domain.model import State
from artifact_sync.domain.verification import FOR_EVER, DueWindow, ReadingBudget
from artifact_sync.runtime.read_ahead import in_order_of
from artifact_sync.sync.verify import Condition

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from artifact_sync.domain.model import ArtifactKey, ArtifactRow, RepoName
    from artifact_sync.domain.ports import Clock
    from artifact_sync.domain.verification import VerifyBounds
    from artifact_sync.sync.verify import Auditor, Finding

_AHEAD = 64
"""Files that are waiting to be hashed; bounds the memory."""


@dataclass(slots=True)
class BoundedAudit:
    """Looks at files within bounds; not at manifests, nor for files that nobody recorded.

    What is known to be missing comes first, and counts for no bound but the time.
    """

    auditor: Auditor
    clock: Clock
    bounds: VerifyBounds

    async def count(self, repos: Sequence[RepoName]) -> int:
        """How many files these repositories have."""
        totals = [await self.auditor.ledger.totals(repo) for repo in repos]
        return sum(it.states.get(State.MIRRORED, 0) for it in totals)

    async def look(self, repos: Sequence[RepoName], *, everywhere: bool) -> AsyncGenerator[Finding]:
        """Every finding about these repositories, which may be all; the oldest first."""
        budget = ReadingBudget(self.bounds, await self.count(repos), self.clock.monotonic())
        async with aclosing(self._missing(repos, budget)) as missing:
            async for finding in missing:
                yield finding
        rows = self._rows(() if everywhere else repos, budget)
        look = partial(self._file, budget)
        told: set[ArtifactKey] = set()
        async with aclosing(in_order_of(rows, look, _AHEAD)) as looked_at:
            async for file in looked_at:
                if file is None:
                    return
                async with aclosing(self._all_of_file(file, told)) as findings:
                    async for finding in findings:
                        yield finding

    async def _missing(
        self, repos: Sequence[RepoName], budget: ReadingBudget
    ) -> AsyncGenerator[Finding]:
        missing = [it for repo in repos for it in await self.auditor.ledger.missing(repo)]
        for row in missing:
            if row.on_record and not budget.is_late(self.clock.monotonic()):
                for finding in await self._read(row):
                    yield finding

    async def _all_of_file(self, file: Finding, told: set[ArtifactKey]) -> AsyncGenerator[Finding]:
        """A file, and what was unpacked of it or has the same bytes."""
        finding = await self.auditor.confirmed(file)
        if finding is None or (finding.row is not None and finding.row.key in told):
            return
        others = await self._others(finding, told)
        yield finding
        if finding.row is not None and finding.condition is Condition.OK:
            async with aclosing(self._unpacked(finding.row)) as entries:
                async for entry in entries:
                    yield entry
        for row in others:
            for other in await self._read(row):
                yield other

    async def _read(self, row: ArtifactRow) -> list[Finding]:
        """What a file is found to be, unless it was let go meanwhile."""
        found = await self.auditor.confirmed(await self.auditor.file(row))
        return [found] if found is not None else []

    async def _unpacked(self, row: ArtifactRow) -> AsyncGenerator[Finding]:
        """What was unpacked of a file, unless it was let go meanwhile."""
        async with aclosing(self.auditor.unpacked([row])) as entries:
            async for entry in entries:
                if entry.condition is Condition.OK or await self.auditor.is_current(row):
                    yield entry

    async def _others(self, finding: Finding, told: set[ArtifactKey]) -> Sequence[ArtifactRow]:
        """Further names of a damaged file, which are looked at besides; each is told once."""
        sharing = await self.auditor.sharing(finding)
        others = [it for it in sharing if it.key not in told]
        if finding.row is not None and sharing:
            told |= {finding.row.key, *(it.key for it in others)}
        return others

    async def _rows(
        self, repos: Sequence[RepoName], budget: ReadingBudget
    ) -> AsyncGenerator[tuple[ArtifactRow, bool]]:
        """What is looked at, and whether it is the first, which is read whatever it takes."""
        window, ledger = self._window, self.auditor.ledger
        oldest = ledger.least_verified(window.before, repos=repos)
        ahead = ledger.least_verified(FOR_EVER, since=window.after, repos=repos)
        first = True
        for span in (oldest, ahead):
            async with aclosing(span) as rows:
                async for row in rows:
                    if not budget.take(row.size_unpacked, self.clock.monotonic()):
                        return
                    yield row, first
                    first = False

    @property
    def _window(self) -> DueWindow:
        return DueWindow.of(self.clock.now(), self.bounds.older_than or 0.0)

    async def _file(self, budget: ReadingBudget, which: tuple[ArtifactRow, bool]) -> Finding | None:
        """What a file was found to be; None: the time was over before that."""
        row, is_first = which

        def is_late() -> bool:
            return not is_first and budget.is_late(self.clock.monotonic())

        finding = await self.auditor.file(row, is_late)
        return None if is_late() and finding.condition is not Condition.OK else finding
