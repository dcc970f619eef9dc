"""A mirror in an object store, with the abilities that make sense there."""

# ruff: noqa: D102 - the contract of every verb stands on its port

from __future__ import annotations

import hashlib
import math
import time
from collections import defaultdict
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING

import msgspec

from artifact_sync.domain.errors import (
    ArtifactSyncError,
    DiskError,
    ObjectsGone,
    UnsafeArchive,
    UnsafePath,
)
from artifact_sync.domain.model import Found, MirrorPath, Placed
from artifact_sync.mirror.names import quoted
from artifact_sync.mirror.objects.displaced_objects import DisplacedObjects
from artifact_sync.mirror.objects.keys import Keys
from artifact_sync.mirror.objects.store_errors import Conflict
from artifact_sync.mirror.objects.upload import (
    Uploader,
    digest_of_object,
    honours_conditions,
    replaced_meanwhile,
)
from artifact_sync.mirror.paths import DISPLACED, id_in, split

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from artifact_sync.domain.archives import ExtractLimits, Unpacked, UnpackedEntry
    from artifact_sync.domain.model import ArchiveFile, DisplacedFile, StagedContent
    from artifact_sync.domain.ports import ManifestSigner
    from artifact_sync.mirror.fence import Fence
    from artifact_sync.mirror.layout import Layout
    from artifact_sync.mirror.objects.bucket import Bucket

_SEEN_LATELY = 2.0
"""Seconds for which the mirror is believed to be the one that was opened."""


def _utc() -> datetime:
    return datetime.now(UTC)


