"""``artifact-sync verify``: compare the mirror with the ledger, and repair it."""

from __future__ import annotations

import functools
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click
from msgspec import UNSET

from artifact_sync.app.examination import opened_examination
from artifact_sync.app.locations import has_ledger, is_in_store, nothing_mirrored
from artifact_sync.app.selection import Overrides, checked_names, with_overrides
from artifact_sync.cli.errors import result_of
from artifact_sync.cli.hash_bar import hash_bar
from artifact_sync.cli.interrupt import StopMessages, until_stopped
from artifact_sync.cli.json_objects import FailureEntry, VerifyAnswer, as_line
from artifact_sync.cli.options import (
    as_json,
    common,
    duration_option,
    no_wait,
    repositories,
    root,
    share_option,
    size_option,
)
from artifact_sync.cli.report_text import failure_line
from artifact_sync.cli.run_pass import PassDisplay, pass_observer
from artifact_sync.cli.session import begin_work, configuration, session, token
from artifact_sync.domain.errors import Reason, UsageError
from artifact_sync.domain.model import Upstream
from artifact_sync.domain.verification import VerifyBounds
from artifact_sync.runtime.event_loop import run_quickly
from artifact_sync.runtime.text import printable
from artifact_sync.runtime.units import counted, size_in_words
from artifact_sync.sync.verify import Condition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from artifact_sync.app.examination import Examination
    from artifact_sync.config.api_token import Token
    from artifact_sync.domain.settings import Config
    from artifact_sync.sync.verify import Finding

_TOLD = (Condition.MISSING, Condition.CHANGED, Condition.EXTRA)


def _bounds(function: Callable[..., int]) -> Callable[..., int]:
    """Add the options that verify a part → ``bounds: VerifyBounds``."""

    @functools.wraps(function)
    def with_bounds(
        *,
        oldest: float | None,
        max_bytes: int | None,
        max_time: float | None,
        older_than: float | None,
        quick: bool,
        **rest: Any,
    ) -> int:
        bounds = VerifyBounds(
            share=oldest,
            max_bytes=max_bytes,
            max_time=max_time,
            older_than=older_than,
            quick=quick,
        )
        return function(bounds=bounds, **rest)

    options = (
        ("--oldest", "SHARE", share_option, "Only so many of the files: 10%."),
        ("--max-bytes", "SIZE", size_option, "Stop before more than this is read: 10GiB."),
        ("--max-time", "TIME", duration_option, "Stop after this time: 1h."),
        ("--older-than", "TIME", duration_option, "Only what was verified so long ago: 30d."),
    )
    for name, metavar, callback, text in reversed(options):
        option = click.option(name, metavar=metavar, callback=callback, help=text)
        with_bounds = option(with_bounds)
    text = "Of an object store: believe the sums that it keeps."
    return click.option("--quick", is_flag=True, help=text)(with_bounds)


@click.command(
    epilog="""\b
Examples:
  artifact-sync verify --root ./mirror
  artifact-sync verify acme/rocket --repair
  artifact-sync verify --oldest 10%
  artifact-sync verify --older-than 30d --max-time 1h

\b
Exit codes: 0 all is as recorded, 5 files were changed or what came for them is
denied, 6 the disk refuses, 7 others work on a repository (--no-wait), 1 files
are missing, or several of these. Files that nobody recorded are told, but are
no fault.""",
)
@repositories
@click.option("--repair", is_flag=True, help="Fetch damaged files again, where they still are.")
@_bounds
@root
@no_wait
@as_json
@common
def command(
    *,
    config_file: Path | None,
    repos: tuple[str, ...],
    repair: bool,
    bounds: VerifyBounds,
    root: Path | None,
    as_json: bool,
) -> int:
    """Hash every mirrored file again: ok, missing, changed; and files that nobody recorded.

    --repair moves a changed file to .artifact-sync/displaced/ and fetches it again.

    --quick, of a mirror in an object store, compares size and SHA-256 with what the store keeps
    beside each, and reads only what was written since it was last known to be right. It counts as
    no verification in ls --json.

    --oldest, --max-bytes, --max-time and --older-than bound it, also together: what was
    verified longest ago comes first, and the next call goes on. At least one file is read.
    Then neither manifests are looked at, nor files that nobody recorded.
    """
    config = with_overrides(configuration(config_file), Overrides(root=root))
    if bounds.quick and not is_in_store(config):
        raise UsageError("--quick is for a mirror in an object store: a disk vouches for nothing")
    if not has_ledger(config):  # nothing to verify must not read as verified
        raise UsageError(nothing_mirrored(config))
    names = checked_names(repos)
    known = token(config.source) if repair else None
    opened = opened_examination(config, tuple(names), repair=repair, bounds=bounds)
    return run_quickly(_verify(opened, config, known, repair=repair, as_json=as_json))


async def _verify(
    opened: AbstractAsyncContextManager[Examination],
    config: Config,
    known: Token | None,
    *,
    repair: bool,
    as_json: bool,
) -> int:
    """Tell findings as they come, repair if so wished, tell the counts."""
    async with opened as examination:
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
    unread = [it.detail for it in examination.found if it.condition is Condition.UNREADABLE]
    session().explain((failure.message, failure.reason) for failure in failures)
    session().explain((detail, Reason.DISK) for detail in unread)
    lines = [f"  {failure_line(failure)}" for failure in failures]
    counts = [f"{examination.ok:,} ok"]
    counts += [
        f"{len(examination.paths(condition)):,} {condition}" for condition in _told(examination)
    ]
    counts += [f"{len(examination.repaired):,} repaired"] if repair else []
    lines.append(", ".join(counts))
    if examination.bounds:
        looked_at, size = f"{examination.files:,}", size_in_words(examination.size)
        of = counted(examination.of_files, "file")
        lines.append(f"looked at {looked_at} of {of} ({size}), what was verified longest ago")
    if not repair:
        advice = list(_advice(examination.left))
        session().explain(advice)
        lines += [line for line, _ in advice]
    return session().mask("\n".join(lines))


def _told(examination: Examination) -> Iterator[Condition]:
    """What is counted: not what was not looked for."""
    for condition in _TOLD:
        if not (examination.bounds and condition is Condition.EXTRA):
            yield condition
    if examination.paths(Condition.UNREADABLE):
        yield Condition.UNREADABLE


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
        unreadable=list(map(str, examination.paths(Condition.UNREADABLE))),
        whole=not examination.bounds,
        files=examination.files,
        bytes=examination.size,
        repaired=list(map(str, examination.repaired)),
        failures=failures if repair or failures else UNSET,
    )
    return as_line(answer)
