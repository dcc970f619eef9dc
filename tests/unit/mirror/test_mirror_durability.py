"""``durability``: which folders are synced, and when, as a recording kind of folder sees it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from publishing import publish_bytes

from artifact_sync.domain.model import MirrorPath
from artifact_sync.mirror.local.folder import BY_DESCRIPTOR, Folder
from artifact_sync.mirror.local.local_mirror import LocalMirror

pytestmark = pytest.mark.skipif(
    not BY_DESCRIPTOR or not Path("/proc/self/fd").exists(),
    reason="reads the names of open folders from /proc",
)


def recorder(root, log):
    class Recording(Folder):
        def sync(self):
            log.append("sync " + self.name)
            super().sync()

        def take(self, name, source, source_name, *, fresh):
            super().take(name, source, source_name, fresh=fresh)
            log.append(f"rename {self.name}/{name}")

        def remove(self, name):
            super().remove(name)
            log.append(f"remove {self.name}/{name}")

        def remove_folder(self, name):
            super().remove_folder(name)
            log.append(f"rmdir {self.name}/{name}")

        @property
        def name(self):
            return os.path.relpath(Path(f"/proc/self/fd/{self.fd}").readlink(), root)

    return Recording.at


def test_full_syncs_every_new_folder_before_the_file_and_its_name_after(tmp_path):
    log = []
    mirror = LocalMirror(tmp_path, opener=recorder(tmp_path, log))
    publish_bytes(mirror, b"1", MirrorPath("a/b/1"))
    assert log == ["sync .", "sync a", "rename a/b/1", "sync a/b"]
    log.clear()
    publish_bytes(mirror, b"2", MirrorPath("a/b/2"))
    assert log == ["rename a/b/2", "sync a/b"]


def test_full_syncs_folders_that_an_earlier_process_may_not_have_synced(tmp_path):
    log = []
    (tmp_path / "a").mkdir()
    publish_bytes(LocalMirror(tmp_path, opener=recorder(tmp_path, log)), b"1", MirrorPath("a/1"))
    assert log == ["sync .", "rename a/1", "sync a"]


def test_full_syncs_a_folder_anew_that_was_removed_and_made_again(tmp_path):
    log = []
    mirror = LocalMirror(tmp_path, opener=recorder(tmp_path, log))
    publish_bytes(mirror, b"1", MirrorPath("a/1"))
    (tmp_path / "a").rename(tmp_path / "moved")
    log.clear()
    publish_bytes(mirror, b"1", MirrorPath("a/1"))
    assert log == ["sync .", "rename a/1", "sync a"]


def test_fast_leaves_it_to_the_system(tmp_path):
    log = []
    mirror = LocalMirror(tmp_path, durability="fast", opener=recorder(tmp_path, log))
    publish_bytes(mirror, b"1", MirrorPath("a/b/1"))
    mirror.displace(MirrorPath("a/b/1"))
    assert [line for line in log if line.startswith("sync")] == []


def test_full_syncs_the_folders_that_stay_when_files_are_removed(tmp_path):
    log = []
    mirror = LocalMirror(tmp_path, opener=recorder(tmp_path, log))
    paths = [MirrorPath(f"o/7/{name}") for name in ("w/a", "w/b", "x/c", "x/kept")]
    for path in paths:
        publish_bytes(mirror, b"1", path)
    log.clear()
    mirror.remove(paths[:3], MirrorPath("o/7"))
    files = ["remove o/7/w/a", "remove o/7/w/b", "remove o/7/x/c"]
    assert log[:3] == files
    assert sorted(log[3:]) == ["rmdir o/7/w", "sync o", "sync o/7", "sync o/7/x"]
    log.clear()
    mirror.remove(paths[:3], MirrorPath("o/7"))  # as after a crash that came before the syncs
    assert sorted(log) == ["sync o", "sync o/7", "sync o/7/x"]
    log.clear()
    mirror.remove(paths[3:], MirrorPath("o/7"))
    assert log == ["remove o/7/x/kept", "rmdir o/7/x", "rmdir o/7", "sync o"]


def test_full_syncs_the_folder_of_a_manifest_that_is_removed(tmp_path):
    log = []
    mirror = LocalMirror(tmp_path, opener=recorder(tmp_path, log))
    publish_bytes(mirror, b"1", MirrorPath("o/7/run.json"))
    log.clear()
    mirror.remove([MirrorPath("o/7/run.json")])
    assert log == ["remove o/7/run.json", "sync o/7"]
