"""Opens objects as files: all bytes come first, into a nameless one."""

from __future__ import annotations

from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

from artifact_sync.domain.disk_errors import disk_errors
from artifact_sync.mirror.local.unpacked import OpenArchive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from artifact_sync.domain.model import DisplacedFile, MirrorPath
    from artifact_sync.mirror.objects.object_mirror import ObjectMirror


class Spool:
    """Files of an object mirror. ``folder``: where there is room for one."""

    def __init__(self, mirror: ObjectMirror, folder: Path) -> None:
        self._mirror = mirror
        self._folder = folder

    def opened(self, path: MirrorPath) -> AbstractContextManager[OpenArchive | None]:
        """A file of the mirror, open to be read; None: there is none. ``DiskError``."""
        return self._filled(lambda file: self._mirror.write_into(file, path))

    def opened_displaced(self, it: DisplacedFile) -> AbstractContextManager[OpenArchive | None]:
        """A displaced file, open to be read; None: there is none. ``DiskError``."""
        return self._filled(lambda file: self._mirror.write_displaced_into(file, it))

    @contextmanager
    def _filled(self, fill: Callable[[IO[bytes]], bool]) -> Iterator[OpenArchive | None]:
        with disk_errors(str(self._folder)), TemporaryFile(dir=self._folder) as file:
            there = fill(file)
            file.flush()
            file.seek(0)
            yield OpenArchive(file.fileno()) if there else None
