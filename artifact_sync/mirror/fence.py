"""What a mirror asks before each change, where other processes work on it, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Fence = Callable[[], Callable[[], None]]
    """Called as a change begins: makes what raises once that is lost which was held then.

    So a change that hangs, and is left, never goes by what others have been given since.
    """


def nobody_else() -> Callable[[], None]:
    """A ``Fence`` that lets everything be done: no other process works on the mirror."""
    return _allow


def _allow() -> None:
    """Nothing is lost."""
