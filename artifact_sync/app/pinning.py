"""Opens a mirror to pin runs, and to take pins away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.app.forgetting import check_begun, keeper_of, opened_forgetting
from artifact_sync.app.selection import known_repositories
from artifact_sync.app.storage import open_storage
from artifact_sync.daemon.progress import EventFanout
from artifact_sync.domain.errors import UsageError
from artifact_sync.domain.keeping import Pin
from artifact_sync.runtime.text import printable
from artifact_sync.sync.pin import pin_run, unpin_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from artifact_sync.app.forgetting import Forgetting
    from artifact_sync.domain.model import RunKey
    from artifact_sync.domain.settings import Config

LONGEST_REASON = 1000
"""Characters."""


async def put_pin(config: Config, run: RunKey, reason: str) -> Pin:
    """Pin a run. ``UsageError`` for one that nothing is mirrored of."""
    check_begun(config)
    async with opened_forgetting(config) as opened:
        await _check_there(opened, run)
        made = Pin(run, reason, opened.store.clock.now())
        if opened.daemon is not None:
            await opened.daemon.pin(run, reason, config.source.base_url, EventFanout([]))
        else:
            await pin_run(keeper_of(opened.store, config, EventFanout([])), made)
        return made


async def take_pin(config: Config, run: RunKey) -> Pin:
    """Take a pin away; the one that there was. ``UsageError`` where there was none."""
    check_begun(config)
    async with opened_forgetting(config) as opened:
        found = await opened.store.ledger.pinned(run)
        if found is None:
            hint = "artifact-sync pins lists what is"
            raise UsageError(f"{printable(str(run))} is not pinned: {hint}")
        if opened.daemon is not None:
            await opened.daemon.unpin(run, config.source.base_url, EventFanout([]))
        else:
            await unpin_run(keeper_of(opened.store, config, EventFanout([])), run)
        return found


async def read_pins(config: Config, names: Sequence[str]) -> Sequence[Pin]:
    """List pins. ``UsageError`` for a repository that nobody knows."""
    check_begun(config)
    async with open_storage(config, rehearse=True) as store:
        repos = known_repositories(names, await store.ledger.repositories())
        return [it for it in await store.ledger.pins() if it.run.repo in repos]


async def _check_there(opened: Forgetting, run: RunKey) -> None:
    """``UsageError`` for a run that nobody knows, or that was pruned."""
    ledger = opened.store.ledger
    known_repositories([str(run.repo)], await ledger.repositories())
    row = await ledger.run(run)
    if row is None:
        hint = f"artifact-sync ls {run.repo} lists what is known"
        raise UsageError(f"{run.repo} has no run {printable(run.run)}: {hint}")
    if row.pruned_at is not None:
        hint = f"artifact-sync remember {run.repo} {run.run} takes that back"
        raise UsageError(f"{run} was pruned: {hint}")
