"""Keeps account of what was displaced in an object store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.domain.errors import DiskError, MirrorGone
from artifact_sync.domain.model import DisplacedFile, MirrorPath
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.mirror.paths import DISPLACED, is_path, split, stamped_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from artifact_sync.mirror.objects.bucket import Bucket, Held
    from artifact_sync.mirror.objects.keys import Keys

_TOP = f"{OWN_FOLDER}/{DISPLACED}"


class DisplacedObjects:
    """Objects below ``.artifact-sync/displaced/<time in UTC>[-n]/<the path that it had>``."""

    def __init__(self, bucket: Bucket, keys: Keys) -> None:
        self._bucket = bucket
        self._keys = keys

    def files(self, below: str) -> Iterator[DisplacedFile]:
        """See ``Displacement.displaced``."""
        if below and not is_path(tuple(below.split("/"))):
            return
        for held in self._below(f"{_TOP}/{below}" if below else _TOP):
            place = self._keys.place(held.key)[len(_TOP) + 1 :]
            top, _, path = place.partition("/")
            at = stamped_at(top)
            if at is not None and path:
                yield DisplacedFile(place, MirrorPath(path), at, held.size)

    def _below(self, place: str) -> Iterator[Held]:
        key = self._keys.checked(place)
        one = self._bucket.head(key) if place != _TOP else None
        if one is not None:
            yield one
        yield from self._bucket.list(key)

    def put_back(self, file: DisplacedFile) -> bool:
        """See ``Displacement.put_back``. The copy stands before the other goes."""
        split(file.path)
        key = self._keys.checked(file.path)
        if self._bucket.head(key) is not None or self._is_blocked(key):
            return False
        try:
            self._bucket.copy(self.key_of(file), key)
        except FileNotFoundError:
            return False
        self._bucket.delete([self.key_of(file)])
        return True

    def _is_blocked(self, key: str) -> bool:
        """Whether there are objects below it, as in a folder, or one above it, as a file."""
        parts = self._keys.place(key).split("/")
        above = ("/".join(parts[:end]) for end in range(1, len(parts)))
        if any(self._bucket.head(self._keys.checked(it)) is not None for it in above):
            return True
        return next(self._bucket.list(key), None) is not None

    def discard(self, files: Iterable[DisplacedFile]) -> Mapping[DisplacedFile, DiskError]:
        """See ``Displacement.discard``."""
        its = list(files)
        try:
            self._bucket.delete([self.key_of(it) for it in its])
        except MirrorGone:
            raise
        except DiskError as error:
            return dict.fromkeys(its, error)
        return {}

    def key_of(self, file: DisplacedFile) -> str:
        """Where its object is."""
        return self._keys.checked(f"{_TOP}/{file.place}")
