"""Several small files put into their places at once: folders are opened, and synced, once for all.

With full durability the sync of a folder is half of what a small file costs.
"""

from __future__ import annotations

import hashlib
import secrets
from contextlib import contextmanager, suppress
from itertools import groupby
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.domain.errors import ArtifactSyncError
from artifact_sync.mirror.local.file_io import create, sync_and_close
from artifact_sync.mirror.local.replacing import same
from artifact_sync.mirror.local.tree import InTheWay, split

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from artifact_sync.domain.model import MirrorPath
    from artifact_sync.domain.ports import Chunk
    from artifact_sync.mirror.local.folder import Folder
    from artifact_sync.mirror.local.replacing import Replaceable
    from artifact_sync.mirror.local.tree import Parts, Tree


class _Small(Struct, eq=False):
    """One file on its way; ``moved`` and ``error`` are what has become of it."""

    content: Chunk
    path: str
    parts: Parts = ()
    name: str = ""
    """In staging; empty: not there."""
    moved: str | None = None
    error: ArtifactSyncError | None = None

    @property
    def waiting(self) -> bool:
        return bool(self.name) and self.error is None

    def is_same(self) -> Replaceable:
        content = self.content
        return same(self.parts[-1], len(content), lambda: hashlib.sha256(content).hexdigest())


class BatchPublisher(Struct, frozen=True):
    """Publishes small files into the folders of a tree."""

    tree: Tree
    staged: Parts
    """The folder for staged files."""
    mode: int
    """The files' own."""
    settle: Callable[[tuple[Folder, str], Parts, Replaceable], str | None]
    """Puts one staged file into a place that is not free."""
    note: Callable[[str, os.stat_result | None], None]
    """Told of each file that stands in its place."""
    errors: Callable[[str], AbstractContextManager[None]]
    """Makes the operating system's errors about a path ours."""

    def publish(
        self, files: Sequence[tuple[Chunk, MirrorPath]]
    ) -> Sequence[str | ArtifactSyncError | None]:
        """``Mirror.publish_all``."""
        small = [_Small(content, path) for content, path in files]
        for it in small:
            with self._guarded(it):
                it.parts = split(it.path)
        whole = [it for it in small if it.error is None]
        for above, members in groupby(whole, lambda it: it.parts[:-1]):
            self._publish_in(above, list(members))
        return [it.moved if it.error is None else it.error for it in small]

    def _publish_in(self, above: Parts, members: Sequence[_Small]) -> None:
        with self._guarded(*members), self.tree.existing(self.staged) as staging:
            token = secrets.token_hex(8)
            try:
                for number, it in enumerate(members):
                    with self._guarded(it):
                        self._stage(staging, it, f"{token}-{number}.new")
                self._place(staging, above, [it for it in members if it.waiting])
                for it in members:
                    if it.waiting:
                        with self._guarded(it):
                            it.moved = self.settle((staging, it.name), it.parts, it.is_same())
                            it.name = ""
            finally:
                _clear(staging, members)

    def _stage(self, staging: Folder, it: _Small, name: str) -> None:
        it.name = name
        fd = create(staging, it.name, it.content, self.mode)
        sync_and_close(fd, durable=self.tree.durable)

    def _place(self, staging: Folder, above: Parts, members: Sequence[_Small]) -> None:
        """Rename each to its name, if that is free, and make the names durable."""
        if not members:
            return
        try:
            with self._guarded(*members), self.tree.made(above) as folder:
                placed = [it for it in members if self._take(folder, staging, it)]
                if placed:
                    self.tree.sync(folder)
        except InTheWay:
            return  # each is settled by itself, which makes room

    def _take(self, folder: Folder, staging: Folder, it: _Small) -> bool:
        """Whether the name was free; then it is taken."""
        with self._guarded(it), suppress(FileExistsError):
            folder.take(it.parts[-1], staging, it.name, fresh=True)
            it.name = ""
            # at once: while the folder is synced somebody may change the file
            self.note(it.path, folder.look(it.parts[-1]))
        return not it.name

    @contextmanager
    def _guarded(self, *members: _Small) -> Iterator[None]:
        """An error is that of these files and of no others."""
        try:
            with self.errors(members[0].path):
                yield
        except ArtifactSyncError as error:
            for it in members:
                it.error = it.error or error


def _clear(staging: Folder, members: Sequence[_Small]) -> None:
    """What has not got its place is nobody's."""
    for it in members:
        if it.name:
            with suppress(OSError):
                staging.remove(it.name)
