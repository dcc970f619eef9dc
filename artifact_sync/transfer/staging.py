"""Unfinished bytes: a staged file and its sidecar, from which a download goes on after anything.

Blocking code, to be run off the event loop; one owner at a time (the mirror's lock sees to that).

The sidecar is JSON lines. The first says what the bytes are (key, version, validator, total, the
claims of the answer). Every further one is a checkpoint: so many bytes had this SHA-256. After a
restart the staged bytes are hashed again and only what a checkpoint vouches for is kept, so that
neither a torn write nor a page lost in a power cut ever gets into a mirrored file. A last line says
that all bytes are there and what vouched for them; the sidecar outlives the staged file until the
ledger has the artifact, so that a crash between the two costs no second download.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from functools import cached_property
from io import FileIO
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct, field

from artifact_sync.domain.model import StagedContent, Strength, Validator
from artifact_sync.transfer.evidence import Claim, Hashes, claims_from_json, claims_to_json

if TYPE_CHECKING:
    from pathlib import Path

    from artifact_sync.domain.model import ArtifactKey
    from artifact_sync.domain.ports import Chunk

_BLOCK = 1 << 20
_SAFE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_ABANDONED = 15 * 24 * 3600.0
"""Seconds after which nobody fetches the rest of a staged file: artifacts are kept for 14 days."""


class Identity(Struct, frozen=True):
    """What staged bytes are the beginning of. Bytes of another identity never continue them."""

    validator: Validator = field(default_factory=Validator)
    total: int | None = None
    claims: tuple[Claim, ...] = ()
    content_encoding: str = ""
    etag: str = ""
    """As the server gave it, for the record; the validator has it only when it is strong."""
    host: str = ""
    """Of the link, for whoever looks at the sidecar; never the link."""

    @property
    def algorithms(self) -> frozenset[str]:
        """The checksums that judging the claims will need."""
        return frozenset(claim.algorithm for claim in self.claims)


_NOTHING = Identity()


class Vouched(Struct, frozen=True):
    """All bytes are there and were judged: what the ledger is to hold."""

    size: int
    sha256: str
    strength: Strength
    evidence: tuple[str, ...]

    def content(self, data: Path | Chunk) -> StagedContent:
        """The bytes that were judged, to be published."""
        return StagedContent(self.size, self.sha256, data)


class Staged:
    """One staged file: bytes so far, their hashes, and what they are the beginning of."""

    def __init__(self, folder: Path, key: ArtifactKey, version: str) -> None:
        self._folder = folder
        self._key = key
        self._version = version
        self.there = True
        """Whether there may be something of it on disk."""
        self._part: FileIO | None = None
        self._log: FileIO | None = None
        self._reset(_NOTHING)

    def _reset(self, identity: Identity) -> None:
        self.identity = identity
        self._hashes: Hashes | None = None
        self.offset = 0
        self.vouched: Vouched | None = None

    @property
    def hashes(self) -> Hashes:
        """Of all bytes so far."""
        if self._hashes is None:  # small files never need them
            self._hashes = Hashes(self.identity.algorithms)
        return self._hashes

    @cached_property
    def name(self) -> str:
        """What its files are called, without their endings; small files never need it."""
        return name_of(self._key)

    @cached_property
    def path(self) -> Path:
        """Where the bytes are."""
        return self._folder / f"{self.name}.part"

    @cached_property
    def _sidecar(self) -> Path:
        return self._folder / f"{self.name}.json"

    @cached_property
    def _about(self) -> dict[str, list[str]]:
        parts = [part.encode("utf-8", "replace").decode() for part in self._key]
        return {"key": parts, "version": [self._version]}

    @property
    def open(self) -> bool:
        """Whether there is a staged file at hand."""
        return self._part is not None

    @property
    def resumable(self) -> bool:
        """Whether the rest may be asked for: only a validator says that it is the same file's."""
        return self.offset > 0 and bool(self.identity.validator)

    def recover(self) -> None:
        """Take up what an earlier process left, as far as its checkpoints vouch for it.

        With ``vouched`` set and not ``open`` afterwards, the file has been published already.
        """
        self.shelve()
        try:
            lines = self._sidecar.read_bytes().splitlines()
            self._reset(self._read_identity(lines[0]))
            checkpoints, vouched = _read_lines(lines[1:])
        except (OSError, msgspec.MsgspecError, IndexError, KeyError, TypeError, ValueError):
            self.discard()
            return
        self._recover_bytes(checkpoints, vouched)

    def _recover_bytes(self, checkpoints: dict[int, str], vouched: Vouched | None) -> None:
        try:
            self._part = _open(self.path, os.O_RDWR)
        except FileNotFoundError:
            self.vouched = vouched
            return
        good = _vouched_length(self._part, checkpoints)
        self._part.truncate(good)
        self._part.seek(0)
        while block := self._part.read(_BLOCK):
            self.hashes.update(block)
        self.offset = good
        self.vouched = vouched if vouched is not None and vouched.size == good else None
        self._restart_log()
        if self.vouched is not None:
            self.vouch(self.vouched.strength, self.vouched.evidence)

    def begin(self, identity: Identity) -> None:
        """Start from the first byte."""
        self.there = True  # whatever was thought to be there must make room
        self.discard()
        self.there = True
        self._reset(identity)
        self._part = _open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        self._restart_log()

    def _restart_log(self) -> None:
        """Begin the sidecar anew with what is known to be good, all or nothing."""
        fresh = self._sidecar.with_suffix(".tmp")
        fresh.unlink(missing_ok=True)
        log = _open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            log.write(self._header() + (self._checkpoint() if self.offset else b""))
            fresh.replace(self._sidecar)
        except OSError:
            log.close()
            raise
        self._log = log

    def write(self, *chunks: Chunk) -> None:
        """Add bytes and put up a checkpoint. What was staged before outlives a failure of it."""
        self.append(*chunks)
        self.checkpoint()

    def append(self, *chunks: Chunk) -> None:
        """Add bytes that the next checkpoint is to cover: a crash before it loses them."""
        if self._part is None or self._log is None:
            raise ValueError("write to a staged file that was neither begun nor recovered")
        try:
            for chunk in chunks:
                _write_all(self._part, chunk)
        except OSError:
            self._part.truncate(self.offset)  # gives a full disk back what is of no use
            self._part.seek(self.offset)
            raise
        for chunk in chunks:
            self.hashes.update(chunk)
        self.offset += sum(map(len, chunks))

    def checkpoint(self) -> None:
        """Vouch for all bytes so far, also to whoever comes after a crash."""
        if self._log is not None:
            _write_all(self._log, self._checkpoint())

    def vouch(self, strength: Strength, evidence: tuple[str, ...]) -> Vouched:
        """Note that all bytes are there and were judged, before the file is published."""
        self.vouched = Vouched(self.offset, self.hashes.sha256, strength, evidence)
        if self._log is not None:
            _write_all(self._log, _line({"vouched": [strength, list(evidence)]}))
        return self.vouched

    def shelve(self) -> None:
        """Close the files; what is staged stays for the next try."""
        for file in (self._part, self._log):
            if file is not None:
                file.close()
        self._part = self._log = None

    def discard(self) -> None:
        """Throw the staged bytes and the sidecar away."""
        self.shelve()
        if self.there:
            self.path.unlink(missing_ok=True)
            self._sidecar.unlink(missing_ok=True)
            self.there = False
        self._reset(_NOTHING)

    def forget(self) -> None:
        """The ledger has the artifact: the sidecar has done its duty."""
        self.shelve()
        self._sidecar.unlink(missing_ok=True)
        self.there = False

    def _header(self) -> bytes:
        identity = self.identity
        return _line(
            {
                **self._about,
                "etag": identity.etag,
                "validator": [identity.validator.etag, identity.validator.last_modified],
                "total": identity.total,
                "claims": claims_to_json(identity.claims),
                "content_encoding": identity.content_encoding,
                "host": identity.host,
            }
        )

    def _checkpoint(self) -> bytes:
        return _line({"offset": self.offset, "sha256": self.hashes.sha256})

    def _read_identity(self, line: bytes) -> Identity:
        about = msgspec.json.decode(line)
        if any(about[name] != value for name, value in self._about.items()):
            raise ValueError("staged for something else")
        etag, last_modified = about["validator"]
        return Identity(
            Validator(str(etag), str(last_modified)),
            msgspec.convert(about["total"], int | None),
            claims_from_json(about["claims"]),
            str(about["content_encoding"]),
            str(about["etag"]),
            str(about["host"]),
        )


