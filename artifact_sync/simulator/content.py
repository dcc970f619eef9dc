"""Simulated files: contents (generated, literal, or a digest line), and the store's objects.

Generated content is a stream of 1 MiB blocks. Each begins with a digest of (seed, key, size, block
number) and goes on with a pseudo-random megabyte, rotated by that digest: any offset costs one
hash and one copy, and bytes from a wrong offset or another file do not pass for the right ones.

An object's key says nothing of the artifact (a digest of its identity), so that no hostile name
becomes part of a URL or of an exported path.
"""

from __future__ import annotations

import hashlib
import mimetypes
import os
from base64 import b64encode
from dataclasses import dataclass
from email.utils import format_datetime
from functools import cache, cached_property
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from artifact_sync.domain.model import ArtifactKey
    from artifact_sync.simulator.scenario import Files

BLOCK = 1 << 20
_PART = 8 << 20
_ONE_PART_AT_MOST = 64 << 20
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


def object_key(key: ArtifactKey) -> str:
    """The key of an artifact's object: stable, opaque, safe in URLs and paths."""
    text = "\0".join(key).encode("utf-8", "surrogatepass")
    name = hashlib.sha256(text).hexdigest()[:34]
    return f"{name[:2]}/{name[2:]}"


@dataclass(frozen=True)
class StoredObject:
    """A stored file. Digests are computed on first use."""

    key: ArtifactKey
    content: Content
    modified: datetime
    content_type: str = ""

    @property
    def type(self) -> str:
        """The media type: as set, else guessed from the path."""
        guessed, packed = mimetypes.guess_type(self.key.local_path.rpartition("/")[2])
        octets = "application/octet-stream"
        return self.content_type or (octets if packed else guessed or octets)

    @property
    def last_modified(self) -> str:
        """The date in HTTP's form (RFC 9110, 5.6.7)."""
        return format_datetime(self.modified, usegmt=True)

    @cached_property
    def md5(self) -> bytes:
        """MD5 of the whole content."""
        return content_digest(self.content, "md5")

    @cached_property
    def sha256(self) -> bytes:
        """SHA-256 of the whole content."""
        return content_digest(self.content, "sha256")

    def etag(self, style: str) -> str:
        """A strong ETag, quoted; empty for ``none``. ``md5`` hashes the content."""
        if style == "none":
            return ""
        if style == "md5" or (style == "auto" and self.content.size <= _ONE_PART_AT_MOST):
            return f'"{self.md5.hex()}"'
        name = hashlib.md5(self.content.identity.encode(), usedforsecurity=False).hexdigest()
        return f'"{name}-{max(1, -(-self.content.size // _PART))}"'

    def headers(self, files: Files) -> dict[str, str]:
        """Headers of a 200. Not for the event loop.

        The first time it may hash gigabytes: for an ETag, or for a digest line, which is made
        ready.
        """
        self.content.read(0, 1)
        headers = {
            "accept-ranges": "bytes",
            "content-type": self.type,
            "last-modified": self.last_modified,
        }
        if etag := self.etag(files.etag):
            headers["etag"] = etag
        return headers | {name: self._digest(name) for name in files.digests}

    def _digest(self, header: str) -> str:
        if header == "content-md5":
            return b64encode(self.md5).decode()
        digest = b64encode(self.sha256).decode()
        return digest if header == "x-amz-checksum-sha256" else f"sha-256=:{digest}:"

    def export(self, path: Path) -> Path:
        """Write the file, for another server."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.writelines(content_chunks(self.content))
        seconds = self.modified.timestamp()
        os.utime(path, (seconds, seconds))
        return path
