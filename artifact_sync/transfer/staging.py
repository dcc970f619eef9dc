"""Partial downloads on disk, which are resumed after an interruption.

Blocking. Each staged file has one owner at a time, which the mirror's lock ensures.

Beside the bytes lies a sidecar of JSON lines. The first line identifies the remote file (key,
version, validator, total, the claims of the answer). Every further one is a checkpoint: the
SHA-256 of so many bytes. After a restart the bytes are hashed again and cut back to the last
checkpoint that holds, so neither a torn write nor a page lost in a power cut reaches the mirror.
A last line says that all bytes are there and what vouched for them. The sidecar stays until the
ledger has the artifact, so that a crash in between costs no second download.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from contextlib import suppress
from enum import Enum, auto
from functools import cached_property
from io import FileIO
from shutil import rmtree
from typing import TYPE_CHECKING, Any

import msgspec

from artifact_sync.domain.disk_errors import disk_errors
from artifact_sync.domain.errors import DiskError, IntegrityFailure
from artifact_sync.domain.model import ArtifactKey, FileState, StagedContent, Strength
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.transfer.evidence import Hashes, Identity, Vouched

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from artifact_sync.domain.model import RepoName, RunKey
    from artifact_sync.domain.ports import Chunk

_BLOCK = 1 << 20
_SAFE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NOTHING = Identity()
_staging_errors = disk_errors("staging")


class StagedState(Enum):
    """How far a staged file has come."""

    EMPTY = auto()
    """Nothing that could be used."""
    PARTIAL = auto()
    """Its first bytes, perhaps all of them, not judged yet."""
    VOUCHED = auto()
    """All bytes, judged and ready to be published."""
    PUBLISHED = auto()
    """Its bytes were moved into the mirror; the ledger may not have it yet."""


class StagedFile:
    """A staged file: bytes, running hashes, identity of the remote file.

    Verbs that touch the disk block, and raise ``NoSpace`` and ``DiskError``.
    """

    def __init__(
        self, folder: Path, key: ArtifactKey, version: str, *, recoverable: bool = True
    ) -> None:
        """``recoverable``: an earlier owner may have left something on disk."""
        self._folder = folder
        self._key = key
        self._version = version
        self.recoverable = recoverable
        self._part: FileIO | None = None
        self._log: FileIO | None = None
        self._reset(_NOTHING, StagedState.EMPTY)

    def _reset(self, identity: Identity, state: StagedState) -> None:
        self.state = state
        self.identity = identity
        self.offset = 0
        self.mark = ""
        """What was said of the place of the last checkpoint; empty: nothing."""
        self.vouched: Vouched | None = None
        self._written: FileState | None = None
        """The file as our last write left it; None: somebody else has written to it, too."""
        self._hashes: Hashes | None = None

    @property
    def hashes(self) -> Hashes:
        """Of all bytes so far."""
        if self._hashes is None:  # small files never need them
            self._hashes = Hashes(self.identity.algorithms)
        return self._hashes

    @cached_property
    def name(self) -> str:
        """The name of its files without their endings."""
        return name_of(self._key)

    @cached_property
    def path(self) -> Path:
        """The file of its bytes."""
        return self._folder / f"{self.name}.part"

    @cached_property
    def _sidecar(self) -> Path:
        return self._folder / f"{self.name}.json"

    @cached_property
    def _about(self) -> dict[str, list[str]]:
        parts = [part.encode("utf-8", "replace").decode() for part in self._key]
        return {"key": parts, "version": [self._version]}

    @property
    def on_disk(self) -> bool:
        """Whether any file of it may be on disk."""
        return self.recoverable or self.state is not StagedState.EMPTY

    @property
    def open(self) -> bool:
        """Whether it holds open files; ``close`` them."""
        return self._part is not None

    @property
    def resumable(self) -> bool:
        """Whether the rest may be requested: a validator identifies the file."""
        partial = self.state is StagedState.PARTIAL and self.offset > 0
        return partial and bool(self.identity.validator)

    @property
    def complete(self) -> bool:
        """Whether all bytes are here, to be judged or published."""
        if self.state is StagedState.PARTIAL:
            return self.offset == self.identity.total
        return self.state is StagedState.VOUCHED

    @property
    def content(self) -> StagedContent:
        """The vouched file, to be published. ``ValueError`` in any other state."""
        if self.state is not StagedState.VOUCHED or self.vouched is None:
            raise ValueError("publish of a staged file that nothing vouches for")
        return self.vouched.content(self.path, self._written)

    def note(self, names: set[str]) -> None:
        """Keep its name in a set while it may be on disk."""
        if self.on_disk:
            names.add(self.name)
        elif names:  # a small file needs no name
            names.discard(self.name)

    def belongs_to(self, identity: Identity) -> bool:
        """Whether its bytes are of this very body."""
        return self.state is StagedState.PARTIAL and self.identity is identity

    def size(self) -> int:
        """Bytes that an earlier owner has left. Blocking."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    @_staging_errors
    def recover(self) -> None:
        """Take over what an earlier process staged, as far as checkpoints vouch."""
        self.close()
        self.recoverable = False
        try:
            lines = self._sidecar.read_bytes().splitlines()
            identity = self._read_identity(lines[0])
            checkpoints, vouched = _read_lines(lines[1:])
            marks = _marks(lines[1:])
        except (OSError, msgspec.MsgspecError, IndexError, KeyError, TypeError, ValueError):
            self._remove()
            return
        self._reset(identity, StagedState.PARTIAL)
        self._recover_bytes(checkpoints, vouched, marks)

    def _recover_bytes(
        self, checkpoints: dict[int, str], vouched: Vouched | None, marks: dict[int, str]
    ) -> None:
        try:
            self._part = _open(self.path, os.O_RDWR)
        except FileNotFoundError:
            if vouched is None:
                self._remove()
            else:
                self.vouched, self.state = vouched, StagedState.PUBLISHED
            return
        self.offset = _vouched_length(self._part, checkpoints)
        self.mark = marks.get(self.offset, "")
        self._part.truncate(self.offset)
        self._written = _state(self._part)
        self._part.seek(0)
        while block := self._part.read(_BLOCK):
            self.hashes.update(block)
        self._restart_log()
        if vouched is not None and vouched.size == self.offset:
            self._vouch(vouched.strength, vouched.evidence)
            if "length" in vouched.evidence:  # of a log it is known at the end alone
                self.resume(msgspec.structs.replace(self.identity, total=vouched.size))

    @_staging_errors
    def begin(self, identity: Identity) -> None:
        """Start at the first byte of this remote file."""
        self._remove()
        self._reset(identity, StagedState.PARTIAL)
        self._part = _open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        self._written = _state(self._part)
        self._restart_log()

    def resume(self, identity: Identity) -> None:
        """Continue with the same remote file, of which more may be known."""
        self.identity = identity

    def _restart_log(self) -> None:
        """Begin the sidecar anew with what is known to be good, all or nothing."""
        fresh = self._sidecar.with_suffix(".tmp")
        fresh.unlink(missing_ok=True)
        log = _open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            _write_all(log, self._header() + (self._checkpoint() if self.offset else b""))
            fresh.replace(self._sidecar)
        except OSError:
            log.close()
            raise
        self._log = log

    @_staging_errors
    def write(self, *chunks: Chunk, mark: str = "") -> None:
        """Append bytes and a checkpoint. After an error, earlier bytes remain.

        ``mark``: what whoever resumes behind these bytes needs to know.
        """
        if self._part is None or self._log is None:
            raise ValueError("write to a staged file that was neither begun nor recovered")
        is_ours = _state(self._part) == self._written
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
        self._written = _state(self._part) if is_ours else None
        self.mark = mark
        _write_all(self._log, self._checkpoint())

    @_staging_errors
    def vouch(self, strength: Strength, evidence: tuple[str, ...]) -> Vouched:
        """Note that all bytes are here and were judged. Closes its files.

        ``IntegrityFailure`` when they are not those that were hashed as they came.
        """
        if not self._is_unaltered():
            raise IntegrityFailure(
                "what was staged of it was changed while it came: let no other program write below"
                f" {OWN_FOLDER}"
            )
        vouched = self._vouch(strength, evidence)
        self.close()
        return vouched

    def _is_unaltered(self) -> bool:
        try:
            found = FileState.of(self.path.lstat())
            if found != self._written:
                with _open(self.path, os.O_RDWR) as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() != self.hashes.sha256:
                        return False
                self._written = found
        except FileNotFoundError:
            return False
        return True

    def _vouch(self, strength: Strength, evidence: tuple[str, ...]) -> Vouched:
        if self._log is not None:
            _write_all(self._log, _line({"vouched": [strength, list(evidence)]}))
        self.state = StagedState.VOUCHED
        self.vouched = Vouched(self.offset, self.hashes.sha256, strength, evidence)
        return self.vouched

    def keep(self, identity: Identity, content: Chunk, vouched: Vouched) -> None:
        """Stage what was judged in memory and not published; else nothing."""
        try:
            self.begin(identity)
            self.write(content)
            self.vouch(vouched.strength, vouched.evidence)
        except (DiskError, IntegrityFailure):
            with suppress(DiskError):
                self.discard()

    def published(self) -> None:
        """Its bytes have gone into the mirror; the sidecar waits for the ledger."""
        self.state = StagedState.PUBLISHED

    def unpublished(self) -> None:
        """Note that its bytes were not published; lost ones take the sidecar along."""
        with suppress(DiskError, OSError):
            if not self.path.exists():
                self.discard()

    def close(self) -> None:
        """Close its files; what is staged stays."""
        for file in (self._part, self._log):
            if file is not None:
                file.close()
        self._part = self._log = None

    @_staging_errors
    def discard(self) -> None:
        """Throw its bytes and the sidecar away."""
        if self.on_disk:
            self._remove()

    def _remove(self) -> None:
        self.close()
        self.path.unlink(missing_ok=True)
        self._sidecar.unlink(missing_ok=True)
        self.recoverable = False
        self._reset(_NOTHING, StagedState.EMPTY)

    @_staging_errors
    def forget(self) -> None:
        """Remove the sidecar: the ledger has the artifact."""
        self.close()
        self._sidecar.unlink(missing_ok=True)
        self.recoverable = False
        self.state = StagedState.EMPTY

    def _header(self) -> bytes:
        return _line({**self._about, **msgspec.structs.asdict(self.identity)})

    def _checkpoint(self) -> bytes:
        mark = {"mark": self.mark} if self.mark else {}
        return _line({"offset": self.offset, "sha256": self.hashes.sha256, **mark})

    def _read_identity(self, line: bytes) -> Identity:
        about = msgspec.json.decode(line)
        if any(about[name] != value for name, value in self._about.items()):
            raise ValueError("staged for something else")
        return msgspec.convert(about, Identity)


