"""Runs of one repository that webhooks have announced, until they are known as finished."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PATIENCE = 900.0
"""Seconds that an announced run has to show up, from the first look that did not find it."""
_LONGEST = 300.0
_MOST = 256
"""Runs that are waited for at the same time; the listing finds those beyond."""


@dataclass(slots=True)
class _Awaited:
    """One announced run. Times are monotonic."""

    asked: bool = False
    """A turn has been given it."""
    looks: int = 0
    """Looks that did not find it."""
    since: float = 0.0
    due: float = 0.0

    def missed(self, now: float) -> bool:
        """Note a look that did not find it; False: it has had its time."""
        if not self.looks:
            self.since = now
        if now - self.since >= PATIENCE:
            return False
        if not self.looks or now >= self.due:
            self.due = min(now + min(_LONGEST, 2.0**self.looks), self.since + PATIENCE)
            self.looks += 1
        return True


class Announced:
    """The runs that are waited for. Looked for after 1, 2, 4, … up to 300 seconds."""

    def __init__(self) -> None:
        self._runs: dict[str, _Awaited] = {}

    @property
    def runs(self) -> tuple[str, ...]:
        """All of them, in the order of their announcement."""
        return tuple(self._runs)

    @property
    def due(self) -> float | None:
        """When one of them is to be looked for again; None: none is waited for."""
        return min((it.due for it in self._runs.values()), default=None)

    def add(self, run: str) -> None:
        """A webhook announces a run."""
        if len(self._runs) < _MOST:
            self._runs.setdefault(run, _Awaited())

    def ask(self) -> tuple[str, ...]:
        """All of them, for a turn that begins."""
        for awaited in self._runs.values():
            awaited.asked = True
        return self.runs

    def finished(self, runs: Iterable[str]) -> None:
        """These need not be waited for any more."""
        for run in runs:
            self._runs.pop(run, None)

    def missed(self, now: float) -> tuple[str, ...]:
        """A look is over that did not find those that it was given; the ones given up are told."""
        asked = [(run, awaited) for run, awaited in self._runs.items() if awaited.asked]
        given_up = tuple(run for run, awaited in asked if not awaited.missed(now))
        self.finished(given_up)
        return given_up
