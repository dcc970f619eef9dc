"""The digests that servers send along, rightly computed, by the header that carries them."""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import TYPE_CHECKING

import crc32c

if TYPE_CHECKING:
    from collections.abc import Callable


def base64_of(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def structured(content: bytes) -> str:
    """RFC 9530."""
    return f"sha-256=:{base64_of(hashlib.sha256(content).digest())}:"


def md5(content: bytes) -> str:
    return base64_of(hashlib.md5(content, usedforsecurity=False).digest())


def crc32c_of(content: bytes) -> str:
    return base64_of(struct.pack(">I", crc32c.crc32c(content)))


DIGESTS: dict[str, Callable[[bytes], str]] = {
    "Digest": lambda content: "SHA-256=" + base64_of(hashlib.sha256(content).digest()),
    "Repr-Digest": structured,
    "Content-Digest": structured,
    "Content-MD5": md5,
    "x-amz-checksum-sha256": lambda content: base64_of(hashlib.sha256(content).digest()),
    "x-amz-checksum-crc32c": crc32c_of,
    "x-goog-hash": lambda content: f"crc32c={crc32c_of(content)},md5={md5(content)}",
}