def sweep(folder: Path, oldest: float) -> set[str]:
    """Remove temporary and old staged files; return the names that stay.

    What cannot be removed, such as somebody's folder, is no reason not to mirror.
    """
    left: set[str] = set()
    for path in folder.iterdir():
        with suppress(OSError):
            if _is_of_use(path) and time.time() - path.lstat().st_mtime <= oldest:
                left.add(path.stem)
            elif re.fullmatch(_UNPACKED, path.name) and not path.is_symlink():
                rmtree(path)
            else:
                path.unlink(missing_ok=True)
    return left


_UNPACKED = r"[0-9a-f]{16}\.new\.d"
"""The name of what was being unpacked when a process was killed."""


def _is_of_use(path: Path) -> bool:
    """Whether it is a sidecar, or has one. Without bytes it must name its artifact."""
    sidecar, part = path.with_suffix(".json"), path.with_suffix(".part")
    if path not in {sidecar, part} or not sidecar.exists():
        return False
    return part.exists() or _key_in(sidecar) is not None


def _key_in(sidecar: Path) -> ArtifactKey | None:
    """The artifact that a sidecar names; None for a garbled one."""
    with suppress(OSError, msgspec.MsgspecError, IndexError, KeyError, TypeError):
        header = sidecar.read_bytes().splitlines()[0]
        return ArtifactKey(*msgspec.json.decode(header)["key"])
    return None


