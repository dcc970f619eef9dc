"""How bytes and JSON are garbled. All follows from a seed, which a server's thread can have."""

from __future__ import annotations

import random
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ODD_TEXTS = ("", "..", "/", "a/b", "\0", "\ud800", "\u202e", "CON", "x" * 5000, "%2e%2e", "1e999")
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**63, -(2**70), 1.5, [], {}, [[]], [None], {"": None}, *ODD_TEXTS,
    "success", "2026-13-45T99:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z",
)  # fmt: skip
ODD_BYTES = (b"\0", b"\r\n", b"\xff\xfe", b"\xef\xbb\xbf", b"[" * 2000, b"9" * 400, bytes(70_000))
WRONG_TYPES: dict[str, Callable[[Any], Any]] = {
    "a text": lambda _: "text",
    "a number": lambda _: 5,
    "true": lambda _: True,
    "in a list": lambda value: [value],
    "in an object": lambda value: {"value": value},
}
"""What is never a legal way to write a list or an object."""


@dataclass(frozen=True)
class Garbling:
    """Garbles one thing among many, told apart by their numbers from 0."""

    number: int
    seed: int
    kind: str = ""
    """One of ``WRONG_TYPES``: all that happens is that a list or an object becomes this."""

    def rng(self) -> random.Random:
        return random.Random(self.seed)  # noqa: S311 - a trial, not a secret

    def json(self, value: Any) -> Any:
        """The same with something in it left out, replaced, doubled or wrapped."""
        rng = self.rng()
        if self.kind:
            whole = [value]
            places = [it for it in _places(whole) if isinstance(it[0][it[1]], dict | list)]
            above, key = rng.choice(places)
            above[key] = WRONG_TYPES[self.kind](above[key])
            return whole[0]
        for _ in range(rng.choice((1, 1, 2, 5))):
            places = list(_places(value))
            if not places:
                return _odd(rng)
            rng.choice(_JSON)(*rng.choice(places), rng)
        return value

    def bytes(self, data: bytes) -> bytes:
        """The same with something in it flipped, left out, doubled, inserted or cut."""
        rng = self.rng()
        for _ in range(rng.choice((1, 1, 2, 5))):
            data = rng.choice(_BYTES)(data, rng.randint(0, len(data)), rng)
        return data


def garblings(most: int) -> st.SearchStrategy[dict[int, Garbling]]:
    """By their numbers, which are below ``most``."""
    one = st.builds(Garbling, st.integers(0, most - 1), st.integers(0, 2**32))
    return st.lists(one, min_size=1, max_size=4).map(lambda them: {it.number: it for it in them})


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a value with every key of it."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def _replace(above: Any, key: Any, rng: random.Random) -> None:
    above[key] = _odd(rng)


def _odd(rng: random.Random) -> Any:
    return deepcopy(rng.choice(ODD_VALUES))


def _leave_out(above: Any, key: Any, _: random.Random) -> None:
    del above[key]


def _wrap(above: Any, key: Any, rng: random.Random) -> None:
    above[key] = rng.choice(([above[key]], {"value": above[key]}, str(above[key])))


def _rename(above: Any, key: Any, rng: random.Random) -> None:
    if isinstance(above, dict):
        above[rng.choice((key.upper(), f"{key}s", ""))] = above.pop(key)
    else:
        above.append(above[key])


_JSON: tuple[Callable[[Any, Any, random.Random], None], ...]
_JSON = (_replace, _replace, _leave_out, _wrap, _rename)


def _flip(data: bytes, at: int, rng: random.Random) -> bytes:
    return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]


def _drop(data: bytes, at: int, rng: random.Random) -> bytes:
    return data[:at] + data[at + rng.choice((1, 2, 10, 100)) :]


def _double(data: bytes, at: int, rng: random.Random) -> bytes:
    return data[:at] + data[max(0, at - rng.choice((1, 10, 100))) :]


def _insert(data: bytes, at: int, rng: random.Random) -> bytes:
    return data[:at] + rng.choice(ODD_BYTES) + data[at:]


def _cut(data: bytes, at: int, _: random.Random) -> bytes:
    return data[:at]


def _digits(data: bytes, at: int, rng: random.Random) -> bytes:
    """Another number in the place of the next one."""
    start = next((n for n in range(at, len(data)) if 48 <= data[n] < 58), at)
    end = next((n for n in range(start, len(data)) if not 48 <= data[n] < 58), len(data))
    number = rng.choice((b"0", b"-1", b"1", b"99999999999999999999", b"0x10", b"1.0"))
    return data[:start] + number + data[end:]


_BYTES = (_flip, _drop, _double, _insert, _cut, _digits)
