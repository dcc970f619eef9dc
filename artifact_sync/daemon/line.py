"""The daemon's state in a line, for systemd's STATUS and whoever reads it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.runtime.units import size_in_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from artifact_sync.daemon.api import DaemonState


def line_of(state: DaemonState) -> str:
    """What it does now; what is wrong comes first."""
    return "; ".join([*_wrong(state), _doing(state)])


def _wrong(state: DaemonState) -> Iterator[str]:
    yield from state.trouble
    if not state.service.reachable:
        yield f"the service cannot be used since {state.service.since}"
    if state.config.problems:
        yield "the configuration file is not valid, the one before is used"
    failing = sum(1 for repo in state.repositories if repo.failing)
    if failing and state.service.reachable:
        yield f"{failing} failing"


def _doing(state: DaemonState) -> str:
    if state.stopping:
        return f"stopping, {_count(state.downloads, 'file')} in flight"
    if not state.passes:
        return f"{_repositories(state)}, {_next(state)}"
    planned = sum(it.planned for it in state.passes)
    done = sum(it.done + it.failed for it in state.passes)
    looking = f"looking at {len(state.passes)} of {_repositories(state)}"
    if not planned:
        return looking
    arrived = size_in_words(sum(it.bytes for it in state.passes))
    return f"{looking}: {done}/{planned} files, {arrived}, {size_in_words(state.rate)}/s"


def _repositories(state: DaemonState) -> str:
    names = [it for it in state.repositories if not it.repo.endswith("/*")]
    return _count(len(names), "repository", "repositories")


def _next(state: DaemonState) -> str:
    waits = [it.due_in for it in state.repositories if it.due_in is not None]
    return f"next look in {_duration(min(waits))}" if waits else "nothing to look at"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _duration(seconds: float) -> str:
    """Coarse, so that the line does not change all the time."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return "under a minute"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{round(minutes / 60)} h"  # noqa: PLR2004 - two hours
