"""Contents of simulated files: generated, literal, or a digest line.

Generated content is a stream of 1 MiB blocks. Each begins with a digest of (seed, key, size, block
number) and goes on with a pseudo-random megabyte, rotated by that digest: any offset costs one
hash and one copy, and bytes from a wrong offset or another file do not pass for the right ones.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 1 << 20
_HEAD = hashlib.sha256().digest_size


class Content(Protocol):
    """Bytes that can be read at any offset, always the same."""

    @property
    def size(self) -> int:
        """Number of bytes, known without reading them."""

    @property
    def identity(self) -> str:
        """A cheap text that differs where the bytes differ."""

    def read(self, offset: int, length: int) -> bytes:
        """Read at most ``length`` bytes at an offset; none at the end."""


@cache
def _noise() -> bytes:
    """A pseudo-random megabyte, twice, so that every rotation of it is one slice."""
    return hashlib.shake_256(b"artifact-sync simulator").digest(BLOCK) * 2


@dataclass(frozen=True)
class Generated:
    """Pseudo-random bytes that depend on seed, key and size only."""

    seed: str
    key: str
    size: int

    @cached_property
    def identity(self) -> str:
        """A digest of what the bytes depend on."""
        text = "\0".join((self.seed, self.key, str(self.size)))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def read(self, offset: int, length: int) -> bytes:
        """Read, at most to the end of a block's head or of its rest."""
        block, at = divmod(offset, BLOCK)
        head = hashlib.sha256(f"{self.identity}:{block}".encode()).digest()
        length = min(length, self.size - offset, BLOCK - at)
        if at < _HEAD:
            return head[at : at + max(0, length)]
        begin = int.from_bytes(head[:4]) % BLOCK + at - _HEAD
        return _noise()[begin : begin + max(0, length)]


@dataclass(frozen=True)
class Literal:
    """Bytes as given."""

    data: bytes

    @property
    def size(self) -> int:
        """Number of bytes."""
        return len(self.data)

    @cached_property
    def identity(self) -> str:
        """A digest of the bytes."""
        return hashlib.sha256(self.data).hexdigest()

    def read(self, offset: int, length: int) -> bytes:
        """Read all that is wanted at once."""
        return self.data[offset : offset + length]


@dataclass(frozen=True)
class DigestLine:
    """What ``sha256sum NAME`` would print of another content."""

    of: Content
    name: str

    @property
    def size(self) -> int:
        """Number of bytes, known without hashing."""
        return hashlib.sha256().digest_size * 2 + len(self._tail)

    @property
    def identity(self) -> str:
        """The identity of the digested content, and the name."""
        return f"{self.of.identity}:{self.name}"

    def read(self, offset: int, length: int) -> bytes:
        """Read; the first call hashes the other content."""
        return self._line[offset : offset + length]

    @cached_property
    def _line(self) -> bytes:
        return content_digest(self.of, "sha256").hex().encode() + self._tail

    @property
    def _tail(self) -> bytes:
        return f"  {self.name}\n".encode("utf-8", "surrogatepass")


def content_chunks(content: Content, size: int = BLOCK) -> Iterator[bytes]:
    """Iterate over the whole content."""
    offset = 0
    while piece := content.read(offset, size):
        yield piece
        offset += len(piece)


def content_digest(content: Content, algorithm: str) -> bytes:
    """Hash the whole content."""
    hasher = hashlib.new(algorithm, usedforsecurity=False)
    for piece in content_chunks(content):
        hasher.update(piece)
    return hasher.digest()
