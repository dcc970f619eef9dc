"""Publishes files: staged, made durable, renamed into place; strangers there are displaced.

Folders are opened, and synced, once for all files of one folder: with full durability the sync of
a folder is half of what a small file costs.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from artifact_sync.domain.errors import ArtifactSyncError, DiskError
from artifact_sync.domain.model import FileState, Placed
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.mirror.local.block_sharing import BlockSharing, SharedFile
from artifact_sync.mirror.local.file_io import (
    create,
    digest,
    finish,
    same,
    set_mode,
    temporary_name,
)
from artifact_sync.mirror.local.move import move
from artifact_sync.mirror.local.tree import InTheWay
from artifact_sync.mirror.names import quoted
from artifact_sync.mirror.paths import split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from artifact_sync.domain.model import MirrorPath, StagedContent
    from artifact_sync.domain.settings import Dedupe
    from artifact_sync.mirror.local.displaced import DisplacedFiles
    from artifact_sync.mirror.local.file_io import Replaceable
    from artifact_sync.mirror.local.folder import Folder
    from artifact_sync.mirror.local.recent_writes import RecentWrites
    from artifact_sync.mirror.local.tree import Tree
    from artifact_sync.mirror.paths import Parts

    Errors = Callable[[str], AbstractContextManager[None]]
    """Makes the operating system's errors about a path ours."""

_TRIES = 16
"""How often something new may appear in our way before we take it for a fight."""


class Staged(NamedTuple):
    """Something complete, to be moved to its place."""

    folder: Folder
    """Open."""
    name: str
    check_held: Callable[[], None]
    """Raises once what was held when it was staged is lost."""
    content: StagedContent | None = None
    """None: a manifest or a link, which can be made again."""
    state: FileState | None = None
    """The file as it was left when it had this content; any other is hashed again."""

    def check(self) -> None:
        """Raise ``DiskError`` when it is not what was hashed, or what ``check_held`` raises."""
        self._check_content()
        self.check_held()

    def _check_content(self) -> None:
        if (content := self.content) is None:
            return
        found = self.folder.look(self.name)
        if found is not None and FileState.of(found) == self.state:
            return
        if digest(self.folder, self.name) != (content.size, content.sha256):
            raise DiskError(
                "a staged file was changed by somebody else: let no other program write below"
                f" {OWN_FOLDER}, and run it again"
            )


class _File(Struct, eq=False):
    """One file on its way."""

    content: StagedContent
    path: str
    parts: Parts = ()
    staged: Staged | None = None
    """None: not yet staged, or in its place."""
    shared: SharedFile | None = None
    """What is staged in the blocks of another file, in the place of what came."""
    is_copied: bool = False
    """Its place was on another file system than staging, so that it shares nothing."""
    moved: str | None = None
    error: ArtifactSyncError | None = None

    @property
    def outcome(self) -> Placed | ArtifactSyncError | None:
        """What came of it."""
        if self.error is not None:
            return self.error
        if self.content.data is None and self.shared is None:
            return None
        if self.shared is None or self.is_copied:
            return Placed(self.moved)
        return Placed(self.moved, self.shared.same)

    @property
    def is_waiting(self) -> bool:
        """Staged, sound, and not in its place."""
        return self.staged is not None and self.error is None

    def discard(self) -> None:
        """Remove what has no place and no use for a later try."""
        if self.staged is not None and not isinstance(self.content.data, Path):
            _remove(self.staged.folder, self.staged.name)


