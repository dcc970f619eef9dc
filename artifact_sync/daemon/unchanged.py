"""Which repositories lie calm, so that a look costs one request and writes nothing. Pure.

Once an hour, and whenever there is a reason, a repository is looked at in full all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from artifact_sync.domain.request import PassOptions, PassRequest, Unchanged

if TYPE_CHECKING:
    from collections.abc import Collection

    from artifact_sync.daemon.schedule import Turn
    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.settings import RepoSettings

_LASTS = 3600.0
"""Seconds after which a calm is not relied on any more."""

_RECORDED = 600.0
"""Seconds after which a calm pass is recorded all the same, for those who look without a daemon."""

_VAIN = 5
"""Marks in a row that changed with nothing behind it, after which they are not asked for."""


@dataclass(slots=True)
class _Known:
    calm: Unchanged = field(default_factory=Unchanged)
    full_at: float = 0.0
    """When the repository was last looked at in full, on the monotonic clock."""
    vain: int = 0
    recorded_at: float = 0.0
    """When the ledger last heard of a pass over it."""


class Calms:
    """What is remembered of each repository between two passes."""

    def __init__(self) -> None:
        self._known: dict[RepoName, _Known] = {}

    def of(self, repo: RepoName, now: float) -> Unchanged | None:
        """What a pass may rely on; None: nothing, and it need not ask for a mark either."""
        if self.is_due_in_full(repo, now):
            return Unchanged()
        known = self._known[repo]
        return known.calm if known.vain < _VAIN else None

    def is_due_in_full(self, repo: RepoName, now: float) -> bool:
        """Whether it is time to look at everything, the mirror's newest files included."""
        known = self._known.get(repo)
        return known is None or now - known.full_at >= _LASTS

    def ended(self, repo: RepoName, wish: PassRequest, found: Unchanged | None, now: float) -> None:
        """A pass has ended, and has found everything calm or not."""
        known, given = self._known.setdefault(repo, _Known(full_at=now)), wish.calm
        if wish.mode.look:
            known.full_at = now
        if found is None or found is not given:
            known.recorded_at = now
        if found is given and found is not None:
            known.vain = 0
            return
        same = given is not None and given.mark and found and found.report == given.report
        known.vain = known.vain + 1 if same else 0
        known.calm = found or Unchanged()

    def is_unrecorded(self, repo: RepoName, now: float) -> bool:
        """Whether the ledger should hear again that all is well; it counts as told then."""
        known = self._known[repo]
        due = now - known.recorded_at >= _RECORDED
        known.recorded_at = now if due else known.recorded_at
        return due

    def keep(self, repos: Collection[RepoName]) -> None:
        """Only these are looked after from now on."""
        self._known = {repo: it for repo, it in self._known.items() if repo in repos}

    def forget(self) -> None:
        """What is wanted has changed: rely on nothing."""
        self._known.clear()

    def wish(
        self, turn: Turn, settings: RepoSettings, now: float, *, must_look: bool
    ) -> PassRequest:
        """What a turn asks of a pass: as little as will do.

        ``must_look``: each pass has to see for itself whether the mirror's files stand.
        """
        calm = None if must_look else self.of(turn.repo, now)
        if calm is not None and (turn.eager or turn.announced):
            calm = Unchanged()
        look = must_look or turn.eager or self.is_due_in_full(turn.repo, now)
        mode = PassOptions(eager=turn.eager, look=look)
        return PassRequest((settings,), mode=mode, announced=turn.announced, calm=calm)
