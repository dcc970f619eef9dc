"""Run ``verify``: hash, print findings, repair, and work out the exit code."""

from __future__ import annotations

import json
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from artifact_sync.app.repair import Repair
from artifact_sync.app.selection import known_repositories
from artifact_sync.app.storage import opened_to_read, opened_to_repair
from artifact_sync.cli.interrupt import StopMessages, until_stopped
from artifact_sync.cli.report_text import failure_line
from artifact_sync.cli.run_pass import PassDisplay, shown
from artifact_sync.cli.session import begin_work
from artifact_sync.domain.errors import ExitCode, exit_code
from artifact_sync.domain.report import Report
from artifact_sync.runtime.text import printable
from artifact_sync.sync.verify import DAMAGE, Condition, reasons_of_damage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from artifact_sync.app.storage import Storage
    from artifact_sync.config.api_token import Token
    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.settings import Config
    from artifact_sync.sync.verify import Finding


@dataclass(slots=True)
class Examination:
    """One look through a mirror, or a part of it."""

    config: Config
    repos: tuple[str, ...]
    """Names; empty: all that the ledger knows."""
    token: Token | None
    repair: bool
    as_json: bool
    _ok: int = field(default=0, init=False)
    _bad: list[Finding] = field(default_factory=list, init=False)
    """Everything that is not ok."""
    _left: list[Finding] = field(default_factory=list, init=False)
    """Damage that was not repaired."""
    _report: Report = field(default_factory=Report, init=False)
    """Of the repair's passes."""

    async def run(self) -> int:
        """Look, repair if so wished, tell; the exit code."""
        async with self._opened() as store:
            await self._look(store)
            self._left = self._damage()
            if self.repair:
                await self._repair(store)
        code = exit_code(reasons_of_damage(self._left, self._report.failures))
        self._tell(code)
        return int(code)

    async def _repair(self, store: Storage) -> None:
        """Repair, shown and ended by signals as a pass is."""
        begin_work()
        repos = await self._scope(store)
        with shown(self.config, PassDisplay(as_json=self.as_json)) as observer:
            repair = Repair(store, self.config, observer, self.token)

            async def whole() -> None:
                self._left = await repair.run(self._damage(), repos)

            self._report = await until_stopped(whole(), [repair], StopMessages())

    def _opened(self) -> Any:
        return opened_to_repair(self.config) if self.repair else opened_to_read(self.config)

    async def _look(self, store: Storage) -> None:
        async with aclosing(store.auditor.look(await self._scope(store))) as findings:
            async for finding in findings:
                if finding.condition is Condition.OK:
                    self._ok += 1
                else:
                    self._bad.append(finding)
                    self._say(finding)
        if not self.repos:
            for finding in await store.auditor.outside(await store.ledger.repositories()):
                self._bad.append(finding)
                self._say(finding)

    async def _scope(self, store: Storage) -> list[RepoName]:
        return known_repositories(self.repos, await store.ledger.repositories())

    def _damage(self) -> list[Finding]:
        return [finding for finding in self._bad if finding.condition in DAMAGE]

    def _say(self, finding: Finding) -> None:
        detail = f" ({finding.detail})" if finding.detail else ""
        self._note(f"{finding.condition:<8} {printable(finding.path)}{detail}")

    def _note(self, line: str) -> None:
        if not self.as_json:
            click.echo(line)

    def _tell(self, code: ExitCode) -> None:
        if self.as_json:
            click.echo(json.dumps(self._object(code)))
            return
        for failure in self._report.failures:
            click.echo(f"  {failure_line(failure)}")
        repaired = len(self._damage()) - len(self._left)
        counts = [f"{self._ok:,} ok", *(f"{count:,} {name}" for name, count in self._counts())]
        click.echo(", ".join([*counts, *([f"{repaired:,} repaired"] if self.repair else [])]))
        if self._left and not self.repair:
            click.echo("artifact-sync verify --repair fetches damaged files again")

    def _counts(self) -> Iterable[tuple[str, int]]:
        for condition in (Condition.MISSING, Condition.CHANGED, Condition.EXTRA):
            yield str(condition), sum(1 for it in self._bad if it.condition is condition)

    def _object(self, code: ExitCode) -> dict[str, Any]:
        paths = {
            str(condition): [it.path for it in self._bad if it.condition is condition]
            for condition in (Condition.MISSING, Condition.CHANGED, Condition.EXTRA)
        }
        repaired = [it.path for it in self._damage() if it not in self._left]
        return {"exit_code": int(code), "ok": self._ok, **paths, "repaired": repaired}
