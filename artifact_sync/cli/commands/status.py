"""``artifact-sync status``: what the ledger holds and what the daemon does."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec

from artifact_sync.cli.options import as_json, common_and_quick, repositories, root
from artifact_sync.cli.report_text import age, span, table
from artifact_sync.cli.session import begin_work, configuration_beside_daemon
from artifact_sync.domain.errors import ArtifactSyncError
from artifact_sync.domain.jobs import FleetState
from artifact_sync.domain.model import AT_REST, RepoName, State
from artifact_sync.domain.settings import CONTROL_SOCKET, OWN_FOLDER
from artifact_sync.domain.status import DaemonState, RepoStatus, StatusAnswer
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.text import printable
from artifact_sync.runtime.units import counted
from artifact_sync.runtime.units import size_in_words as size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from artifact_sync.domain.settings import Config
    from artifact_sync.domain.status import (
        ConfigState,
        PassState,
        RepoState,
        ScrubState,
        ServiceState,
        WatchState,
    )


@click.command(
    epilog="""\b
Examples:
  artifact-sync status --root ./mirror
  artifact-sync status acme/rocket acme/website
  artifact-sync status --json | jq '.repositories[].states'
  artifact-sync status --json | jq '.daemon.passes'""",
)
@repositories
@root
@as_json
@common_and_quick
def command(
    *, config_file: Path | None, repos: tuple[str, ...], root: Path | None, as_json: bool
) -> int:
    """Show what the ledger holds of each repository: runs, files, sizes, states, last pass.

    While a daemon runs, what it does now, too. Looks at the ledger only: verify looks at the files.
    Works beside a running sync.
    """
    config = configuration_beside_daemon(config_file, root)
    found = _asked(config) or _of_ledger(config)
    if repos:
        _narrow(found, repos)
    lines = [json.dumps(found)] if as_json else _lines(found, config)
    click.echo("\n".join(lines))
    return _complain(found.get("error"))


def _narrow(found: dict[str, Any], names: tuple[str, ...]) -> None:
    """Leave only what is told of these repositories. ``UsageError`` for an unknown one."""
    from artifact_sync.app.selection import checked_names, known_repositories  # noqa: PLC0415 - keeps --help quick

    told = [found["repositories"], (found["daemon"] or {}).get("repositories", [])]
    known = dict.fromkeys(RepoName.parse(it["repo"]) for repos in told for it in repos)
    wanted = set(map(str, known_repositories(checked_names(names), list(known))))
    for repos in told:
        repos[:] = [it for it in repos if it["repo"] in wanted]


def _complain(error: object) -> int:
    """Log that the daemon cannot read its ledger; return the exit code."""
    if not error:
        return 0
    get_logger(__name__).error(f"the daemon cannot read its ledger: {error}")
    return 1


def _asked(config: Config) -> dict[str, Any] | None:
    """Ask the daemon; None if there is none or it does not answer."""
    from artifact_sync.app.locations import root_of  # noqa: PLC0415 - keeps --help quick

    own = root_of(config) / OWN_FOLDER
    if not os.path.lexists(own / CONTROL_SOCKET):
        return None
    begin_work()
    from artifact_sync.daemon.control.client import DaemonClient  # noqa: PLC0415 - likewise
    from artifact_sync.runtime.event_loop import run_plainly  # noqa: PLC0415 - slow, and of no use without a daemon

    try:
        return run_plainly(DaemonClient(own).status())
    except ArtifactSyncError as error:
        get_logger(__name__).warning(f"without the daemon's word: {error}")
        return None


def _of_ledger(config: Config) -> dict[str, Any]:
    """What the ledger alone tells."""
    from artifact_sync.app.read_ledger import read_status  # noqa: PLC0415 - keeps --help quick

    answer = StatusAnswer(repositories=read_status(config), daemon=None)
    found: dict[str, Any] = msgspec.to_builtins(answer.with_fleet(_fleet(config)))
    return found


def _fleet(config: Config) -> FleetState | None:
    """All workers; None where they could not share a ledger."""
    if config.ledger.url is None or config.ledger.url.startswith("sqlite"):
        return None
    from artifact_sync.app.fleet_status import read_fleet  # noqa: PLC0415 - keeps --help quick
    from artifact_sync.runtime.event_loop import run_plainly  # noqa: PLC0415 - slow, and seldom needed

    return run_plainly(read_fleet(config))


def _lines(found: dict[str, Any], config: Config) -> list[str]:
    """Lines for people: the daemon, a table of repositories, their last errors."""
    now = datetime.now(UTC)
    repos = msgspec.convert(found["repositories"], list[RepoStatus])
    daemon = msgspec.convert(found["daemon"], DaemonState | None)
    errors = {it.repo: f"last error of {it.repo}: {it.last_error}" for it in repos if it.last_error}
    if daemon is not None:
        known = {it.repo for it in repos}
        names = (it.repo for it in daemon.repositories)
        repos += [RepoStatus(repo=name) for name in names if name not in known]
        errors |= check_errors(daemon)
    lines = live_lines(daemon, now) if daemon is not None else []
    if "workers" in found:
        lines += fleet_lines(msgspec.convert(found, FleetState))
    if repos:
        lines += table(_rows(repos, daemon, now))
    else:
        from artifact_sync.app.locations import nothing_mirrored  # noqa: PLC0415 - keeps --help quick

        lines.append(nothing_mirrored(config))
    lines += [printable(line) for it in repos for line in endangered_lines(it)]
    lines += [printable(errors[repo]) for repo in sorted(errors)]
    return lines + [printable(sentence) for it in repos for sentence in it.unfit or ()]


def _rows(
    repos: list[RepoStatus], daemon: DaemonState | None, now: datetime
) -> list[tuple[str, ...]]:
    counts, ages = ("RUNS", "FILES", "SIZE", "OUTSTANDING"), ("LAST PASS", "LAST COMPLETE")
    head = ("REPOSITORY", *counts, "VERIFIED", *ages)
    ordered = sorted(repos, key=lambda it: it.repo)
    rows = [head, *(_row(it, now) for it in ordered)]
    if daemon is None:
        return rows
    states = {it.repo: it for it in daemon.repositories}
    looks = ["NEXT LOOK", *(next_check(states.get(it.repo)) for it in ordered)]
    return [(*row, look) for row, look in zip(rows, looks, strict=True)]


def _row(it: RepoStatus, now: datetime) -> tuple[str, ...]:
    if it.is_star:  # on a daemon's schedule: the organisation's list is looked at
        return (printable(it.repo), *["-"] * 7)
    at_rest = {State.MIRRORED, *AT_REST}
    outstanding = sum(n for state, n in it.states.items() if state not in at_rest)
    moments = (it.oldest_verified, it.last_pass, it.last_complete)
    ages = (datetime.fromisoformat(at) if at else None for at in moments)
    return (
        printable(it.repo),
        f"{it.runs:,}",
        f"{it.states.get(State.MIRRORED, 0):,}",
        size(it.bytes),
        f"{outstanding:,}",
        *(age(at, now) for at in ages),
    )


def endangered_lines(it: RepoStatus) -> Iterator[str]:
    """Describe what of a repository vanishes, has vanished, is lost and was displaced."""
    if it.vanishing:
        count = counted(it.vanishing, "outstanding file")
        verb = "vanishes" if it.vanishing == 1 else "vanish"
        yield f"{it.repo}: {count} {verb} upstream within two days"
    if missed := it.expired + it.states.get(State.GONE, 0):
        were = "it was" if missed == 1 else "they were"
        yield f"{it.repo}: {counted(missed, 'file')} vanished upstream before {were} mirrored"
    if it.lost:
        yield f"{it.repo}: {counted(it.lost, 'file')} lost: artifact-sync ls names them"
    if it.pruned_runs:
        yield f"{it.repo}: {counted(it.pruned_runs, 'run')} pruned by the rules of [keep]"
    if it.shared_bytes:
        yield f"{it.repo}: {size(it.shared_bytes)} saved by files that share the same bytes"
    if it.displaced_bytes:
        what = "were in the way: artifact-sync displaced list names them"
        yield f"{it.repo}: {size(it.displaced_bytes)} of files {what}"


def live_lines(state: DaemonState, now: datetime) -> list[str]:
    """Describe what the daemon does and what hinders it."""
    lines = [_headline(state, now), *map(_pass, state.passes), *_traffic(state)]
    lines += [f"trouble: {trouble}" for trouble in state.trouble]
    lines += [*_service(state.service, now), *_config(state.config), *_watch(state.watch)]
    lines += _scrub(state.scrub)
    return [printable(line) for line in lines]


def fleet_lines(fleet: FleetState) -> list[str]:
    """Describe the workers on a mirror, and what waits for them."""
    if not fleet.workers and not fleet.queue.waiting and not fleet.queue.running:
        return []
    queue = f"{counted(fleet.queue.waiting, 'job')} waiting, {fleet.queue.running:,} running"
    if fleet.queue.stalled:
        queue += f" ({fleet.queue.stalled:,} of dead workers)"
    plans = f"{fleet.planner} plans" if fleet.planner is not None else "nobody plans"
    lines = [f"{counted(len(fleet.workers), 'worker')}, {queue}; {plans}"]
    for it in fleet.workers:
        works = ", ".join(it.repos) or "idle"
        kind = "daemon" if it.daemon else f"worker {it.name}"
        seen = f"seen {span(it.seen_ago)} ago"
        lines.append(f"{kind} (process {it.pid} on {it.host}, {seen}): {works}")
    held = {it.repo for it in fleet.locks} - {repo for it in fleet.workers for repo in it.repos}
    lines += [f"{repo} is held by another process" for repo in sorted(held)]
    return [printable(line) for line in lines]


def next_check(state: RepoState | None) -> str:
    """When a repository is checked next, for a column of the table."""
    if state is None or (state.due_in is None and not state.running):
        return "-"
    if state.running or state.due_in is None:
        return "running"
    return f"in {span(state.due_in)}" if state.due_in >= 1 else "due"


def check_errors(state: DaemonState) -> dict[str, str]:
    """A line for each repository whose last check failed."""
    return {
        it.repo: printable(f"the last look at {it.repo} failed{_repeatedly(it)}: {it.error}")
        for it in state.repositories
        if it.error
    }


def _headline(state: DaemonState, now: datetime) -> str:
    free = f", {size(state.free)} free" if state.free is not None else ""
    begun = f"daemon: process {state.pid}, started {_since(state.since, now)}{free}"
    return f"{begun}, stopping" if state.stopping else begun


def _pass(state: PassState) -> str:
    begun = f"{state.repo}: under way for {span(state.seconds)} ({state.why})"
    if not state.planned:
        return begun
    failed = f", {state.failed:,} failed" if state.failed else ""
    return (
        f"{begun}, {state.done:,} of {counted(state.planned, 'file')}, {size(state.bytes)}{failed}"
    )


def _traffic(state: DaemonState) -> Iterator[str]:
    if state.downloads:
        limit = f" (limit {size(state.limit)}/s)" if state.limit is not None else ""
        yield f"{counted(state.downloads, 'download')} at {size(state.rate)}/s{limit}"
    if state.queue:
        what = "room" if state.service.reachable else "the service"
        yield f"due and waiting for {what}: {state.queue:,}"


def _service(state: ServiceState, now: datetime) -> Iterator[str]:
    if not state.reachable:
        yield f"the service cannot be reached (began {_since(state.since, now)}): {state.why}"


def _config(state: ConfigState) -> Iterator[str]:
    if state.problems:
        yield f"{state.path or 'the configuration'} was not taken as it is now:"
        yield from (f"  {problem}" for problem in state.problems)
    if state.restart_needed:
        yield f"these count only after a restart of the daemon: {', '.join(state.restart_needed)}"


def _watch(state: WatchState) -> Iterator[str]:
    if state.working:
        found = f"{counted(state.damaged, 'file')} damaged, {state.restored:,} restored"
        yield f"watching the mirror ({state.mode}): {found}"
    elif state.mode != "off":
        why = f": {state.why}" if state.why else ""
        yield f"the watch over the mirror does not work, and each pass looks instead{why}"


def _scrub(state: ScrubState) -> Iterator[str]:
    if state.why:
        yield f"the mirror is not verified for the time being: {state.why}"
    if state.damaged:
        yield f"verifying the mirror: {counted(state.damaged, 'file')} damaged"
    if state.unreadable:
        yield f"verifying the mirror: {counted(state.unreadable, 'file')} unreadable, see the log"


def _repeatedly(state: RepoState) -> str:
    return f" ({state.failing:,} in a row)" if state.failing > 1 else ""


def _since(moment: str, now: datetime) -> str:
    """How long ago; the text itself when it is no moment."""
    try:
        return age(datetime.fromisoformat(moment), now)
    except (ValueError, TypeError):
        return moment or "a while ago"
