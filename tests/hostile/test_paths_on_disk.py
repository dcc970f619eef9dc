"""Things planted in the mirror's folder: links, pipes, strangers. Nothing is followed or lost."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from publishing import publish_bytes, publish_content
from small_disk import remount, tmpfs

from artifact_sync.domain.errors import DiskError, ExitCode, NoSpace
from artifact_sync.domain.model import MirrorPath, StagedContent
from artifact_sync.mirror.local.folder import BY_DESCRIPTOR, Folder, PathFolder
from artifact_sync.mirror.local.local_mirror import LocalMirror
from artifact_sync.mirror.local.lock import MirrorLock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="plants POSIX's special files")

PATH = MirrorPath("acme/shop/42/app.tar")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "mirror"


@pytest.fixture
def outside(tmp_path):
    """A folder beside the mirror that nothing may touch."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "app.tar").write_text("precious")
    return folder


@pytest.fixture(params=[Folder.at, PathFolder.at], ids=["descriptor", "path"])
def mirror(request, root):
    return LocalMirror(root, opener=request.param, now=lambda: NOON)


def of_x(staged):
    return StagedContent(1, hashlib.sha256(b"x").hexdigest(), staged)


def test_this_system_is_walked_by_descriptors():
    assert BY_DESCRIPTOR


def test_a_link_in_place_of_a_folder_is_moved_away_and_not_followed(mirror, root, outside):
    (root / "acme").mkdir()
    (root / "acme" / "shop").symlink_to(outside)
    place = publish_bytes(mirror, b"new", MirrorPath("acme/shop/app.tar"))
    assert place == ".artifact-sync/displaced/20261123T120000Z/acme/shop"
    assert (root / place).readlink() == outside
    assert (outside / "app.tar").read_text() == "precious"
    assert (root / "acme" / "shop" / "app.tar").read_bytes() == b"new"
    assert not (root / "acme" / "shop").is_symlink()


def test_a_link_in_place_of_the_file_is_moved_away_and_not_followed(mirror, root, outside):
    (root / "acme" / "shop" / "42").mkdir(parents=True)
    (root / PATH).symlink_to(outside / "app.tar")
    place = publish_bytes(mirror, b"new", PATH)
    assert (root / place).is_symlink()
    assert (outside / "app.tar").read_text() == "precious"
    assert (root / PATH).read_bytes() == b"new"


def test_a_link_to_the_very_same_content_is_a_stranger_too(mirror, root, outside):
    (root / "acme" / "shop" / "42").mkdir(parents=True)
    (root / PATH).symlink_to(outside / "app.tar")
    assert publish_bytes(mirror, b"precious", PATH) is not None
    assert not (root / PATH).is_symlink()


def test_a_dangling_link_is_moved_away(mirror, root):
    (root / "acme").symlink_to(root / "nowhere")
    assert publish_bytes(mirror, b"new", PATH).endswith("Z/acme")
    assert (root / PATH).read_bytes() == b"new"
    assert not (root / "nowhere").exists()


def test_nothing_is_read_through_links(mirror, root, outside):
    (root / "acme").symlink_to(outside)
    (root / "file").symlink_to(outside / "app.tar")
    for path in (MirrorPath("acme/app.tar"), MirrorPath("file")):
        assert mirror.digest(path) is None
        assert mirror.read(path) is None
    assert mirror.find(MirrorPath("acme/app.tar")) is None
    assert mirror.find(MirrorPath("acme")).kind == "other"
    assert list(mirror.files(MirrorPath(""))) == ["acme", "file"]
    assert list(mirror.files(MirrorPath("acme"))) == []


def test_nothing_is_removed_or_displaced_through_links(mirror, root, outside):
    (root / "acme").symlink_to(outside)
    mirror.remove([MirrorPath("acme/app.tar")], MirrorPath("acme"))
    assert mirror.displace(MirrorPath("acme/app.tar")) is None
    assert (outside / "app.tar").read_text() == "precious"


def test_strangers_beside_and_in_place_of_removed_files_stay(mirror, root, outside):
    run = MirrorPath("acme/shop/42")
    publish_bytes(mirror, b"ours", PATH)
    (root / run / "linked").symlink_to(outside)
    (root / run / "link").symlink_to(outside / "app.tar")
    (root / run / "folder" / "file").mkdir(parents=True)
    (root / run / "folder" / "file" / "note").write_text("somebody's")
    (root / run / "empty").mkdir()
    os.mkfifo(root / run / "pipe")
    names = ("app.tar", "linked/app.tar", "link", "folder/file", "pipe", "app.tar/below")
    mirror.remove([MirrorPath(f"{run}/{name}") for name in names], run)
    left = sorted(str(path.relative_to(root / run)) for path in (root / run).rglob("*"))
    assert left == ["empty", "folder", "folder/file", "folder/file/note", "link", "linked", "pipe"]
    assert (outside / "app.tar").read_text() == "precious"


