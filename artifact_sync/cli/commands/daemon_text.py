"""Describes a running daemon's state in words, for ``status``."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from artifact_sync.cli.report_text import age
from artifact_sync.runtime.text import printable
from artifact_sync.runtime.units import size_in_words as size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from artifact_sync.domain.status import (
        ConfigState,
        DaemonState,
        PassState,
        RepoState,
        ServiceState,
        WatchState,
    )


def live_lines(state: DaemonState, now: datetime) -> list[str]:
    """Describe what the daemon does and what hinders it."""
    lines = [_headline(state, now), *map(_pass, state.passes), *_traffic(state)]
    lines += [f"trouble: {trouble}" for trouble in state.trouble]
    lines += [*_service(state.service, now), *_config(state.config), *_watch(state.watch)]
    return [printable(line) for line in lines]


def next_check(state: RepoState | None) -> str:
    """When a repository is checked next, for a column of the table."""
    if state is None or (state.due_in is None and not state.running):
        return "-"
    if state.running or state.due_in is None:
        return "running"
    return f"in {_span(state.due_in)}" if state.due_in >= 1 else "due"


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
    begun = f"{state.repo}: under way for {_span(state.seconds)} ({state.why})"
    if not state.planned:
        return begun
    failed = f", {state.failed:,} failed" if state.failed else ""
    return f"{begun}, {state.done:,} of {state.planned:,} files, {size(state.bytes)}{failed}"


def _traffic(state: DaemonState) -> Iterator[str]:
    if state.downloads:
        limit = f" (limit {size(state.limit)}/s)" if state.limit is not None else ""
        yield f"{_count(state.downloads, 'download')} at {size(state.rate)}/s{limit}"
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
        found = f"{_count(state.damaged, 'file')} damaged, {state.restored:,} restored"
        yield f"watching the mirror ({state.mode}): {found}"
    elif state.mode != "off":
        why = f": {state.why}" if state.why else ""
        yield f"the watch over the mirror does not work, and each pass looks instead{why}"


def _repeatedly(state: RepoState) -> str:
    return f" ({state.failing:,} in a row)" if state.failing > 1 else ""


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _since(moment: str, now: datetime) -> str:
    """How long ago; the text itself when it is no moment."""
    try:
        return age(datetime.fromisoformat(moment), now)
    except (ValueError, TypeError):
        return moment or "a while ago"


def _span(seconds: float) -> str:
    """A duration in the largest unit that fits."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{int(seconds // length)}{unit}"
    return f"{int(seconds)}s"
