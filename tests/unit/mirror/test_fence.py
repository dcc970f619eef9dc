"""What a mirror was asked for under a lock that was lost since changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from publishing import publish_bytes
from renewed_locks import RenewedLocks

from artifact_sync.domain.errors import LeaseLost
from artifact_sync.domain.model import MirrorPath
from artifact_sync.mirror.local.folder import open_folder
from artifact_sync.mirror.local.local_mirror import LocalMirror

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from artifact_sync.mirror.local.folder import Folder

HERE, NEW = MirrorPath("acme/shop/7/app.tar"), MirrorPath("acme/shop/8/app.tar")


def files(root: Path) -> dict[str, bytes]:
    """All files with a name, also those displaced."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and "staging" not in path.parts
    }


def test_a_change_goes_by_the_lock_under_which_it_began_and_not_by_a_newer_one(
    tmp_path: Path,
) -> None:
    locks, is_losing = RenewedLocks(), False

    def opener(folder: Path) -> Folder:
        if is_losing:
            locks.renew()
        return open_folder(folder)

    mirror = LocalMirror(tmp_path, opener=opener)
    mirror.share("1", locks.fence)
    for content in (b"old", b"here"):
        publish_bytes(mirror, content, HERE)
    (displaced,) = mirror.displaced()
    changes: list[Callable[[], object]] = [
        lambda: publish_bytes(mirror, b"new", NEW),
        lambda: publish_bytes(mirror, b"new", HERE),
        lambda: mirror.replace(b"new", NEW),
        lambda: mirror.remove([HERE]),
        lambda: mirror.displace(HERE),
    ]
    before = files(tmp_path)
    is_losing = True
    for change in changes:
        with pytest.raises(LeaseLost, match="acme/shop was lost"):
            change()
        assert files(tmp_path) == before
    is_losing = False
    mirror.remove([HERE])
    before = files(tmp_path)
    is_losing = True
    with pytest.raises(LeaseLost):
        mirror.put_back(displaced)
    assert files(tmp_path) == before
    is_losing = False
    assert mirror.put_back(displaced)
    assert mirror.read(HERE) == b"old"
