"""``artifact-sync verify``: compare the mirror with the ledger, and repair it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click
from msgspec import UNSET

from artifact_sync.app.examination import opened_examination
from artifact_sync.app.locations import has_ledger, nothing_mirrored
from artifact_sync.app.selection import Overrides, checked_names, with_overrides
from artifact_sync.cli.errors import result_of
from artifact_sync.cli.hash_bar import hash_bar
from artifact_sync.cli.interrupt import StopMessages, until_stopped
from artifact_sync.cli.json_objects import FailureEntry, VerifyAnswer, as_line
from artifact_sync.cli.options import as_json, common, repositories, root
from artifact_sync.cli.report_text import failure_line
from artifact_sync.cli.run_pass import PassDisplay, pass_observer
from artifact_sync.cli.session import begin_work, configuration, session, token
from artifact_sync.domain.errors import Reason, UsageError
from artifact_sync.domain.model import Upstream
from artifact_sync.runtime.event_loop import run_quickly
from artifact_sync.runtime.text import printable
from artifact_sync.sync.verify import Condition

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from artifact_sync.app.examination import Examination
    from artifact_sync.config.api_token import Token
    from artifact_sync.domain.settings import Config
    from artifact_sync.sync.verify import Finding

_TOLD = (Condition.MISSING, Condition.CHANGED, Condition.EXTRA)


@click.command(
    epilog="""\b
Examples:
  artifact-sync verify --root ./mirror
  artifact-sync verify acme/rocket --repair

\b
Exit codes: 0 all is as recorded, 5 files were changed or what came for them is
denied, 6 the disk refuses, 1 files are missing, or several of these. Files that
nobody recorded are told, but are no fault.""",
)
@repositories
@click.option("--repair", is_flag=True, help="Fetch damaged files again, where they still are.")
@root
@as_json
@common
def command(
    *,
    config_file: Path | None,
    repos: tuple[str, ...],
    repair: bool,
    root: Path | None,
    as_json: bool,
) -> int:
    """Hash every mirrored file again: ok, missing, changed; and files that nobody recorded.

    --repair moves a changed file to .artifact-sync/displaced/ and fetches it again.
    """
    config = with_overrides(configuration(config_file), Overrides(root=root))
    if not has_ledger(config):  # nothing to verify must not read as verified
        raise UsageError(nothing_mirrored(config))
    names = checked_names(repos)
    known = token(config.source) if repair else None
    return run_quickly(_verify(config, names, known, repair=repair, as_json=as_json))


async def _verify(
    config: Config, names: list[str], known: Token | None, *, repair: bool, as_json: bool
) -> int:
    """Tell findings as they come, repair if so wished, tell the counts."""
    async with opened_examination(config, tuple(names), repair=repair) as examination:
        with hash_bar(examination.progress, shown=not as_json) as clear:
            async for finding in examination.look():
                if not as_json:
                    clear()
                    with suppress(OSError):  # a repair goes on without a reader
                        click.echo(_line(finding))
        if repair:
            await _repair(examination, config, known, as_json=as_json)
    told = (_json if as_json else _words)(examination, repair=repair)
    with result_of(examination.exit_code):
        click.echo(told)
    return int(examination.exit_code)


async def _repair(
    examination: Examination, config: Config, known: Token | None, *, as_json: bool
) -> None:
    """Repair, shown and ended by signals as a pass is."""
    begin_work()
    with pass_observer(config, PassDisplay(as_json=as_json)) as observer:
        work = examination.repair(config, observer, known)
        await until_stopped(work, [examination], StopMessages())


def _line(finding: Finding) -> str:
    detail = f" ({finding.detail})" if finding.detail else ""
    return f"{finding.condition:<8} {printable(finding.path)}{detail}"


def _words(examination: Examination, *, repair: bool) -> str:
    failures = examination.report.failures
    session().explain((failure.message, failure.reason) for failure in failures)
    lines = [f"  {failure_line(failure)}" for failure in failures]
    counts = [f"{examination.ok:,} ok"]
    counts += [f"{len(examination.paths(condition)):,} {condition}" for condition in _TOLD]
    counts += [f"{len(examination.repaired):,} repaired"] if repair else []
    lines.append(", ".join(counts))
    if not repair:
        advice = list(_advice(examination.left))
        session().explain(advice)
        lines += [line for line, _ in advice]
    return session().mask("\n".join(lines))


def _advice(damage: Sequence[Finding]) -> Iterator[tuple[str, Reason]]:
    """What helps: a repair where the service may have the files, else their owner."""
    lost = sum(it.row is not None and it.row.upstream is Upstream.GONE for it in damage)
    if lost < len(damage):
        yield "artifact-sync verify --repair fetches damaged files again", Reason.MISSING
    if lost:
        which = "1 file is" if lost == 1 else f"{lost:,} files are"
        what = "put back from a backup, or let go with artifact-sync forget"
        yield f"{which} gone upstream, too: to be {what}", Reason.LOST


def _json(examination: Examination, *, repair: bool) -> str:
    missing, changed, extra = (list(map(str, examination.paths(it))) for it in _TOLD)
    failures = [FailureEntry.of(failure) for failure in examination.report.failures]
    answer = VerifyAnswer(
        exit_code=int(examination.exit_code),
        ok=examination.ok,
        missing=missing,
        changed=changed,
        extra=extra,
        repaired=list(map(str, examination.repaired)),
        failures=failures if repair else UNSET,
    )
    return as_line(answer)
