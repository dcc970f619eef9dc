"""Files share the blocks of mirrored files of the same bytes, which are not trusted unread."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from artifact_sync.domain.model import MirrorPath, Placed, SameFile, StagedContent
from artifact_sync.mirror.local.block_sharing import is_refused
from artifact_sync.mirror.local.folder import Folder
from artifact_sync.mirror.local.local_mirror import LocalMirror

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")

OLD, NEW = MirrorPath("acme/shop/1/app"), MirrorPath("acme/shop/2/app")
BYTES = b"0123456789" * 5_000


def content(data: bytes = BYTES, *same: str, staged: Path | None = None) -> StagedContent:
    files = [SameFile(number, MirrorPath(it), len(data)) for number, it in enumerate(same, 1)]
    if staged is not None:
        staged.write_bytes(data)
    return StagedContent(len(data), hashlib.sha256(data).hexdigest(), staged or data, same=files)


def publish(mirror: LocalMirror, it: StagedContent, path: MirrorPath) -> Placed | None:
    (outcome,) = mirror.publish([(it, path)])
    if isinstance(outcome, Exception):
        raise outcome
    assert not list(mirror.staging.iterdir())
    return outcome


def sharing(root: Path, opener: Callable[[Path], Folder] = Folder.at) -> LocalMirror:
    mirror = LocalMirror(root, opener=opener)
    mirror.dedupe("hardlink")
    publish(mirror, content(), OLD)
    return mirror


def shares(placed: Placed | None) -> int | None:
    return placed.shares.number if placed is not None and placed.shares is not None else None


def links(root: Path, path: MirrorPath) -> int:
    assert (root / path).read_bytes() == BYTES
    return (root / path).stat().st_nlink


@pytest.mark.parametrize("on_disk", [True, False])
def test_a_file_becomes_another_name_of_the_same_bytes(tmp_path: Path, *, on_disk: bool) -> None:
    mirror = sharing(tmp_path)
    staged = mirror.staging / "x.part" if on_disk else None
    assert shares(publish(mirror, content(BYTES, OLD, staged=staged), NEW)) == 1
    assert links(tmp_path, NEW) == links(tmp_path, OLD) == 2
    # once more, as after a crash: the name is there already
    assert shares(publish(mirror, content(BYTES, OLD, staged=staged), NEW)) == 1
    assert links(tmp_path, NEW) == 2
    gone = StagedContent(
        len(BYTES), content().sha256, tmp_path / "gone", same=content(BYTES, OLD).same
    )
    assert shares(publish(mirror, gone, NEW)) == 1
    # a stranger in the way is displaced, and not written to
    other = MirrorPath("acme/shop/3/app")
    (tmp_path / other).parent.mkdir()
    os.link(tmp_path / NEW, tmp_path / "kept")
    (tmp_path / other).write_bytes(b"a stranger")
    placed = publish(mirror, content(BYTES, OLD, NEW), other)
    assert placed is not None
    assert placed.displaced is not None
    assert (tmp_path / placed.displaced).read_bytes() == b"a stranger"
    mirror.remove([OLD, other])
    assert links(tmp_path, NEW) == 2


def test_what_is_damaged_never_spreads(tmp_path: Path) -> None:
    mirror = sharing(tmp_path)
    for name, damage in {"cut": BYTES[:-1], "bad": b"!" + BYTES[1:]}.items():
        (tmp_path / name).write_bytes(damage)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(OLD)
    bad = ("cut", "bad", "folder", "link", "../out", "none/at all")
    assert shares(publish(mirror, content(BYTES, *bad), NEW)) is None
    assert links(tmp_path, NEW) == 1
    assert shares(publish(mirror, content(BYTES, *bad, OLD), MirrorPath("third"))) == len(bad) + 1


def test_a_file_of_another_mode_is_no_name_for_it(tmp_path: Path) -> None:
    mirror = sharing(tmp_path)
    (tmp_path / OLD).chmod(0o600)
    assert shares(publish(mirror, content(BYTES, OLD), NEW)) is None
    assert links(tmp_path, OLD) == links(tmp_path, NEW) == 1


class Refusing(Folder):
    """A folder on a disk that refuses some links."""

    code = errno.EMLINK
    first = OLD.rpartition("/")[2]

    def link(self, name: str, source: Folder, source_name: str) -> None:
        if source_name == "full" or self.code != errno.EMLINK:
            raise OSError(self.code, os.strerror(self.code))
        super().link(name, source, source_name)


class Unable(Refusing):
    code = errno.EPERM


class Full(Refusing):
    code = errno.ENOSPC


def test_where_one_has_no_room_for_a_link_another_does(tmp_path: Path) -> None:
    mirror = sharing(tmp_path, Refusing.at)
    shutil.copy(tmp_path / OLD, tmp_path / "full")
    assert shares(publish(mirror, content(BYTES, "full", OLD), NEW)) == 2


class Unreadable(Folder):
    """A folder on a disk with a bad sector."""

    def open(self, name: str, flags: int, mode: int = 0o600) -> int:
        if name == "bad":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().open(name, flags, mode)


def test_what_cannot_be_read_is_told_and_another_one_is_shared(tmp_path: Path) -> None:
    mirror = sharing(tmp_path, Unreadable.at)
    shutil.copy(tmp_path / OLD, tmp_path / "bad")
    with capture_logs() as logs:
        assert shares(publish(mirror, content(BYTES, "bad", OLD), NEW)) == 2
    assert "a mirrored file shares nothing: it is damaged" in str(logs)


@pytest.mark.parametrize(("kind", "words"), [(Unable, 1), (Full, 0)])
def test_where_the_disk_refuses_files_are_kept_as_they_came(
    tmp_path: Path, kind: type[Folder], words: int
) -> None:
    with capture_logs() as logs:
        mirror = sharing(tmp_path, kind.at)
        for path in (NEW, MirrorPath("third")):
            assert shares(publish(mirror, content(BYTES, OLD), path)) is None
            assert links(tmp_path, path) == 1
    assert str(logs).count("has no hard links") == words


@pytest.fixture(params=["xfs", "btrfs"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file system with reflinks, where one can be made and mounted."""
    if shutil.which(f"mkfs.{request.param}") is None:
        pytest.skip(f"there is no mkfs.{request.param}")
    image, folder = tmp_path / "image", tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(320 << 20)
    folder.mkdir()
    for command in (
        [f"mkfs.{request.param}", "-q", str(image)],
        ["mount", "-o", "loop", str(image), str(folder)],
    ):
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            pytest.skip(f"this cannot be mounted here: {result.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.root
def test_reflinks_share_blocks_and_stay_files_of_their_own(disk: Path) -> None:
    assert not is_refused(disk / "mirror", "reflink")
    mirror = LocalMirror(disk / "mirror")
    assert not is_refused(disk / "mirror", "reflink")
    mirror.dedupe("reflink")
    data = os.urandom(12 << 20)
    publish(mirror, content(data), OLD)
    before = shutil.disk_usage(disk).free
    assert shares(publish(mirror, content(data, OLD, staged=mirror.staging / "x.part"), NEW)) == 1
    assert shares(publish(mirror, content(data, OLD), MirrorPath("third"))) == 1
    assert before - shutil.disk_usage(disk).free < 6 << 20
    with (disk / "mirror" / OLD).open("r+b") as file:
        file.write(b"edited in place")
    assert (disk / "mirror" / NEW).read_bytes() == data
    assert (disk / "mirror" / NEW).stat().st_mode & 0o777 == 0o644
    assert shares(publish(mirror, content(data, OLD), MirrorPath("fourth"))) is None


def test_without_reflinks_there_is_one_word_and_nothing_is_shared(tmp_path: Path) -> None:
    class Clones(Folder):
        """A folder in which no second file can be made by a clone."""

        def open(self, name: str, flags: int, mode: int = 0o600) -> int:
            if flags & os.O_RDWR and flags & os.O_EXCL:
                raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
            return super().open(name, flags, mode)

    with capture_logs() as logs:
        mirror = LocalMirror(tmp_path, opener=Clones.at)
        mirror.dedupe("reflink")
        publish(mirror, content(), OLD)
        for path in (NEW, MirrorPath("third")):
            assert shares(publish(mirror, content(BYTES, OLD), path)) is None
    assert str(logs).count("has no reflinks") == 1
