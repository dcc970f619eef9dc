"""Make room for a run whose number an earlier run has had.

A repository was deleted and made anew under its name. What is mirrored of the earlier run stays,
but not in the new one's place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.domain.events import Noticed
from artifact_sync.domain.model import State
from artifact_sync.transfer.staging import drop_staged

if TYPE_CHECKING:
    from artifact_sync.domain.model import Run
    from artifact_sync.sync.context import PassContext


async def displace_run(context: PassContext, run: Run) -> None:
    """Move an earlier run's folder aside as a whole; forget its artifacts.

    A crash in between is made good by the next call: the ledger tells the earlier run's creation
    until its files are moved, and claims none of them by then.
    """
    key, ledger, now = run.key, context.ledger, context.clock.now()
    rows = (await ledger.artifacts(key)).values()
    mirrored = [row for row in rows if row.state is State.MIRRORED]
    await ledger.unsettle(key)
    await ledger.record_states([(row.key, State.WANTED, row.version) for row in mirrored], now)
    transfer = await context.transfer()
    await context.offload(drop_staged, transfer.staging, key)
    folder = context.layout.run_folder(key)
    moved = await context.offload(context.displacement.displace, folder)
    await ledger.begin_anew(run, now)
    if moved is not None:
        context.observer.notify(
            Noticed(
                f"{key} is another one than what was mirrored, its repository was made anew:"
                f" the earlier run's folder is kept as {moved}"
            )
        )