class ObjectMirror:
    """A mirror below a prefix of a bucket.

    ``trust``: seconds between looks at its id.
    """

    def __init__(
        self,
        bucket: Bucket,
        prefix: str,
        layout: Layout,
        *,
        signer: ManifestSigner | None = None,
        now: Callable[[], datetime] = _utc,
        trust: float = _SEEN_LATELY,
    ) -> None:
        self.signer = signer
        self._bucket = bucket
        self._keys = Keys(prefix, layout)
        self._uploader = Uploader(bucket, self._keys, now)
        self._displaced = DisplacedObjects(bucket, self._keys)
        self._trust = trust
        self._id: str | None = None
        self._seen: float | None = None
        """When the mirror was last seen to be the one with that id; None: not yet."""

    def share(self, fence: Fence) -> None:
        """Work beside other processes from now on."""
        self._bucket.fence = fence

    def read_id(self) -> str | None:
        """Read the mirror's id; None: there is none. ``DiskError``."""
        return id_in(self._bucket.read(self._keys.id), f"{self._bucket.url}: .artifact-sync/id")

    def write_id(self, mirror: str, over: str | None) -> bool:
        """Give the mirror its id in place of ``over``; False: something else was there."""
        content, found = f"{mirror}\n".encode(), self._bucket.head(self._keys.id)
        if self.read_id() != over:
            return False
        sha256, mode = hashlib.sha256(content).hexdigest(), self._uploader.mode(found)
        try:
            self._bucket.put(self._keys.id, content, sha256, mode)
        except Conflict:
            return False
        self._id, self._seen = mirror, time.monotonic()
        return True

    def expect(self, mirror: str) -> None:
        """Take the mirror for the one with this id, until it is looked at."""
        self._id, self._seen = mirror, -math.inf

    def try_out(self) -> bool:
        """Read, write, list and remove; whether conditions are honoured. ``DiskError``."""
        self.read_id()
        next(self._bucket.list(self._keys.own(DISPLACED)), None)
        return honours_conditions(self._bucket, self._keys, leave=False)

    def prepare(self) -> None:
        """Find out now whether the store honours conditions, and takes objects. ``DiskError``."""
        self._uploader.prepare()

    def check(self, folder: MirrorPath | None = None) -> None:
        del folder
        found = self.read_id()
        if self._seen is not None and found != self._id:
            raise ObjectsGone(self._bucket.url)
        self._id = found
        self._seen = time.monotonic()

    def _check_lately(self) -> None:
        if self._seen is None or time.monotonic() - self._seen >= self._trust:
            self.check()

    def find(self, path: MirrorPath) -> Found | None:
        self._check_lately()
        found = self._bucket.head(self._keys.of(path))
        if found is None:
            return None
        is_pointer = self._keys.layout.is_latest(path)
        return Found("other" if is_pointer else "file", found.size, found.changed)

    def sizes(self, paths: Collection[MirrorPath]) -> Mapping[MirrorPath, int]:
        groups = defaultdict[str, dict[str, MirrorPath]](dict)
        for path in paths:
            groups[self._keys.group(path)][self._keys.of(path)] = path
        self._check_lately()
        sizes: dict[MirrorPath, int] = {}
        for folder, wanted in groups.items():
            for held in self._bucket.list(self._keys.checked(folder)):
                if held.key in wanted:
                    sizes[wanted[held.key]] = held.size
        return sizes

    def publish(
        self, files: Sequence[tuple[StagedContent, MirrorPath]]
    ) -> Sequence[Placed | ArtifactSyncError | None]:
        self._check_lately()
        return [self._published(content, path) for content, path in files]

    def _published(
        self, content: StagedContent, path: MirrorPath
    ) -> Placed | ArtifactSyncError | None:
        try:
            return self._uploader.publish(content, path)
        except FileNotFoundError:
            return ObjectsGone(self._bucket.url)
        except ArtifactSyncError as error:
            return error

    def read(self, path: MirrorPath) -> bytes | None:
        self._check_lately()
        return self._bucket.read(self._keys.of(path))

    def replace(self, content: bytes, path: MirrorPath) -> None:
        self._check_lately()
        try:
            self._uploader.replace(content, path)
        except FileNotFoundError:
            raise ObjectsGone(self._bucket.url) from None

    def remove(
        self,
        paths: Sequence[MirrorPath],
        folder: MirrorPath | None = None,
        empty: Sequence[MirrorPath] = (),
    ) -> None:
        if folder is not None:
            split(folder)
            for path in (*paths, *empty):
                if not path.startswith(f"{folder}/"):
                    raise UnsafePath(f"{quoted(path)} is not in {quoted(folder)}")
        keys = [self._keys.of(path) for path in paths]
        self._check_lately()
        self._bucket.delete(keys)

    def digest(
        self, path: MirrorPath, stop: Callable[[], bool] | None = None
    ) -> tuple[int, str] | None:
        self._check_lately()
        return digest_of_object(self._bucket, self._keys.of(path), stop)

    def vouched(
        self, path: MirrorPath, since: datetime | None, stop: Callable[[], bool] | None = None
    ) -> tuple[int, str] | None:
        key = self._keys.of(path)
        self._check_lately()
        found = self._bucket.head(key)
        if found is None:
            return None
        is_ours = since is not None and found.changed <= since.timestamp()
        if found.sha256 and is_ours:  # metadata can be copied along, but not the time
            return found.size, found.sha256
        return self.digest(path, stop)

    def write_into(self, file: IO[bytes], path: MirrorPath) -> bool:
        """Copy a file's bytes; whether there is one."""
        self._check_lately()
        return self._write_into(file, self._keys.of(path))

    def write_displaced_into(self, file: IO[bytes], it: DisplacedFile) -> bool:
        """Copy a displaced file's bytes; whether there is one."""
        return self._write_into(file, self._displaced.key_of(it))

    def _write_into(self, file: IO[bytes], key: str) -> bool:
        try:
            for block in self._bucket.blocks(key):
                file.write(block)
        except FileNotFoundError:
            return False
        except Conflict:
            raise replaced_meanwhile(key) from None
        return True

    def spend_reserve(self) -> None:
        """Do nothing: the ledger is on no disk of the store's."""

    def archive_format(self, path: MirrorPath) -> str:
        from artifact_sync.domain.archive_format import archive_format  # noqa: PLC0415 - hardly ever

        key = self._keys.of(path)
        found = self._bucket.head(key)
        if found is None:
            return ""
        size = found.size

        def part(at: int, count: int) -> bytes:
            count = min(count, size - at)
            return self._bucket.part(key, at, count) if count > 0 else b""

        return archive_format(part, size)

    def files(
        self, below: MirrorPath, *, skip: Collection[MirrorPath] = ()
    ) -> Iterator[MirrorPath]:
        folder = "/".join(split(below)) if below else ""
        self._check_lately()
        left_out = frozenset[str](skip)
        top = self._keys.checked(folder) if folder else self._keys.prefix
        paths = (self._keys.path(held.key) for held in self._bucket.list(top))
        wanted = (it for it in paths if it is not None and left_out.isdisjoint(_above(it)))
        yield from sorted(wanted)  # not every store lists by key

    def holds_files(self) -> bool:
        """Whether there is any file, known or not. ``DiskError``."""
        return any(self._keys.path(held.key) for held in self._bucket.list(self._keys.prefix))

    def displace(self, path: MirrorPath) -> str | None:
        key = self._keys.of(path)
        self._check_lately()
        found = self._bucket.head(key)
        moved = self._uploader.displaced_copy(path, found) if found is not None else None
        if moved is not None:
            self._bucket.delete([key])
        return moved

    def displaced(self, below: str = "") -> Iterator[DisplacedFile]:
        self._check_lately()
        yield from self._displaced.files(below)

    def put_back(self, file: DisplacedFile) -> bool:
        self._check_lately()
        return self._displaced.put_back(file)

    def discard(self, files: Iterable[DisplacedFile]) -> Mapping[DisplacedFile, DiskError]:
        self._check_lately()
        return self._displaced.discard(files)

    def point(self, link: MirrorPath, target: MirrorPath) -> None:
        """Write ``latest.json``, which names the run's folder."""
        split(target)
        there, wanted = self.read(link), _pointer(target)
        if there is not None and not _is_pointer(there):
            self.displace(link)
        if there != wanted:
            self.replace(wanted, link)

    def unpoint(self, link: MirrorPath) -> None:
        there = self.read(link)
        if there is not None and _is_pointer(there):
            self.remove([link])

    def remove_links(self, paths: Sequence[MirrorPath]) -> None:
        """There are none but ``latest``."""

    def stands(self, path: MirrorPath, entry: UnpackedEntry) -> bool:
        return entry.is_file and self.digest(path) == (entry.size, entry.sha256)

    def check_packed(self, path: MirrorPath, name: str) -> None:
        """Nothing is unpacked, so that nobody need tell what is in it."""

    def unpack(
        self, file: ArchiveFile, limits: ExtractLimits, stop: Callable[[], None], *, keep: bool
    ) -> Unpacked | None:
        del limits, stop, keep
        raise UnsafeArchive(f"{quoted(file.path)}: nothing is unpacked in an object store")

    def place_unpacked(self, unpacked: Unpacked, folder: MirrorPath) -> str | None:
        del unpacked
        raise UnsafeArchive(f"{quoted(folder)}: nothing is unpacked in an object store")

    def drop_unpacked(self, unpacked: Unpacked) -> None:
        """Nothing was unpacked."""

    def holds(self, folder: MirrorPath, entries: Sequence[UnpackedEntry]) -> bool:
        del folder
        return not entries

    def free(self) -> int | None:
        return None

    def wrote(self, path: str) -> bool:
        del path
        return False

    def uncache(self, path: MirrorPath) -> None:
        """Nothing is kept."""


def _above(path: str) -> Iterator[str]:
    """A path and the folders that it is in."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def _pointer(target: MirrorPath) -> bytes:
    name = target.rpartition("/")[2]
    return msgspec.json.format(msgspec.json.encode({"run": name, "path": target})) + b"\n"


def _is_pointer(content: bytes) -> bool:
    try:
        found = msgspec.json.decode(content, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return found.keys() == {"run", "path"}