def test_a_runs_folder_that_is_a_link_is_left_alone(mirror, root, outside):
    (root / "acme").mkdir()
    (root / "acme" / "42").symlink_to(outside)
    mirror.remove([MirrorPath("acme/42/app.tar")], MirrorPath("acme/42"))
    assert (root / "acme" / "42").readlink() == outside
    assert (outside / "app.tar").read_text() == "precious"


def test_a_manifest_is_not_written_through_a_link(mirror, root, outside):
    (root / "acme").mkdir()
    (root / "acme" / "run.json").symlink_to(outside / "app.tar")
    mirror.replace(b"{}", MirrorPath("acme/run.json"))
    assert (outside / "app.tar").read_text() == "precious"
    assert (root / "acme" / "run.json").read_bytes() == b"{}"


@pytest.mark.timeout(10)
def test_a_pipe_blocks_nothing_and_is_moved_away(mirror, root):
    (root / "acme" / "shop" / "42").mkdir(parents=True)
    os.mkfifo(root / PATH)
    assert mirror.digest(PATH) is None
    assert mirror.read(PATH) is None
    assert mirror.find(PATH).kind == "other"
    assert publish_bytes(mirror, b"new", PATH) is not None
    assert (root / PATH).read_bytes() == b"new"


def test_a_staged_file_that_is_a_link_is_not_published(mirror, outside):
    staged = mirror.staging / "x.part"
    staged.symlink_to(outside / "app.tar")
    with pytest.raises(DiskError):
        publish_content(mirror, StagedContent(8, "00", staged), PATH)
    assert mirror.find(PATH) is None


def test_names_that_no_path_of_ours_has_are_listed_all_the_same(mirror, root):
    (root / "a\\b\nc").write_text("x")
    (root / os.fsdecode(b"\xff")).write_text("x")
    names = list(mirror.files(MirrorPath("")))
    assert names == ["a\\b\nc", "\udcff"]
    assert [mirror.digest(name)[0] for name in names] == [1, 1]


def test_displaced_things_of_one_second_lie_side_by_side(mirror, root):
    for content in (b"1", b"2", b"3"):
        publish_bytes(mirror, content, PATH)
    displaced = root / ".artifact-sync" / "displaced"
    assert (displaced / "20261123T120000Z" / PATH).read_bytes() == b"1"
    assert (displaced / "20261123T120000Z-2" / PATH).read_bytes() == b"2"


def test_a_path_whose_folder_was_displaced_as_a_file_this_second_finds_room(mirror):
    publish_bytes(mirror, b"file", MirrorPath("a"))
    assert publish_bytes(mirror, b"below", MirrorPath("a/b")).endswith("Z/a")
    assert mirror.displace(MirrorPath("a/b")).endswith("Z-2/a/b")


def test_the_root_may_be_reached_through_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    publish_bytes(LocalMirror(tmp_path / "link"), b"new", PATH)
    assert (tmp_path / "real" / PATH).read_bytes() == b"new"


def test_a_relative_root_stays_where_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mirror = LocalMirror(Path("mirror"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    publish_bytes(mirror, b"new", PATH)
    assert (tmp_path / "mirror" / PATH).read_bytes() == b"new"


@pytest.mark.parametrize("name", ["", "staging", "displaced"])
def test_our_own_folders_must_be_real_ones(root, outside, name):
    own = root / ".artifact-sync"
    (own if name else root).mkdir(parents=True)
    (own / name if name else own).symlink_to(outside)
    with pytest.raises(DiskError, match="is no folder"):
        LocalMirror(root)
    with pytest.raises(DiskError, match="is no folder"), MirrorLock(root):
        pass
    assert sorted(path.name for path in outside.iterdir()) == ["app.tar"]


@pytest.mark.root
@pytest.mark.skipif(
    getattr(os, "geteuid", int)() != 0, reason="gives a folder to another user: needs root"
)
def test_our_own_folder_must_not_be_somebody_elses(root):
    LocalMirror(root)
    os.chown(root / ".artifact-sync", 12345, 12345)
    with pytest.raises(DiskError, match="belongs to another user"):
        LocalMirror(root)
    os.chown(root, 12345, 12345)  # whose mirror it is
    LocalMirror(root)


def test_our_own_folders_are_the_owners_alone(root):
    LocalMirror(root)
    for name in ("", "staging", "displaced"):
        assert (root / ".artifact-sync" / name).stat().st_mode & 0o777 == 0o700


def test_a_displaced_folder_swapped_for_a_link_is_an_error_and_not_followed(mirror, root, outside):
    publish_bytes(mirror, b"old", PATH)
    (root / ".artifact-sync" / "displaced").rmdir()
    (root / ".artifact-sync" / "displaced").symlink_to(outside)
    with pytest.raises(DiskError, match="is no folder"):
        publish_bytes(mirror, b"new", PATH)
    assert (root / PATH).read_bytes() == b"old"


@pytest.mark.parametrize(
    ("umask", "file", "folder"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700)]
)
def test_files_and_folders_get_the_modes_of_the_umask(root, umask, file, folder):
    before = os.umask(umask)
    try:
        mirror = LocalMirror(root)
        staged = mirror.staging / "x.part"
        staged.write_bytes(b"x")
        staged.chmod(0o600)
        publish_content(mirror, of_x(staged), PATH)
        publish_bytes(mirror, b"y", MirrorPath("acme/y"))
    finally:
        os.umask(before)
    assert (root / PATH).stat().st_mode & 0o777 == file
    assert (root / "acme" / "y").stat().st_mode & 0o777 == file
    assert (root / "acme").stat().st_mode & 0o777 == folder


def test_nothing_is_left_in_staging(mirror, root):
    (root / "o" / "r" / "42").mkdir(parents=True)
    publish_bytes(mirror, b"new", PATH)
    mirror.replace(b"new", MirrorPath("acme/run.json"))
    mirror.point(MirrorPath("o/r/latest"), MirrorPath("o/r/42"))
    assert list(mirror.staging.iterdir()) == []
    assert (root / "o" / "r" / "latest").readlink() == Path("42")


def test_a_reader_never_sees_half_a_file_nor_a_wrong_one(mirror):
    contents = [bytes([number]) * 300_000 for number in range(4)]
    good = {hashlib.sha256(content).hexdigest() for content in contents}
    done = threading.Event()
    seen = set()

    def read():
        while not done.is_set():
            found = mirror.digest(PATH)
            if found is not None:
                seen.add(found[1])

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(40):
        publish_bytes(mirror, contents[number % 4], PATH)
    done.set()
    reader.join()
    assert seen <= good


def test_a_root_that_is_a_file_is_a_disk_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError) as caught:
        LocalMirror(tmp_path / "file")
    assert caught.value.exit_code is ExitCode.NO_SPACE


