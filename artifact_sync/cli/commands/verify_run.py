"""Run ``verify``: print findings as they come, repair, print the counts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from artifact_sync.app.examination import Examination
from artifact_sync.app.storage import open_storage
from artifact_sync.cli.interrupt import StopMessages, until_stopped
from artifact_sync.cli.report_text import failure_line, failure_object
from artifact_sync.cli.run_pass import PassDisplay, pass_observer
from artifact_sync.cli.session import begin_work
from artifact_sync.runtime.text import printable
from artifact_sync.sync.verify import Condition

if TYPE_CHECKING:
    from artifact_sync.config.api_token import Token
    from artifact_sync.domain.settings import Config
    from artifact_sync.sync.verify import Finding

_TOLD = (Condition.MISSING, Condition.CHANGED, Condition.EXTRA)


@dataclass(frozen=True, slots=True)
class VerifyCommand:
    """One call of ``verify``."""

    config: Config
    repos: tuple[str, ...]
    """Names; empty: all that the ledger knows."""
    token: Token | None
    repair: bool
    as_json: bool

    async def run(self) -> int:
        """Look, repair if so wished, tell; the exit code."""
        async with open_storage(self.config, rehearse=not self.repair) as store:
            examination = Examination(store, self.repos)
            async for finding in examination.look():
                self._say(finding)
            if self.repair:
                await self._repair(examination)
        self._tell(examination)
        return int(examination.exit_code)

    async def _repair(self, examination: Examination) -> None:
        """Repair, shown and ended by signals as a pass is."""
        begin_work()
        with pass_observer(self.config, PassDisplay(as_json=self.as_json)) as observer:
            work = examination.repair(self.config, observer, self.token)
            await until_stopped(work, [examination], StopMessages())

    def _say(self, finding: Finding) -> None:
        if not self.as_json:
            detail = f" ({finding.detail})" if finding.detail else ""
            click.echo(f"{finding.condition:<8} {printable(finding.path)}{detail}")

    def _tell(self, examination: Examination) -> None:
        if self.as_json:
            click.echo(json.dumps(_object(examination, repair=self.repair)))
            return
        for failure in examination.report.failures:
            click.echo(f"  {failure_line(failure)}")
        counts = [f"{examination.ok:,} ok"]
        counts += [f"{len(examination.paths(condition)):,} {condition}" for condition in _TOLD]
        counts += [f"{len(examination.repaired):,} repaired"] if self.repair else []
        click.echo(", ".join(counts))
        if examination.left and not self.repair:
            click.echo("artifact-sync verify --repair fetches damaged files again")


def _object(examination: Examination, *, repair: bool) -> dict[str, Any]:
    """The object of ``verify --json``."""
    failures = [failure_object(failure) for failure in examination.report.failures]
    return {
        "exit_code": int(examination.exit_code),
        "ok": examination.ok,
        **{str(condition): examination.paths(condition) for condition in _TOLD},
        "repaired": examination.repaired,
        **({"failures": failures} if repair else {}),
    }