class Publisher:
    """Puts files and links into the folders of a tree. ``mode``: of the files."""

    def __init__(
        self,
        tree: Tree,
        displaced: DisplacedFiles,
        recent: RecentWrites,
        errors: Errors,
        mode: int,
    ) -> None:
        self._tree = tree
        self._displaced = displaced
        self._recent = recent
        self._errors = errors
        self._mode = mode
        self._sharing = BlockSharing(tree, "off", mode)

    def dedupe(self, how: Dedupe) -> None:
        """Have files share the blocks of others from now on."""
        self._sharing = BlockSharing(self._tree, how, self._mode)

    def publish(
        self, contents: Sequence[tuple[StagedContent, MirrorPath]]
    ) -> Sequence[Placed | ArtifactSyncError | None]:
        """``ArtifactStore.publish``."""
        files = [_File(content, path) for content, path in contents]
        for it in files:
            with self._guarded(it):
                it.parts = split(it.path)
        sound = [it for it in files if it.error is None]
        for above, members in groupby(sound, lambda it: it.parts[:-1]):
            self._publish_in(above, list(members))
        return [it.outcome for it in files]

    def _publish_in(self, above: Parts, files: Sequence[_File]) -> None:
        with self._guarded(*files), ExitStack() as closing:
            staging = closing.enter_context(self._tree.existing(self._tree.staging))
            self._sharing.check(staging)
            for it in files:
                closing.callback(it.discard)
                with self._guarded(it):
                    self._share(it, staging, closing)
                    if it.staged is None:
                        self._stage(it, staging, closing)
            self._place(above, [it for it in files if it.is_waiting])
            for it in files:
                with self._guarded(it):
                    self._settle_file(it)
                    self._end_sharing(it)

    def _share(self, it: _File, staging: Folder, closing: ExitStack) -> None:
        """Stage it in the blocks of another file, if there is one of the same bytes."""
        held = self._tree.fence()
        it.shared = self._sharing.stage(it.content, staging)
        if it.shared is not None:
            # over another link to the same file a rename does nothing, so that this one stays
            closing.callback(_remove, staging, it.shared.name)
            it.staged = Staged(staging, it.shared.name, held, it.content, it.shared.state)

    def _end_sharing(self, it: _File) -> None:
        """See whether it does share, and remove what came of a file that does."""
        if it.shared is None or it.staged is not None or it.error is not None:
            return
        with self._tree.entered(it.parts[:-1]) as folder:
            found = folder.look(it.parts[-1]) if folder is not None else None
        it.is_copied = found is None or FileState.of(found)[:2] != it.shared.state[:2]
        if isinstance(it.content.data, Path):
            with self._tree.opener(it.content.data.parent) as staging:
                _remove(staging, it.content.data.name)
                self._tree.sync(staging)  # or a power cut brings back what nobody comes for

    def _stage(self, it: _File, staging: Folder, closing: ExitStack) -> None:
        data = it.content.data
        if isinstance(data, Path):
            source = closing.enter_context(self._tree.opener(data.parent))
            if source.look(data.name) is not None or not self._holds(it):
                it.staged = self._stage_file(it.content, source, data.name)
        elif data is not None:
            name, held = temporary_name(), self._tree.fence()
            # at once: to be discarded, however little of it there is
            it.staged = Staged(staging, name, held)
            state = finish(create(staging, name, [data], self._mode), durable=self._tree.durable)
            it.staged = Staged(staging, name, held, it.content, state)

    def _stage_file(self, content: StagedContent, folder: Folder, name: str) -> Staged:
        """Make a staged file durable where it is. One that cannot be is removed.

        What a failed fsync has lost counts as written: another one would succeed and prove nothing.
        """
        held, fd = self._tree.fence(), folder.open(name, os.O_RDWR)
        try:
            is_as_hashed = FileState.of(os.fstat(fd)) == content.written
            set_mode(folder, fd, self._mode)
        except BaseException:
            os.close(fd)
            raise
        try:
            state = finish(fd, durable=self._tree.durable)
        except OSError:
            _remove(folder, name)
            raise
        return Staged(folder, name, held, content, state if is_as_hashed else None)

    def _holds(self, it: _File) -> bool:
        """Whether the file has been published before a crash; then its name is made durable."""
        with self._tree.entered(it.parts[:-1]) as folder:
            held = digest(folder, it.parts[-1]) == (it.content.size, it.content.sha256)
            if held and folder is not None:
                self._tree.sync(folder)
        return held

    def _place(self, above: Parts, files: Sequence[_File]) -> None:
        """Move each to its name, if that is free, and make the names durable."""
        if not files:
            return
        try:
            with self._guarded(*files), self._tree.made(above) as folder:
                placed = [it.parts for it in files if self._take(folder, it)]
                if placed:
                    self._sync(folder, placed)
        except InTheWay:
            return  # each is settled by itself, which makes room

    def _take(self, folder: Folder, it: _File) -> bool:
        """Whether the name was free; then it is taken."""
        if it.staged is not None:
            with self._guarded(it), suppress(FileExistsError):
                self._move(folder, it.staged, it.parts, fresh=True)
                it.staged = None
        return it.staged is None

    def _settle_file(self, it: _File) -> None:
        if it.staged is not None and it.error is None:
            replaceable = same(it.parts[-1], it.content.size, it.content.sha256)
            it.moved = self._settle(it.staged, it.parts, replaceable)
            it.staged = None

    def place_folder(self, name: str, parts: Parts) -> str | None:
        """Move a complete folder from staging to its place, by one rename.

        Whatever is in the way is displaced; its new place.
        """
        with self._tree.existing(self._tree.staging) as staging:
            return self._settle(Staged(staging, name, self._tree.fence()), parts, lambda *_: False)

    def replace(
        self, make: Callable[[Folder, str], object], parts: Parts, replaceable: Replaceable
    ) -> None:
        """Write a file in staging and move it over what may be replaced."""
        with self.staged(make) as staged:
            self._settle(staged, parts, replaceable)

    def write(self, content: bytes, parts: Parts, replaceable: Replaceable) -> None:
        """``replace`` by a file."""

        def make(folder: Folder, name: str) -> None:
            finish(create(folder, name, [content], self._mode), durable=self._tree.durable)

        self.replace(make, parts, replaceable)

    @contextmanager
    def staged(self, make: Callable[[Folder, str], object]) -> Iterator[Staged]:
        """Something complete in staging; taken away again unless it gets its place."""
        name, held = temporary_name(), self._tree.fence()
        with self._tree.existing(self._tree.staging) as staging:
            try:
                make(staging, name)
                yield Staged(staging, name, held)
            except BaseException:
                _remove(staging, name)
                raise

    def _settle(self, staged: Staged, parts: Parts, replaceable: Replaceable) -> str | None:
        """Move something staged to its place, over nothing or over what may be replaced.

        Whatever else is in the way is displaced; the new place of what was displaced last.
        """
        moved = None
        for _ in range(_TRIES):
            try:
                if self._put(staged, parts, replaceable):
                    return moved
                moved = self._displaced.take(parts) or moved
            except InTheWay as way:
                moved = self._displaced.take(way.parts, spare_folder=True) or moved
            except FileExistsError:
                continue  # somebody has put something there since the look
        words = "something else keeps appearing in its place: stop what writes there"
        raise DiskError(f"{quoted('/'.join(parts))}: {words}")

    def _put(self, staged: Staged, parts: Parts, replaceable: Replaceable) -> bool:
        """Whether the place was free; then it is taken."""
        with self._tree.made(parts[:-1]) as folder:
            found = folder.look(parts[-1])
            if found is not None and not replaceable(folder, found):
                return False
            self._move(folder, staged, parts, fresh=found is None)
            is_new = found is None or staged.content is None
            self._sync(folder, [parts] if is_new else [])
        return True

    def _move(self, folder: Folder, staged: Staged, parts: Parts, *, fresh: bool) -> None:
        staged.check()
        move(folder, parts[-1], staged.folder, staged.name, fresh=fresh)
        # at once: while the folder is synced somebody may change the file
        self._recent.note("/".join(parts), folder.look(parts[-1]))

    def _sync(self, folder: Folder, new: Sequence[Parts]) -> None:
        """Make names durable. New ones that cannot be are taken back, as are unsynced files."""
        try:
            self._tree.sync(folder)
        except OSError:
            for parts in new:
                _remove(folder, parts[-1])
                self._recent.note("/".join(parts), None)
            raise

    @contextmanager
    def _guarded(self, *files: _File) -> Iterator[None]:
        """An error is that of these files and of no others."""
        try:
            with self._errors(files[0].path):
                yield
        except ArtifactSyncError as error:
            for it in files:
                it.error = it.error or error


def _remove(folder: Folder, name: str) -> None:
    with suppress(OSError):
        folder.remove(name)
