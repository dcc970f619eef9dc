"""Opening a ledger by the lightest way that can. What there is to do then is the stores'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.ledger.lite_store import LiteStore
from artifact_sync.ledger.place import plain_place

if TYPE_CHECKING:
    from pathlib import Path

    from artifact_sync.ledger.place import Terms
    from artifact_sync.ledger.store import Store


def open_store(url: str | Path, terms: Terms) -> Store:
    """Open a ledger, bringing it into being or up to date where that is asked for and due."""
    place = plain_place(url)
    if place is not None:
        return LiteStore.open(place, terms)
    from artifact_sync.ledger.alchemy_store import (  # noqa: PLC0415 - half a second
        open_alchemy_store,
    )

    return open_alchemy_store(str(url), terms)
