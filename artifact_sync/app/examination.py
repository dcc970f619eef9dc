"""Verify an opened mirror and repair it, for the command line and for Python."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from artifact_sync.app.selection import known_repositories
from artifact_sync.domain.errors import ExitCode, exit_code
from artifact_sync.domain.report import Report
from artifact_sync.sync.verify import DAMAGE, Condition, reasons_of_damage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from artifact_sync.app.repair import Repair
    from artifact_sync.app.storage import Storage
    from artifact_sync.domain.model import MirrorPath, RepoName
    from artifact_sync.sync.verify import Finding


@dataclass(slots=True)
class Examination:
    """Verifies a mirror, or a part of it, and repairs it."""

    store: Storage
    names: tuple[str, ...]
    """Repositories; empty: all that the ledger knows, and what is outside of them."""
    ok: int = field(default=0, init=False)
    found: list[Finding] = field(default_factory=list, init=False)
    """Everything that is not ok."""
    left: list[Finding] = field(default_factory=list, init=False)
    """Damage that was not repaired."""
    report: Report = field(default_factory=Report, init=False)
    """Of the repair's passes."""

    async def look(self) -> AsyncGenerator[Finding]:
        """Hash every file; what is not ok, as it is found."""
        repos = await self._scope()
        async with aclosing(self.store.auditor.look(repos)) as findings:
            async for finding in findings:
                if finding.condition is Condition.OK:
                    self.ok += 1
                else:
                    self.found.append(finding)
                    yield finding
        for finding in await self.store.auditor.outside(repos) if not self.names else ():
            self.found.append(finding)
            yield finding
        self.left = self.damage

    async def repair(self, repair: Repair) -> None:
        """Have the damage repaired."""
        self.left = await repair.run(self.damage, await self._scope())

    async def _scope(self) -> Sequence[RepoName]:
        return known_repositories(self.names, await self.store.ledger.repositories())

    @property
    def damage(self) -> list[Finding]:
        """What was found that a repair is for."""
        return [finding for finding in self.found if finding.condition in DAMAGE]

    @property
    def repaired(self) -> list[MirrorPath]:
        """The paths of repaired files."""
        return [it.path for it in self.damage if it not in self.left]

    def paths(self, condition: Condition) -> list[MirrorPath]:
        """The paths of what was found to be so, repaired or not."""
        return [it.path for it in self.found if it.condition is condition]

    @property
    def exit_code(self) -> ExitCode:
        """The exit code: 0 when all is as recorded, or was repaired."""
        return exit_code(reasons_of_damage(self.left, self.report.failures))
