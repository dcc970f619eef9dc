"""Checks that mirror and ledger belong together, by the mirror's id."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.domain.errors import UsageError
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.mirror.local.identity import ID, new_id, read_id, write_id

if TYPE_CHECKING:
    from pathlib import Path

    from artifact_sync.domain.ports import ArtifactLedger, Ledger
    from artifact_sync.runtime.threads import Offload


class MirrorIds(Struct, frozen=True):
    """The ids in a ledger and at a mirror's root."""

    held: str | None
    """The id in the ledger."""
    here: str | None
    """The id at the root; None: none. Empty: the user says that this is the ledger's mirror."""
    inside: bool
    """Whether the ledger's file goes where the mirror goes."""
    used: bool
    """Whether the ledger knows mirrored files."""

    @property
    def agreed(self) -> str | None:
        """The id of both; empty: none yet; None: they do not belong together."""
        if self.here == "":
            return self.held or ""
        if self.held is not None:
            return self.held if self.here == self.held else None
        # an older version kept no ids: only a ledger inside is then known to be this mirror's
        return (self.here or "") if self.inside or not self.used else None


async def check_ids(root: Path, ledger: Ledger, *, inside: bool, offload: Offload) -> MirrorIds:
    """Check the ids without writing. ``UsageError``: they do not belong together."""
    held = await ledger.mirror()
    used = held is None and not inside and await _used(ledger)
    return compare_ids(root, held, await offload(read_id, root), inside=inside, used=used)


def compare_ids(
    root: Path, held: str | None, here: str | None, *, inside: bool, used: bool
) -> MirrorIds:
    """Compare the ids. ``UsageError``: they do not belong together."""
    ids = MirrorIds(held, here, inside, used)
    if ids.agreed is None:
        raise _strangers(root, known=here is not None)
    return ids


async def bind_ids(root: Path, ledger: Ledger, *, inside: bool, offload: Offload) -> None:
    """Write the id where it is missing. ``UsageError``, as above.

    The root's comes first: an id that only the ledger has would be that of a mirror not there.
    """
    ids = await check_ids(root, ledger, inside=inside, offload=offload)
    mirror = ids.agreed or new_id()
    if ids.here != mirror:
        await offload(write_id, root, mirror)
    if await ledger.claim_mirror(mirror) != mirror:
        raise _strangers(root, known=True)  # another process has been faster


async def _used(ledger: ArtifactLedger) -> bool:
    async with aclosing(ledger.mirrored()) as rows:
        async for _ in rows:
            return True
    return False


def _strangers(root: Path, *, known: bool) -> UsageError:
    what = (
        f"the ledger belongs to another mirror than the one at {root}"
        if known
        else f"the ledger belongs to a mirror that is not at {root}"
    )
    return UsageError(
        f"{what}: mount or set mirror.root to the ledger's mirror, or give this root a ledger of"
        f" its own (ledger.url). If it is the ledger's mirror, say so once by making"
        f" {root / OWN_FOLDER / ID} an empty file"
    )
