"""The lock: one process a mirror, told apart by name, freed by death. With real processes."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from artifact_sync.domain.errors import DiskError, ExitCode, MirrorBusy
from artifact_sync.mirror.local.lock import MirrorLock

HOLDER = """
import sys
from pathlib import Path
from artifact_sync.mirror.local.lock import MirrorLock
with MirrorLock(Path(sys.argv[1]), "artifact-sync sync"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(root):
    """Another process that holds the lock until its stdin is closed, or it is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process


def test_a_second_process_is_kept_out_and_told_who_holds_the_mirror(tmp_path):
    with holder(tmp_path) as process:
        with pytest.raises(MirrorBusy) as caught, MirrorLock(tmp_path):
            pass
        message = str(caught.value)
        assert f"process {process.pid} (artifact-sync sync, since 20" in message
        assert str(tmp_path) in message
        assert caught.value.exit_code is ExitCode.BUSY


def test_the_lock_is_free_again_after_its_owner_has_ended(tmp_path):
    with holder(tmp_path):
        pass
    with MirrorLock(tmp_path):
        assert (tmp_path / ".artifact-sync" / "lock").exists()
    with MirrorLock(tmp_path):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
def test_sigkill_frees_the_lock_and_what_it_leaves_does_no_harm(tmp_path):
    with holder(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    lock = tmp_path / ".artifact-sync" / "lock"
    assert json.loads(lock.read_bytes())["pid"] == process.pid
    with MirrorLock(tmp_path, "artifact-sync verify"):
        about = json.loads(lock.read_bytes())
        assert (about["pid"], about["command"]) == (os.getpid(), "artifact-sync verify")


def test_the_one_kept_out_does_not_touch_the_owners_words(tmp_path):
    with MirrorLock(tmp_path, "artifact-sync sync"):
        before = (tmp_path / ".artifact-sync" / "lock").read_bytes()
        with pytest.raises(MirrorBusy, match="artifact-sync sync"), MirrorLock(tmp_path, "other"):
            pass
        assert (tmp_path / ".artifact-sync" / "lock").read_bytes() == before


def test_an_owner_who_left_no_readable_word_is_another_process(tmp_path):
    with MirrorLock(tmp_path):
        (tmp_path / ".artifact-sync" / "lock").write_bytes(b'{"pid": "\x1b[2J"}')
        with pytest.raises(MirrorBusy, match="in use by another process"), MirrorLock(tmp_path):
            pass


def test_the_lock_and_its_folder_are_the_owners_alone(tmp_path):
    with MirrorLock(tmp_path / "deep" / "mirror"):
        own = tmp_path / "deep" / "mirror" / ".artifact-sync"
        assert own.stat().st_mode & 0o777 == 0o700
        assert (own / "lock").stat().st_mode & 0o777 == 0o600


def test_a_lock_that_is_a_symbolic_link_is_not_followed(tmp_path):
    with MirrorLock(tmp_path):
        pass
    victim = tmp_path / "victim"
    victim.write_text("precious")
    lock = tmp_path / ".artifact-sync" / "lock"
    lock.unlink()
    lock.symlink_to(victim)
    with pytest.raises(DiskError), MirrorLock(tmp_path):
        pass
    assert victim.read_text() == "precious"


def test_a_lock_that_is_no_regular_file_is_a_disk_error(tmp_path):
    with MirrorLock(tmp_path):
        pass
    lock = tmp_path / ".artifact-sync" / "lock"
    lock.unlink()
    os.mkfifo(lock)
    with pytest.raises(DiskError, match="no regular file"), MirrorLock(tmp_path):
        pass


# Guards against: a lock by a name that can vanish, so that two passes write the same files.
@pytest.mark.parametrize(
    "harm",
    [
        lambda own: (own / "lock").unlink(),
        lambda own: [it.unlink() for it in own.iterdir() if it.is_file()],
        lambda own: (own / "lock").rename(own / "moved"),
        lambda own: own.rename(own.with_name("moved")),
        shutil.rmtree,
    ],
    ids=["lock", "files", "renamed", "folder-renamed", "folder-removed"],
)
def test_a_second_process_is_kept_out_whatever_is_removed_beneath_the_first(tmp_path, harm):
    with holder(tmp_path) as process:
        harm(tmp_path / ".artifact-sync")
        with pytest.raises(MirrorBusy, match="in use by"), MirrorLock(tmp_path):
            pass
        assert process.poll() is None
    with MirrorLock(tmp_path):
        pass


def test_a_root_that_is_a_link_is_the_folder_that_it_leads_to(tmp_path):
    root, link = tmp_path / "mirror", tmp_path / "link"
    root.mkdir()
    link.symlink_to(root)
    with MirrorLock(link), pytest.raises(MirrorBusy), MirrorLock(root):
        pass


def test_the_owner_makes_a_lock_again_that_somebody_has_removed(tmp_path):
    lock = tmp_path / ".artifact-sync" / "lock"
    with MirrorLock(tmp_path, "artifact-sync daemon") as held:
        held.check()
        lock.unlink()
        held.check()
        assert json.loads(lock.read_bytes())["command"] == "artifact-sync daemon"
        lock.rename(lock.with_name("moved"))
        lock.write_bytes(b"somebody else's")
        held.check()
        assert json.loads(lock.read_bytes())["pid"] == os.getpid()
    with MirrorLock(tmp_path):
        pass


# Guards against: a file system without locks told by the system's own words alone.
@pytest.mark.skipif(sys.platform == "win32", reason="flock is POSIX's")
@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_told_with_advice(tmp_path, monkeypatch, code):
    import fcntl  # noqa: PLC0415 - no such module on Windows

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(DiskError) as caught, MirrorLock(tmp_path):
        pass
    message = str(caught.value)
    assert f"{tmp_path / '.artifact-sync' / 'lock'}: this file system offers no locks" in message
    assert "keep the mirror on another one" in message
