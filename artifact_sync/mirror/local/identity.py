"""The random id of the mirror at a root, kept in a file."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from artifact_sync.domain.disk_errors import disk_errors
from artifact_sync.domain.errors import DiskError
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.mirror.local.file_io import create, finish, reading
from artifact_sync.mirror.local.folder import open_folder
from artifact_sync.mirror.local.tree import absent_is_none

if TYPE_CHECKING:
    from pathlib import Path

ID = "id"
_NEW = "id.new"
_LONGEST = 64
_FORM = r"[0-9a-f]{32}"


def new_id() -> str:
    """An id that no other mirror has."""
    return os.urandom(16).hex()


def read_id(root: Path) -> str | None:
    """The id of the mirror at a root; None where there is none.

    Empty when the file is: by that a user says that the root is the ledger's mirror. ``DiskError``
    for any text that is no id.
    """
    path = root / OWN_FOLDER / ID
    with disk_errors(str(path), root):
        content = _content(root)
    text = content.decode("ascii", "replace").strip() if content is not None else None
    if text and not re.fullmatch(_FORM, text):
        raise DiskError(
            f"{path} holds no mirror's id: put the file back from a backup, or empty it if the"
            " ledger is this mirror's"
        )
    return text


def _content(root: Path) -> bytes | None:
    own = absent_is_none(lambda: open_folder(root / OWN_FOLDER))
    with own as folder, reading(folder, ID) as fd:
        return os.read(fd, _LONGEST) if fd is not None else None


def write_id(root: Path, mirror: str) -> None:
    """Give the mirror at a root its id; atomic and durable. ``DiskError``.

    The caller holds the mirror's lock.
    """
    with disk_errors(str(root / OWN_FOLDER / ID), root), open_folder(root / OWN_FOLDER) as folder:
        with suppress(FileNotFoundError):
            folder.remove(_NEW)  # what a crash left
        finish(create(folder, _NEW, [f"{mirror}\n".encode()], 0o600), durable=True)
        folder.take(ID, folder, _NEW, fresh=False)
        folder.sync()
