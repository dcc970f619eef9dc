"""Going from folder to folder in the order of their paths, so that each is opened once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.domain.disk_errors import in_the_way

if TYPE_CHECKING:
    from artifact_sync.mirror.local.folder import Folder


class FolderCursor:
    """Open folders from the root downwards, for paths that come in their order."""

    def __init__(self, top: Folder) -> None:
        self._names: list[str] = []
        self._folders = [top]
        self._missing: tuple[str, ...] | None = None

    def to(self, parts: tuple[str, ...]) -> Folder | None:
        """The folder, open; None when it, or one above it, is not there or no folder."""
        if self._missing is not None and parts[: len(self._missing)] == self._missing:
            return None
        shared = 0
        for one, other in zip(self._names, parts, strict=False):
            if one != other:
                break
            shared += 1
        self.leave(shared + 1)
        for name in parts[shared:]:
            try:
                below = self._folders[-1].enter(name)
            except OSError as error:
                if not isinstance(error, FileNotFoundError) and not in_the_way(error):
                    raise
                self._missing = (*self._names, name)
                return None
            self._names.append(name)
            self._folders.append(below)
        return self._folders[-1]

    def leave(self, depth: int) -> None:
        """Close the folders but the first ones."""
        while len(self._folders) > depth:
            self._folders.pop().__exit__()
        del self._names[max(depth - 1, 0) :]
