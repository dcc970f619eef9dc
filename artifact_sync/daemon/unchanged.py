"""Remembers repositories in which the last pass left nothing to do.

Kept in memory, which is right as long as this process alone writes to the ledger and the mirror:
the mirror's lock sees to it. What lasts is in the ledger; this spares reading it, and records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from artifact_sync.domain.request import PassOptions, PassRequest, Unchanged

if TYPE_CHECKING:
    from collections.abc import Collection

    from artifact_sync.daemon.schedule import Turn
    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.ports import DiscoveryLedger
    from artifact_sync.domain.report import Report
    from artifact_sync.domain.settings import RepoSettings

_LOOK = 3600.0
"""Seconds after which a pass sees whether the mirror's newest files are there."""

_RECORD = 600.0
"""Seconds after which a pass with nothing new is recorded, for those who look without a daemon."""


class _Known(Struct):
    unchanged: Unchanged | None = None
    looked_at: float = 0.0
    """When a pass last looked at the mirror's newest files, on the monotonic clock."""
    recorded_at: float = 0.0
    """When the ledger last heard of a pass."""


async def unchanged_since(
    ledger: DiscoveryLedger, repo: RepoName, report: Report
) -> Unchanged | None:
    """What the next pass may skip, after a complete one. ``DiskError``."""
    held = await ledger.list_digest(repo)
    return Unchanged(held[0], report.repeated) if held is not None else None


class UnchangedRepositories:
    """What is remembered of each repository between two passes."""

    def __init__(self) -> None:
        self._known: dict[RepoName, _Known] = {}

    def request(
        self, turn: Turn, settings: RepoSettings, now: float, *, must_look: bool
    ) -> PassRequest:
        """The request for a turn, which demands as little as possible.

        ``must_look``: each pass has to check the newest files of the mirror.
        """
        known = self._known.get(turn.repo)
        look = must_look or turn.eager or known is None or now - known.looked_at >= _LOOK
        mode = PassOptions(eager=turn.eager, look=look)
        request = PassRequest((settings,), mode=mode, announced=turn.announced)
        if known is None or look or turn.announced or now - known.recorded_at >= _RECORD:
            return request
        return replace(request, unchanged=known.unchanged)

    def ended(
        self, repo: RepoName, request: PassRequest, unchanged: Unchanged | None, now: float
    ) -> None:
        """Remember the end of a pass; ``unchanged`` when it left nothing to do."""
        known = self._known.setdefault(repo, _Known())
        if request.mode.look:
            known.looked_at = now
        if unchanged is None or unchanged != request.unchanged:
            known.recorded_at = now
        known.unchanged = unchanged

    def keep(self, repos: Collection[RepoName]) -> None:
        """Forget all other repositories."""
        self._known = {repo: it for repo, it in self._known.items() if repo in repos}

    def forget(self) -> None:
        """Forget everything: other things are wanted, or files were damaged."""
        self._known.clear()