def sweep(folder: Path) -> set[str]:
    """Remove what nobody will go on with: temporary files, and staged ones older than any link.

    What is left, by its names. What cannot be removed, such as somebody's folder, is no reason not
    to mirror.
    """
    left: set[str] = set()
    for path in folder.iterdir():
        kept = path.suffix in {".part", ".json"}
        with suppress(OSError):
            if kept and time.time() - path.lstat().st_mtime <= _ABANDONED:
                left.add(path.stem)
            else:
                path.unlink(missing_ok=True)
    return left


def name_of(key: ArtifactKey) -> str:
    """A file name for a key: no two keys share one, whatever their parts hold."""
    digest = hashlib.sha256()
    for part in key:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:40]


def _read_lines(lines: list[bytes]) -> tuple[dict[int, str], Vouched | None]:
    """Checkpoints by offset, and the last word if there is one. A torn last line is passed over."""
    checkpoints: dict[int, str] = {}
    vouched = None
    for line in lines:
        try:
            entry: dict[str, Any] = msgspec.json.decode(line, type=dict)
        except msgspec.MsgspecError:
            break
        if "vouched" in entry:
            size = max(checkpoints, default=0)
            strength, evidence = entry["vouched"]
            sha256 = checkpoints.get(size, hashlib.sha256().hexdigest())
            vouched = Vouched(size, sha256, Strength(strength), tuple(map(str, evidence)))
        else:
            checkpoints[int(entry["offset"])] = str(entry["sha256"])
    return checkpoints, vouched


def _vouched_length(part: FileIO, checkpoints: dict[int, str]) -> int:
    """How many of the staged bytes are what was written, as far as the checkpoints say."""
    sha256, good, offset = hashlib.sha256(), 0, 0
    for checkpoint in sorted(checkpoints):
        offset += _hash(part, sha256, checkpoint - offset)
        if offset != checkpoint or sha256.hexdigest() != checkpoints[checkpoint]:
            break
        good = checkpoint
    return good


def _hash(part: FileIO, sha256: hashlib._Hash, count: int) -> int:
    """Hash up to so many bytes; how many there were."""
    left = count
    while left and (block := part.read(min(left, _BLOCK))):
        sha256.update(block)
        left -= len(block)
    return count - left


def _write_all(file: FileIO, data: Chunk) -> None:
    """Write to an unbuffered file, which may take less than it is given."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _open(path: Path, flags: int) -> FileIO:
    """Open unbuffered, never through a symbolic link, readable by the owner alone."""
    mode = "r+" if flags & os.O_RDWR else "w"
    return FileIO(os.open(path, flags | _SAFE, 0o600), mode)


def _line(value: object) -> bytes:
    return msgspec.json.encode(value) + b"\n"
