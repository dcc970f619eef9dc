"""Pin runs, so that they are never pruned, and take pins away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.sync.context import leased
from artifact_sync.sync.manifests import refresh_manifests

if TYPE_CHECKING:
    from artifact_sync.domain.keeping import Pin
    from artifact_sync.domain.model import RunKey
    from artifact_sync.sync.forget import MirrorKeeper


async def pin_run(keeper: MirrorKeeper, pin: Pin) -> None:
    """Pin a run, and write that into its ``run.json``. ``DiskError``: the next pass does."""
    async with leased(keeper.lock, pin.run.repo):
        await keeper.ledger.pin(pin)
        await refresh_manifests(keeper, pin.run, keeper.origin)


async def unpin_run(keeper: MirrorKeeper, run: RunKey) -> None:
    """Take the pin of a run away; as ``pin_run``."""
    async with leased(keeper.lock, run.repo):
        await keeper.ledger.unpin(run)
        await refresh_manifests(keeper, run, keeper.origin)
