"""Puts a file under its name, and copies away what is in the way."""

from __future__ import annotations

import hashlib
import threading
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from artifact_sync.domain.disk_errors import disk_errors
from artifact_sync.domain.errors import DiskError, StoreUnreachable
from artifact_sync.domain.model import Placed
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.mirror.names import quoted
from artifact_sync.mirror.objects.bucket import PART
from artifact_sync.mirror.objects.store_errors import Conflict
from artifact_sync.mirror.paths import DISPLACED, PROBE, stamp
from artifact_sync.runtime.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from artifact_sync.domain.model import MirrorPath, StagedContent
    from artifact_sync.mirror.objects.bucket import Bucket, Held
    from artifact_sync.mirror.objects.keys import Keys

_log = get_logger(__name__)

_TRIES = 16
"""How often something new may appear in our way before we take it for a fight."""
_LARGEST_COPY = 5 << 30
"""Bytes that S3 copies by one request."""


class Uploader:
    """Writes objects. ``now``: for the names of what is displaced."""

    def __init__(self, bucket: Bucket, keys: Keys, now: Callable[[], datetime]) -> None:
        self._bucket = bucket
        self._keys = keys
        self._now = now
        self._displacing = threading.Lock()
        self._trying_out = threading.Lock()
        self._honours: bool | None = None

    def publish(self, content: StagedContent, path: MirrorPath) -> Placed | None:
        """One file of ``ArtifactStore.publish``; its errors are raised."""
        key, data = self._keys.of(path), content.data
        if data is None:
            return None
        if isinstance(data, Path) and not data.exists() and self._holds(key, content):
            return Placed()  # before a crash
        placed = Placed(self._write(key, content, path))
        if isinstance(data, Path):
            with disk_errors("staging"):
                data.unlink(missing_ok=True)
        return placed

    def _write(self, key: str, content: StagedContent, path: MirrorPath) -> str | None:
        moved = copied = None
        is_small = content.size <= PART
        found = None if is_small and self.honours_conditions else self._bucket.head(key)
        for _ in range(_TRIES):
            if found is not None and self._holds(key, content):
                return moved
            if found is not None and found != copied:
                moved = self.displaced_copy(path, found) or moved
                copied = found
            try:
                self._put(key, content, found, is_small=is_small)
            except Conflict:
                found = self._bucket.head(key)
                continue
            return moved
        raise _contested(path)

    def _put(self, key: str, content: StagedContent, over: Held | None, *, is_small: bool) -> None:
        if not is_small:
            facts = content.size, content.sha256, over
            self._bucket.upload(key, lambda: _checked(content), *facts)
            return
        whole = b"".join(_checked(content))
        self._bucket.put(key, whole, content.sha256, self.mode(over))

    def mode(self, over: Held | None) -> Held | str:
        """How to write an object by ``Bucket.put`` in place of what was found there."""
        return (over or "create") if self.honours_conditions else "overwrite"

    def replace(self, content: bytes, path: MirrorPath) -> None:
        """Write an object over what is there now, and never over what comes later.

        A store's client repeats a request for a while, in which others may have the repository.
        """
        key, found = self._keys.of(path), None
        for _ in range(_TRIES):
            try:
                self._bucket.put(key, content, _sha256(content), self.mode(found))
            except Conflict:
                found = self._bucket.head(key)
                continue
            return
        raise _contested(path)

    def _holds(self, key: str, content: StagedContent) -> bool:
        """Whether the object has these bytes, whatever is said of it."""
        return digest_of_object(self._bucket, key) == (content.size, content.sha256)

    def displaced_copy(self, path: MirrorPath, found: Held) -> str | None:
        """Copy an object to ``displaced``; its new place, None: it is gone."""
        with self._displacing:
            now = self._now()
            for number in count(1):
                place = f"{OWN_FOLDER}/{DISPLACED}/{stamp(now, number)}/{path}"
                target = self._keys.checked(place)
                if self._bucket.head(target) is None:
                    break
            try:
                self._copy(target, found)
            except FileNotFoundError:
                return None
            except Conflict:
                raise replaced_meanwhile(found.key) from None
        return place

    def _copy(self, target: str, found: Held) -> None:
        if found.size <= _LARGEST_COPY:
            self._bucket.copy(found.key, target)
        else:
            self._bucket.copy_by_parts(found, target)

    def prepare(self) -> None:
        """Try out what the first write depends on. ``DiskError``."""
        _ = self.honours_conditions

    @property
    def honours_conditions(self) -> bool:
        """Whether the store refuses to write where a condition is not met; asked once."""
        with self._trying_out:
            if self._honours is None:
                self._honours = honours_conditions(self._bucket, self._keys, leave=True)
                if not self._honours:
                    _log.warning(
                        "this object store ignores conditions (If-None-Match): every file is looked"
                        " for before it is written; let nothing else write to the mirror",
                        store=self._bucket.url,
                    )
            return self._honours


def _contested(path: MirrorPath) -> DiskError:
    words = "something else keeps appearing in its place: stop what writes there"
    return DiskError(f"{quoted(path)}: {words}")


def honours_conditions(bucket: Bucket, keys: Keys, *, leave: bool) -> bool:
    """Whether a second ``create`` of an object is refused.

    ``leave``: the object stays, and answers the next one at once; nobody need be allowed to remove.
    """
    created = [_created(bucket, keys.own(PROBE)) for _ in range(2)]
    if not leave and created[0]:
        bucket.delete([keys.own(PROBE)])
    return not created[-1]


def _created(bucket: Bucket, key: str) -> bool:
    """Whether an empty object could be written there."""
    try:
        bucket.put(key, b"", _sha256(b""), "create")
    except Conflict:
        return False
    except StoreUnreachable:
        raise
    except DiskError:  # it refuses conditions, or to be written to at all
        bucket.put(key, b"", _sha256(b""))
    return True


def digest_of_object(
    bucket: Bucket, key: str, stop: Callable[[], bool] | None = None
) -> tuple[int, str] | None:
    """Hash an object; None: there is none, or ``stop`` says so."""
    hashed, size = hashlib.sha256(), 0
    try:
        for block in bucket.blocks(key):
            if stop is not None and stop():
                return None
            hashed.update(block)
            size += len(block)
    except FileNotFoundError:
        return None
    except Conflict:
        raise replaced_meanwhile(key) from None
    return size, hashed.hexdigest()


def replaced_meanwhile(key: str) -> DiskError:
    """The error of an object that somebody writes to while we read it."""
    return DiskError(f"{quoted(key)}: the object was replaced while it was read")


def _checked(content: StagedContent) -> Iterator[bytes]:
    """The bytes of a staged file. ``DiskError`` at the end where they are not those hashed."""
    hashed = hashlib.sha256()
    for block in _blocks(content.data):
        hashed.update(block)
        yield block
    if hashed.hexdigest() != content.sha256:
        raise DiskError(
            "a staged file was changed by somebody else: let no other program write into the"
            " folder of staged files, and run it again"
        )


def _blocks(data: Path | bytes | memoryview | None) -> Iterator[bytes]:
    if not isinstance(data, Path):
        yield bytes(data or b"")
        return
    with disk_errors("staging"), data.open("rb") as file:
        while block := file.read(1 << 20):
            yield block


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
