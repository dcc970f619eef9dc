"""An ``ArtifactStore`` shaped like an object store: keys and contents, no folders, no disk."""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from artifact_sync.domain.archive_format import archive_format
from artifact_sync.domain.errors import ArtifactSyncError, DiskError, UnsafePath
from artifact_sync.domain.model import Found, MirrorPath, Placed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from artifact_sync.domain.archives import UnpackedEntry
    from artifact_sync.domain.model import StagedContent

_OWN = ".artifact-sync"


def _checked(path: str) -> MirrorPath:
    parts = path.split("/")
    if parts[0] == _OWN or any(it in {"", ".", ".."} or "\0" in it for it in parts):
        raise UnsafePath(f"{path!r} is no path for a file of the mirror")
    return MirrorPath(path)


def _content(staged: StagedContent) -> bytes:
    if not isinstance(staged.data, Path):
        return bytes(staged.data)
    try:
        content = staged.data.read_bytes()
    except OSError as error:
        raise DiskError(str(error)) from error
    if len(content) != staged.size:
        raise DiskError("a staged file was changed by somebody else while it was written")
    return content


class MemoryStore:
    """Objects in memory: it displaces what it replaces, and can do nothing else besides."""

    def __init__(self) -> None:
        self.signer = None
        self.objects: dict[str, tuple[bytes, float]] = {}
        self._lock = threading.Lock()

    def check(self, folder: MirrorPath | None = None) -> None:
        """It is always there."""

    def find(self, path: MirrorPath) -> Found | None:
        found = self.objects.get(_checked(path))
        return Found("file", len(found[0]), found[1]) if found is not None else None

    def sizes(self, paths: Collection[MirrorPath]) -> Mapping[MirrorPath, int]:
        keys = [_checked(path) for path in paths]
        return {key: len(self.objects[key][0]) for key in keys if key in self.objects}

    def publish(
        self, files: Sequence[tuple[StagedContent, MirrorPath]]
    ) -> Sequence[Placed | ArtifactSyncError | None]:
        return [self._published(content, path) for content, path in files]

    def _published(
        self, staged: StagedContent, path: MirrorPath
    ) -> Placed | ArtifactSyncError | None:
        if staged.data is None:
            return None
        try:
            key, there = _checked(path), self.read(path)
            same = there is not None and hashlib.sha256(there).hexdigest() == staged.sha256
            gone = isinstance(staged.data, Path) and not staged.data.exists()
            moved = self._put(key, _content(staged)) if not (same and gone) else None
        except ArtifactSyncError as error:
            return error
        if isinstance(staged.data, Path):
            staged.data.unlink(missing_ok=True)
        return Placed(moved)

    def _put(self, key: str, content: bytes) -> str | None:
        with self._lock:
            old = self.objects.get(key)
            moved = None
            if old is not None and old[0] != content:
                stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
                moved = f"{_OWN}/displaced/{stamp}/{key}"
                self.objects[moved] = old
            self.objects[key] = (content, time.time())
        return moved

    def read(self, path: MirrorPath) -> bytes | None:
        found = self.objects.get(_checked(path))
        return found[0] if found is not None else None

    def replace(self, content: bytes, path: MirrorPath) -> None:
        self.objects[_checked(path)] = (content, time.time())

    def remove(
        self,
        paths: Sequence[MirrorPath],
        folder: MirrorPath | None = None,
        empty: Sequence[MirrorPath] = (),
    ) -> None:
        del empty  # there are no folders
        keys = [_checked(path) for path in paths]
        if folder is not None and not all(it.startswith(f"{folder}/") for it in keys):
            raise UnsafePath(f"not all in {folder}")
        for key in keys:
            self.objects.pop(key, None)

    def spend_reserve(self) -> None:
        """Do nothing: memory has no reserve."""

    def archive_format(self, path: MirrorPath) -> str:
        content = self.read(path)
        if content is None:
            return ""
        return archive_format(lambda at, count: content[at : at + count], len(content))

    def digest(
        self, path: MirrorPath, stop: Callable[[], bool] | None = None
    ) -> tuple[int, str] | None:
        content = self.read(path)
        if content is None:
            return None
        for _ in range(0, len(content), 1 << 20):
            if stop is not None and stop():
                return None
        return len(content), hashlib.sha256(content).hexdigest()

    def vouched(
        self, path: MirrorPath, since: datetime | None, stop: Callable[[], bool] | None = None
    ) -> tuple[int, str] | None:
        del since
        return self.digest(path, stop)

    def stands(self, path: MirrorPath, entry: UnpackedEntry) -> bool:
        return entry.is_file and self.digest(path) == (entry.size, entry.sha256)

    def remove_links(self, paths: Sequence[MirrorPath]) -> None:
        """There are none."""

    def files(
        self, below: MirrorPath, *, skip: Collection[MirrorPath] = ()
    ) -> Iterator[MirrorPath]:
        prefix = f"{_checked(below)}/" if below else ""
        for key in sorted(self.objects):
            left_out = any(key == it or key.startswith(f"{it}/") for it in (*skip, _OWN))
            if key.startswith(prefix) and not left_out:
                yield MirrorPath(key)
