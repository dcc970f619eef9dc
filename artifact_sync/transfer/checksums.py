"""Computes checksums over a stream and describes a claim of one. No judging."""

from __future__ import annotations

import hashlib
import zlib
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from msgspec import Struct

from artifact_sync.domain.model import Strength

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

Block = bytes | bytearray | memoryview


class _Running(Protocol):
    def update(self, block: Block, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc:
    """A cyclic redundancy check over a stream, big-endian as HTTP fields write it."""

    def __init__(self, step: Callable[[Block, int], int]) -> None:
        self._step = step
        self._value = 0

    def update(self, block: Block) -> None:
        self._value = self._step(block, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


def _crc32c() -> _Crc:
    from crc32c import crc32c  # noqa: PLC0415 - slow to import, and most hosts claim none

    return _Crc(crc32c)


class Algorithm(NamedTuple):
    """A checksum algorithm: bytes of its value, its strength, its constructor."""

    size: int
    strength: Strength
    begin: Callable[[], _Running]


ALGORITHMS = {
    "sha-256": Algorithm(32, Strength.DIGEST, hashlib.sha256),
    "sha-512": Algorithm(64, Strength.DIGEST, hashlib.sha512),
    "sha-1": Algorithm(20, Strength.CHECKSUM, partial(hashlib.sha1, usedforsecurity=False)),
    "md5": Algorithm(16, Strength.CHECKSUM, partial(hashlib.md5, usedforsecurity=False)),
    "crc32c": Algorithm(4, Strength.CHECKSUM, _crc32c),
    "crc32": Algorithm(4, Strength.CHECKSUM, partial(_Crc, zlib.crc32)),
}
"""Every checksum we can check, by the name that claims use."""


CHECKSUM_FILE = "sidecar"
"""Begins the name of a checksum file's claim. Ledgers have held it ever since."""


class Claim(Struct, frozen=True, array_like=True):
    """A checksum of a whole file as somebody states it. ``ValueError`` for an impossible one."""

    name: str
    """Who states it, and what: ``repr-digest:sha-256``."""
    algorithm: str
    """A name of ``checksums.ALGORITHMS``."""
    value: str
    """In lower-case hex."""
    advice: bool = False
    """It may confirm but never condemn: it only looks like a checksum."""

    def __post_init__(self) -> None:
        known = ALGORITHMS.get(self.algorithm)
        if known is None or len(bytes.fromhex(self.value)) != known.size:
            raise ValueError(f"{self.name} is no {self.algorithm}")

    @property
    def strength(self) -> Strength:
        """What the file's bytes are worth once the claim has come true."""
        return ALGORITHMS[self.algorithm].strength


class Hashes:
    """Computes a stream's SHA-256 and whatever else its claims need, in one go."""

    def __init__(self, algorithms: Collection[str] = ()) -> None:
        """``algorithms``: names of ``ALGORITHMS``; ``KeyError`` for any other."""
        self._running = {
            name: ALGORITHMS[name].begin() for name in sorted({"sha-256", *algorithms})
        }

    @property
    def algorithms(self) -> frozenset[str]:
        """What is computed; no other checksum of the bytes can be told."""
        return frozenset(self._running)

    def update(self, block: Block) -> None:
        """Add bytes. Takes milliseconds a megabyte: use a thread, and large blocks.

        All of the algorithms let other threads run meanwhile, from a block of 32 KiB up.
        """
        for running in self._running.values():
            running.update(block)

    def digest(self, algorithm: str) -> bytes:
        """The value over the bytes so far; ``KeyError`` when it is not computed."""
        return self._running[algorithm].digest()

    @property
    def sha256(self) -> str:
        """The SHA-256 of the bytes so far, in lower-case hex."""
        return self.digest("sha-256").hex()
