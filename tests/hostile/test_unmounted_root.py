"""The mirror's root unmounted beneath it: nothing reaches the bare mount point, nothing is lost."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from publishing import publish_bytes, publish_content

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


@dataclass
class Disk:
    """A small disk that can be mounted at the mirror's root and taken away from it."""

    behind: Path
    root: Path
    mounted: bool = False

    def mount(self) -> None:
        subprocess.run(["mount", "--bind", str(self.behind / "data"), str(self.root)], check=True)
        self.mounted = True

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.root)], check=True)
        self.mounted = False


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if sys.platform != "linux" or shutil.which("mount") is None:
        pytest.skip("mounting needs Linux and its mount command")
    disk = Disk(tmp_path / "behind", tmp_path / "mirror")
    disk.behind.mkdir()
    disk.root.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk.behind)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.skip(f"a small tmpfs can't be mounted here: {result.stderr.strip()}")
    try:
        (disk.behind / "data").mkdir()
        disk.mount()
        yield disk
    finally:
        if disk.mounted:
            disk.unmount()
        subprocess.run(["umount", "--lazy", str(disk.behind)], check=True)


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
    disk: Disk,
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
    disk: Disk,
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


def test_staging_makes_nothing_on_the_bare_mount_point(disk: Disk) -> None:
    staging = LocalMirror(disk.root).staging
    disk.unmount()
    staged = StagedFile(staging, KEY, "v1")
    staged.recover()
    assert (staged.open, staged.vouched) == (False, None)
    with pytest.raises(DiskError, match="staging: No such file"):
        staged.begin(Identity(total=3, claims=(Claim("repr-digest", "sha-256", "78" * 32),)))
    staged.discard()
    assert list(disk.root.iterdir()) == []


def test_must_be_mounted_sees_whether_it_is(disk: Disk) -> None:
    check_mounted(disk.root)
    disk.unmount()
    if disk.root.stat().st_dev != Path("/").stat().st_dev:
        pytest.skip("the folder for tests is not on the file system of /")
    with pytest.raises(DiskError, match="must_be_mounted"):
        check_mounted(disk.root)
