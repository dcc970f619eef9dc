"""Which artifacts may have something staged: all others need not look for it on disk.

Kept in memory. It can be relied on because staging has one owner, whoever holds the mirror's lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class StagedNames:
    """Names of staged files, without their endings. On one event loop."""

    def __init__(self, names: Iterable[str] | None = None) -> None:
        """``names``: what was there in the beginning; None: nobody has looked, so anything may."""
        self._names = None if names is None else set(names)

    def __bool__(self) -> bool:
        """Whether there may be anything at all."""
        return self._names is None or bool(self._names)

    def may_hold(self, name: str) -> bool:
        """Whether there may be something of this name."""
        return self._names is None or name in self._names

    def note(self, name: str, *, there: bool) -> None:
        """Whether something of this name has been left."""
        if self._names is None:
            return
        if there:
            self._names.add(name)
        else:
            self._names.discard(name)
