"""Makes keys of paths, and paths of keys. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.domain.errors import UnsafePath
from artifact_sync.domain.model import MirrorPath
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.mirror.names import fold, quoted
from artifact_sync.mirror.paths import ID, split

if TYPE_CHECKING:
    from artifact_sync.mirror.layout import Layout

LONGEST = 1024
"""Bytes of UTF-8 that a key may have: the least of what S3, GCS and Azure allow."""

_POINTER = ".json"


class Keys(Struct, frozen=True):
    """The keys of a mirror below a prefix."""

    prefix: str
    """Without a slash at its end; empty: the whole bucket."""
    layout: Layout

    def of(self, path: str) -> str:
        """The key of a file; of ``latest`` that of ``latest.json``. ``UnsafePath``."""
        split(path)
        return self.checked(path + _POINTER if self.layout.is_latest(path) else path)

    def own(self, name: str) -> str:
        """The key of something of our own."""
        return self.checked(f"{OWN_FOLDER}/{name}")

    @property
    def id(self) -> str:
        """The key of the mirror's id."""
        return self.own(ID)

    def checked(self, place: str) -> str:
        """The key of any place below the root. ``UnsafePath``."""
        key = f"{self.prefix}/{place}" if self.prefix else place
        if len(key.encode("utf-8", "surrogatepass")) > LONGEST:
            raise UnsafePath(
                f"{quoted(place)} makes a key of more than {LONGEST:,} bytes, which no object store"
                " takes: shorten mirror.root's prefix or mirror.layout, or the name in CI"
            )
        return key

    def place(self, key: str) -> str:
        """The place below the root that a key is of."""
        return key[len(self.prefix) + 1 :] if self.prefix else key

    def path(self, key: str) -> MirrorPath | None:
        """The path of a file; None for what is ours and no file."""
        place = self.place(key)
        if not place or fold(place.partition("/")[0]) == OWN_FOLDER:
            return None
        pointer = place.removesuffix(_POINTER)
        is_pointer = pointer != place and self.layout.is_latest(pointer)
        return MirrorPath(pointer if is_pointer else place)

    def group(self, path: str) -> str:
        """The folder that is listed for a file's size: its run's."""
        return self.layout.run_folder_of(path) or path.rpartition("/")[0]
