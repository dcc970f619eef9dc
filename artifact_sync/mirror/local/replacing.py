"""What of ours may be replaced: judgements of a thing that already has the name we want. Blocking.

Whatever may not be replaced is displaced, which is ``disk``'s to do.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from typing import TYPE_CHECKING

from artifact_sync.mirror.local.file_io import digest
from artifact_sync.mirror.local.folder import Folder

if TYPE_CHECKING:
    import os

Replaceable = Callable[[Folder, "os.stat_result"], bool]
"""Whether what was found under a name in a folder may be replaced, as ours or the same."""


def same(name: str, size: int, sha256: Callable[[], str]) -> Replaceable:
    """Whether a file in the way has the very content that is to be published."""

    def is_same(folder: Folder, found: os.stat_result) -> bool:
        return found.st_size == size and digest(folder, name) == (size, sha256())

    return is_same


def is_file(_: Folder, found: os.stat_result) -> bool:
    """Whether it is a regular file, as every manifest of ours is."""
    return stat.S_ISREG(found.st_mode)


def is_link(_: Folder, found: os.stat_result) -> bool:
    """Whether it is a symbolic link, as ``latest`` is."""
    return stat.S_ISLNK(found.st_mode)
