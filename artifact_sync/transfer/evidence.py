"""Collects checksum claims about a file, hashes its bytes and judges them. Pure."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec
from msgspec import Struct

from artifact_sync.domain.errors import IntegrityFailure
from artifact_sync.domain.model import FileState, StagedContent, Strength, Validator

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from artifact_sync.domain.model import SameFile
    from artifact_sync.domain.ports import Chunk

Judgement = tuple[Strength, tuple[str, ...]]
"""How well a file is vouched for, and the names of what vouches, strongest first."""

_BASE64 = r"[A-Za-z0-9+/]+={0,2}"
_MEMBER = r"(?P<key>[A-Za-z*][A-Za-z0-9_.*-]*)=:(?P<value>[A-Za-z0-9+/=]*):(?: *;.*)?"
_HEX_CRC = r"[0-9A-Fa-f]{8}"
_MD5_ETAG = re.compile(r'"(?P<hex>[0-9A-Fa-f]{32})"')

_FIELD_KEYS = {
    "sha-256": "sha-256",
    "sha-512": "sha-512",
    "sha": "sha-1",
    "md5": "md5",
    "crc32c": "crc32c",
}
"""Keys of RFC 9530 and RFC 3230 → our names. Others (adler, unixsum, ...) are not checked."""

_AMAZON = {
    "x-amz-checksum-sha256": "sha-256",
    "x-amz-checksum-sha512": "sha-512",
    "x-amz-checksum-sha1": "sha-1",
    "x-amz-checksum-md5": "md5",
    "x-amz-checksum-crc32c": "crc32c",
    "x-amz-checksum-crc32": "crc32",
}

_EVIDENCE = ("repr-digest", "digest", "x-goog-hash", "content-digest", "content-md5", *_AMAZON)
"""Headers that may hold a checksum besides the ETag; most answers have none."""

_ALGORITHM_OF_FIELD = {"content-md5": "md5", **_AMAZON}
"""Fields that can hold only one kind of checksum."""

_LEDGER = "ledger"
_HERE = "mirror"
"""Begins the name of evidence that no download has: another file of the mirror was read."""
_SHOWN = 16
_RANK = {strength: rank for rank, strength in enumerate(Strength)}


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
    """A checksum of a whole file, as stated. ``ValueError`` for an impossible one."""

    name: str
    """Who states it, and what: ``repr-digest:sha-256``."""
    algorithm: str
    """A name of ``ALGORITHMS``."""
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


class Identity(Struct, frozen=True):
    """Identifies the remote file that bytes belong to. A resume must match it."""

    validator: Validator = msgspec.field(default_factory=Validator)
    total: int | None = None
    claims: tuple[Claim, ...] = ()
    content_encoding: str = ""
    etag: str = ""
    """As the server gave it, for the record; the validator has it only when it is strong."""
    host: str = ""
    """Of the link, for whoever reads a sidecar; never the link."""

    @property
    def algorithms(self) -> frozenset[str]:
        """The checksums that judging the claims will need."""
        return frozenset(claim.algorithm for claim in self.claims)


class Vouched(Struct, frozen=True):
    """A judged file as the ledger is to record it."""

    size: int
    sha256: str
    strength: Strength
    evidence: tuple[str, ...]
    archive: str = ""
    """What kind of archive it is; empty: nobody has looked."""

    def content(
        self,
        data: Path | Chunk | None,
        written: FileState | None = None,
        same: Sequence[SameFile] = (),
    ) -> StagedContent:
        """The bytes that were judged, to be published."""
        return StagedContent(self.size, self.sha256, data, written, same)


class Recorded(Struct, frozen=True):
    """What the ledger holds of a file whose version upstream is unchanged."""

    sha256: str
    """Lower-case hex."""
    strength: Strength
    evidence: tuple[str, ...]

    def joined(self, strength: Strength, evidence: tuple[str, ...]) -> Judgement:
        """A judgement of the same bytes, no weaker than the recorded one."""
        names = dict.fromkeys((*evidence, *self.evidence))
        return max(strength, self.strength, key=_RANK.__getitem__), tuple(
            sorted(names, key=lambda name: _RANK[_worth(name)], reverse=True)
        )


def claims(headers: Mapping[str, str], *, partial: bool) -> tuple[Claim, ...]:
    """Claims about a whole file in headers (lower-case names); malformed ones are ignored.

    ``partial``: the answer is a 206. Then only what is of the whole by its definition counts:
    Content-Digest and Content-MD5 are of the part, and so may be x-amz-checksum-*. S3 leaves that
    out for most ranges, but for one that falls on a part it is the part's, and for ``0-`` of a file
    uploaded in parts it is the composite one without the ``-N`` that gives it away elsewhere
    (boto/botocore issue 3346).
    """
    if not any(map(headers.__contains__, _EVIDENCE)):
        return tuple(_md5_shaped_etag(headers))
    of_the_whole = (
        *_structured("repr-digest", headers),
        *_instance_digest("digest", headers),
        *_google(headers),
        *_md5_shaped_etag(headers),
    )
    if partial:
        return of_the_whole
    return (
        *of_the_whole,
        *_structured("content-digest", headers),
        *_sound("content-md5", "md5", _unbase64(headers.get("content-md5", ""))),
        *_amazon(headers),
    )


def judge(claims: Iterable[Claim], hashes: Hashes, *, length_known: bool) -> Judgement:
    """Judge hashed bytes by claims.

    ``length_known``: an announced length has been met. Raises ``IntegrityFailure`` when any claim
    but an advice is missed. A claim whose algorithm ``hashes`` lacks is passed over: whoever learns
    of a claim late has to hash the staged bytes again first.
    """
    checkable = [claim for claim in claims if claim.algorithm in hashes.algorithms]
    checkable.sort(key=lambda claim: _RANK[claim.strength], reverse=True)
    vouching = [claim for claim in checkable if _holds(claim, hashes)]
    names = dict.fromkeys(claim.name for claim in vouching)
    if length_known:
        names["length"] = None
    floor = Strength.LENGTH if length_known else Strength.NONE
    return (vouching[0].strength if vouching else floor), tuple(names)


def judge_file(
    identity: Identity, claims: tuple[Claim, ...], recorded: Recorded | None, hashes: Hashes
) -> Judgement:
    """Judge a whole file by its answer, other claims and the ledger. ``IntegrityFailure``."""
    if recorded is not None:
        claims = (*claims, Claim(f"{_LEDGER}:sha-256", "sha-256", recorded.sha256))
    judgement = judge((*identity.claims, *claims), hashes, length_known=identity.total is not None)
    return judgement if recorded is None else recorded.joined(*judgement)


def here_already(
    claims: Iterable[Claim], identity: Identity, recorded: Recorded | None
) -> Judgement:
    """Judge a mirrored file that has the SHA-256 that these claims say."""
    names = [*(it.name for it in claims), f"{_HERE}:sha-256"]
    if identity.total is not None:
        names.append("length")
    judgement = Strength.DIGEST, tuple(dict.fromkeys(names))
    return judgement if recorded is None else recorded.joined(*judgement)


def _worth(name: str) -> Strength:
    """What the evidence of this name is worth."""
    field, _, algorithm = name.partition(":")
    known = ALGORITHMS.get(algorithm or _ALGORITHM_OF_FIELD.get(field, ""))
    return known.strength if known is not None else Strength.LENGTH


def _holds(claim: Claim, hashes: Hashes) -> bool:
    """Whether a claim is true. ``IntegrityFailure`` when it is not, unless it is advice."""
    found = hashes.digest(claim.algorithm).hex()
    if found == claim.value:
        return True
    if claim.advice:
        return False
    raise IntegrityFailure(
        f"the {claim.algorithm.upper()} of the bytes is {_short(found)}"
        f" but {_speaker(claim)} says {_short(claim.value)}"
    )


def _speaker(claim: Claim) -> str:
    field = claim.name.partition(":")[0]
    known = {CHECKSUM_FILE: "the .sha256 file beside it", _LEDGER: "the ledger"}
    return known.get(field) or field.title()


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _structured(field: str, headers: Mapping[str, str]) -> Iterator[Claim]:
    """``Repr-Digest`` and ``Content-Digest`` (RFC 9530): ``sha-256=:BASE64:, ...``.

    A dictionary of structured fields (RFC 9651), of which the last of two equal keys counts. A
    member that is none is passed over alone: the others are evidence as good as ever.
    """
    members = (
        re.fullmatch(_MEMBER, part.strip(" \t")) for part in headers.get(field, "").split(",")
    )
    last = {member["key"].lower(): member["value"] for member in members if member}
    for key, value in last.items():
        yield from _keyed(field, key, _unbase64(value))


def _instance_digest(field: str, headers: Mapping[str, str]) -> Iterator[Claim]:
    """``Digest`` (RFC 3230): ``SHA-256=BASE64,MD5=BASE64``; a CRC-32C is also met in hex."""
    for part in headers.get(field, "").split(","):
        key, _, value = part.strip(" \t").partition("=")
        is_hex = key.lower() == "crc32c" and re.fullmatch(_HEX_CRC, value)
        yield from _keyed(field, key.lower(), bytes.fromhex(value) if is_hex else _unbase64(value))


def _google(headers: Mapping[str, str]) -> Iterator[Claim]:
    """``x-goog-hash: crc32c=BASE64,md5=BASE64``, of the object as Google Cloud Storage keeps it.

    An object kept as gzip is unpacked for whoever does not accept gzip, which the hash is not of.
    """
    kept = headers.get("x-goog-stored-content-encoding", "")
    given = headers.get("content-encoding", "identity")
    if not kept or kept.lower() == given.lower():
        yield from _instance_digest("x-goog-hash", headers)


def _amazon(headers: Mapping[str, str]) -> Iterator[Claim]:
    """``x-amz-checksum-*``, unless it is a checksum of the parts' checksums.

    Such a one ends in ``-N``, which is no Base64, or says so by ``x-amz-checksum-type``.
    """
    if headers.get("x-amz-checksum-type", "").strip().upper() == "COMPOSITE":
        return
    for name, algorithm in _AMAZON.items():
        yield from _sound(name, algorithm, _unbase64(headers.get(name, "")))


def _md5_shaped_etag(headers: Mapping[str, str]) -> Iterator[Claim]:
    """An ETag that may be the content's MD5, as in S3 for what was put in one part."""
    if etag := _MD5_ETAG.fullmatch(headers.get("etag", "").strip()):
        yield Claim("etag:md5", "md5", etag["hex"].lower(), advice=True)


def _keyed(field: str, key: str, value: bytes | None) -> Iterator[Claim]:
    algorithm = _FIELD_KEYS.get(key)
    if algorithm is not None:
        yield from _sound(f"{field}:{algorithm}", algorithm, value)


def _sound(name: str, algorithm: str, value: bytes | None) -> Iterator[Claim]:
    """The claim, if its value has its algorithm's length."""
    if value is not None and len(value) == ALGORITHMS[algorithm].size:
        yield Claim(name, algorithm, value.hex())


def _unbase64(text: str) -> bytes | None:
    """Decode Base64, padded or not (RFC 9651, 4.2.7); None for anything else."""
    text = text.strip(" \t")
    if not re.fullmatch(_BASE64, text):
        return None
    digits = text.rstrip("=")
    if len(digits) % 4 == 1:
        return None
    return base64.b64decode(digits + "=" * (-len(digits) % 4))
