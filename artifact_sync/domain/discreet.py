"""A ``Struct`` of which only some fields may be shown."""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import Struct


class Discreet(Struct, frozen=True):
    """Shows, when it is printed or logged, the fields named in ``SHOWN``; the others never."""

    SHOWN: ClassVar[tuple[str, ...]] = ()

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Names and values for ``rich``, which ``msgspec`` would give all of them."""
        return [(name, getattr(self, name)) for name in self.SHOWN]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"