def published_keys(folder: Path, names: Iterable[str]) -> dict[str, ArtifactKey]:
    """The artifacts of sidecars whose bytes are gone: they were moved into the mirror."""
    alone = [name for name in names if not (folder / f"{name}.part").exists()]
    keys = {name: _key_in(folder / f"{name}.json") for name in alone}
    return {name: key for name, key in keys.items() if key is not None}


def staged_bytes(folder: Path, repos: Collection[RepoName] | None = None) -> int:
    """Bytes of the files of these repositories' downloads; None: of all of them."""
    size = 0
    with os.scandir(folder) as found:
        for it in found:
            with suppress(OSError):  # it is done meanwhile
                if it.is_file(follow_symlinks=False) and (
                    repos is None or _is_of(folder / it.name, repos)
                ):
                    size += it.stat(follow_symlinks=False).st_size
    return size


def _is_of(path: Path, repos: Collection[RepoName]) -> bool:
    key = _key_in(path.with_suffix(".json"))
    return key is not None and key.run_key.repo in repos


def drop_staged(folder: Path, run: RunKey) -> None:
    """Remove what is staged of a run."""
    for sidecar in folder.glob("*.json"):
        key = _key_in(sidecar)
        if key is not None and key.run_key == run:
            with suppress(OSError):
                sidecar.with_suffix(".part").unlink(missing_ok=True)
                sidecar.unlink()


def name_of(key: ArtifactKey) -> str:
    """A file name for a key; no two keys share one."""
    digest = hashlib.sha256()
    for part in key:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:40]


def _read_lines(lines: list[bytes]) -> tuple[dict[int, str], Vouched | None]:
    """Checkpoints by offset, and the last line if it is there. A torn line ends the reading."""
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


def _marks(lines: list[bytes]) -> dict[int, str]:
    """Marks of checkpoints, by offset. A torn line ends the reading."""
    marks: dict[int, str] = {}
    with suppress(msgspec.MsgspecError):
        for line in lines:
            entry: dict[str, Any] = msgspec.json.decode(line, type=dict)
            if "mark" in entry:
                marks[int(entry["offset"])] = str(entry["mark"])
    return marks


def _vouched_length(part: FileIO, checkpoints: dict[int, str]) -> int:
    """How many of the bytes on disk the checkpoints confirm."""
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


def _state(file: FileIO) -> FileState:
    return FileState.of(os.fstat(file.fileno()))


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
