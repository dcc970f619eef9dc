"""The mirror's root unmounted beneath it: nothing reaches the bare mount point, nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from publishing import publish_bytes, publish_content
from small_disk import MirrorDisk

from artifact_sync.domain.errors import DiskError, MirrorGone
from artifact_sync.domain.model import ArtifactKey, MirrorPath, StagedContent
from artifact_sync.mirror.local.local_mirror import LocalMirror
from artifact_sync.mirror.local.own_folder import check_mounted
from artifact_sync.transfer.evidence import Claim, Identity
from artifact_sync.transfer.staging import StagedFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.root

PATH = MirrorPath("acme/shop/42/build/compile/linux/app.tar")
RUN = MirrorPath("acme/shop/42")
LINK = MirrorPath("acme/shop/latest")
KEY = ArtifactKey("acme", "shop", "42", "build", "compile", "linux", "app.tar")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[MirrorDisk]:
    with MirrorDisk.of(tmp_path, "size=8m") as disk:
        yield disk


VERBS: dict[str, Callable[[LocalMirror], object]] = {
    "check": lambda mirror: mirror.check(),
    "find": lambda mirror: mirror.find(PATH),
    "publish": lambda mirror: publish_bytes(mirror, b"x", PATH),
    "publish a file": lambda mirror: publish_content(
        mirror, StagedContent(1, "ab" * 32, mirror.staging / "x.part"), PATH
    ),
    "replace": lambda mirror: mirror.replace(b"x", MirrorPath(f"{RUN}/run.json")),
    "read": lambda mirror: mirror.read(PATH),
    "remove": lambda mirror: mirror.remove([PATH]),
    "remove a run": lambda mirror: mirror.remove([PATH], RUN),
    "displace": lambda mirror: mirror.displace(PATH),
    "digest": lambda mirror: mirror.digest(PATH),
    "files": lambda mirror: list(mirror.files(MirrorPath(""))),
    "files below": lambda mirror: list(mirror.files(RUN)),
    "point": lambda mirror: mirror.point(LINK, RUN),
    "unpoint": lambda mirror: mirror.unpoint(LINK),
    "free": lambda mirror: mirror.free(),
    "wrote": lambda mirror: mirror.wrote(PATH),
}


def test_every_verb_says_that_the_mirror_is_gone_until_the_same_one_is_mounted_again(
    disk: MirrorDisk,
) -> None:
    mirror = LocalMirror(disk.root)
    publish_bytes(mirror, b"built", PATH)
    mirror.point(LINK, RUN)
    disk.unmount()
    for name, verb in VERBS.items():
        with pytest.raises(MirrorGone, match="nothing was changed: mount it again"):
            verb(mirror)
        assert list(disk.root.iterdir()) == [], name
    disk.mount()
    mirror.check()
    assert mirror.wrote(PATH)
    assert mirror.read(PATH) == b"built"
    publish_bytes(mirror, b"built anew", PATH)
    assert sorted(mirror.files(MirrorPath(""))) == [PATH, LINK]


def test_a_bare_mount_point_that_a_mirror_was_once_begun_in_gets_nothing_either(
    disk: MirrorDisk,
) -> None:
    disk.unmount()
    LocalMirror(disk.root)
    disk.mount()
    mirror = LocalMirror(disk.root)
    publish_bytes(mirror, b"built", PATH)
    disk.unmount()
    for verb in VERBS.values():
        with pytest.raises(MirrorGone):
            verb(mirror)
    assert {path.name for path in disk.root.rglob("*")} == {
        ".artifact-sync",
        "staging",
        "displaced",
    }


def test_staging_makes_nothing_on_the_bare_mount_point(disk: MirrorDisk) -> None:
    staging = LocalMirror(disk.root).staging
    disk.unmount()
    staged = StagedFile(staging, KEY, "v1")
    staged.recover()
    assert (staged.open, staged.vouched) == (False, None)
    with pytest.raises(DiskError, match="staging: No such file"):
        staged.begin(Identity(total=3, claims=(Claim("repr-digest", "sha-256", "78" * 32),)))
    staged.discard()
    assert list(disk.root.iterdir()) == []


def test_must_be_mounted_sees_whether_it_is(disk: MirrorDisk) -> None:
    check_mounted(disk.root)
    disk.unmount()
    if disk.root.stat().st_dev != Path("/").stat().st_dev:
        pytest.skip("the folder for tests is not on the file system of /")
    with pytest.raises(DiskError, match="must_be_mounted"):
        check_mounted(disk.root)
