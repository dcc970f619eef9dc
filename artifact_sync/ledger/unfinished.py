"""How a ledger says that a mirror is being moved to it."""

from __future__ import annotations

_UNFINISHED = "move of "


def id_meanwhile(mirror: str) -> str:
    """The id of a ledger to which this mirror is being moved."""
    return f"{_UNFINISHED}{mirror}"


def unfinished_move(held: str | None) -> str | None:
    """The mirror that is being moved to a ledger with this id, if any."""
    return held.removeprefix(_UNFINISHED) if held and held.startswith(_UNFINISHED) else None
