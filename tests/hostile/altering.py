"""Changing one field of a payload, wherever it stands."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hostile_service import Json


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where every field of a payload stands."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for name, inner in pairs:
        yield (*at, name)
        if isinstance(inner, dict | list):
            yield from paths(inner, (*at, name))


class Absent:
    """In place of a field: nothing at all."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = Absent()


def altered(at: tuple[Any, ...], to: object) -> Callable[[Json], Json]:
    """Replaces the field that stands there, or takes it away."""

    def alter(payload: Json) -> Json:
        fresh = copy.deepcopy(payload)
        node: Any = fresh
        for name in at[:-1]:
            node = node[name]
        if to is ABSENT:
            del node[at[-1]]
        else:
            node[at[-1]] = to
        return fresh

    return alter
