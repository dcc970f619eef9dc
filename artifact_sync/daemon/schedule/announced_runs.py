"""Runs of one repository that webhooks have announced, until they have finished."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PATIENCE = 900.0
"""Seconds for an announced run to appear, from the first pass that did not find it."""
_LONGEST = 300.0
_MOST = 256
"""Runs to wait for at the same time; the list of runs shows the others."""


@dataclass(slots=True)
class _Awaited:
    """An announced run. Times are monotonic."""

    asked: bool = False
    """Whether a turn has looked for it."""
    looks: int = 0
    """Passes that did not find it."""
    since: float = 0.0
    due: float = 0.0

    def missed(self, now: float) -> bool:
        """Note a pass that did not find its runs; return those given up."""
        if not self.looks:
            self.since = now
        if now - self.since >= PATIENCE:
            return False
        if not self.looks or now >= self.due:
            self.due = min(now + min(_LONGEST, 2.0**self.looks), self.since + PATIENCE)
            self.looks += 1
        return True


class AnnouncedRuns:
    """Runs to wait for, looked for after 1, 2, 4, … 300 seconds."""

    def __init__(self) -> None:
        self._runs: dict[str, _Awaited] = {}

    @property
    def runs(self) -> tuple[str, ...]:
        """All of them, in the order of their announcement."""
        return tuple(self._runs)

    @property
    def due(self) -> float | None:
        """When to look for one of them again; None: there is none."""
        return min((it.due for it in self._runs.values()), default=None)

    def add(self, run: str) -> None:
        """Add a run that a webhook has announced."""
        if len(self._runs) < _MOST:
            self._runs.setdefault(run, _Awaited())

    def ask(self) -> tuple[str, ...]:
        """All of them, for a turn that begins to look for them."""
        for awaited in self._runs.values():
            awaited.asked = True
        return self.runs

    def finished(self, runs: Iterable[str]) -> None:
        """Stop waiting for these."""
        for run in runs:
            self._runs.pop(run, None)

    def missed(self, now: float) -> tuple[str, ...]:
        """Note that a pass did not find its runs; return those given up."""
        asked = [(run, awaited) for run, awaited in self._runs.items() if awaited.asked]
        given_up = tuple(run for run, awaited in asked if not awaited.missed(now))
        self.finished(given_up)
        return given_up