@pytest.mark.root
def test_a_full_disk_is_no_space_and_costs_nothing_that_was_there(tmp_path):
    with tmpfs(tmp_path / "small", "size=1m") as root:
        mirror = LocalMirror(root)
        publish_bytes(mirror, b"old", PATH)
        with pytest.raises(NoSpace) as caught:
            publish_bytes(mirror, bytes(2 << 20), PATH)
        assert "no space left" in str(caught.value)
        assert str(root) in str(caught.value)
        assert (root / PATH).read_bytes() == b"old"
        assert list(mirror.staging.iterdir()) == []


@pytest.mark.root
def test_a_disk_without_inodes_keeps_the_staged_file(tmp_path):
    with tmpfs(tmp_path / "small", "size=1m,nr_inodes=8") as root:
        mirror = LocalMirror(root)
        staged = mirror.staging / "x.part"
        staged.write_bytes(b"x")
        with pytest.raises(NoSpace):
            publish_content(mirror, of_x(staged), MirrorPath("a/b/c/d/e/f/g/h"))
        assert staged.read_bytes() == b"x"


@pytest.mark.root
@pytest.mark.skipif(not hasattr(os, "setresuid"), reason="becomes another user for a moment")
def test_a_folder_that_is_somebody_elses_is_found_before_anything_is_fetched():
    with TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        (root / "acme").mkdir()
        mirror = LocalMirror(root)
        mirror.check(MirrorPath("acme/shop/42"))
        os.setresuid(54_321, 54_321, 0)
        try:
            with pytest.raises(DiskError, match="Permission denied: give this user the right"):
                mirror.check(MirrorPath("acme/shop/42"))
        finally:
            os.setresuid(0, 0, 0)


@pytest.mark.root
def test_a_read_only_mirror_can_be_read_and_says_why_it_cannot_be_written(tmp_path):
    with tmpfs(tmp_path / "small", "size=1m") as root:
        publish_bytes(LocalMirror(root), b"old", PATH)
        remount(root, "ro")
        mirror = LocalMirror(root)
        assert mirror.digest(PATH)[0] == 3
        with pytest.raises(DiskError, match="Read-only file system") as caught:
            publish_bytes(mirror, b"new", PATH)
        assert caught.value.exit_code is ExitCode.NO_SPACE
        with pytest.raises(DiskError, match="Read-only file system"), MirrorLock(root):
            pass


@pytest.mark.root
@pytest.mark.parametrize("old", [b"", b"old"], ids=["free", "taken"])
def test_a_staged_file_of_another_file_system_is_copied_and_gone_afterwards(mirror, tmp_path, old):
    if old:
        publish_bytes(mirror, old, PATH)
    with tmpfs(tmp_path / "small", "size=8m") as elsewhere:
        staged = elsewhere / "x.part"
        content = bytes(range(256)) * 9000
        staged.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        moved = publish_content(mirror, StagedContent(len(content), sha256, staged), PATH)
        assert mirror.digest(PATH) == (len(content), sha256)
        assert bool(moved) is bool(old)
        assert list(elsewhere.iterdir()) == []
    assert list(mirror.staging.iterdir()) == []
