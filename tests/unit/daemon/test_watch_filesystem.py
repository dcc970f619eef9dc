"""The tree before it is watched, and what the errors of a watch mean."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from artifact_sync.daemon.watch.filesystem import (
    TreeWatcher,
    Unwatchable,
    failure_of,
    real,
    survey,
    survey_added,
)
from artifact_sync.domain.errors import MirrorGone

HOUR = 3600.0


def test_a_survey_counts_folders_and_finds_the_links_to_others(tmp_path):
    for folder in ("o/r/41/w", "o/r/42", ".artifact-sync/staging"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "o/r/latest").symlink_to("42")
    (tmp_path / "o/r/broken").symlink_to("43")
    (tmp_path / "o/file").write_bytes(b"x")
    found = survey(str(tmp_path.resolve()))
    assert found.folders == 8
    assert found.links == {"o/r/latest": "o/r/42"}


def test_a_loop_of_links_ends(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/up").symlink_to("..")
    found = survey(str(tmp_path.resolve()))
    assert (found.folders, found.links) == (2, {"a/up": ""})


@pytest.mark.parametrize("place", ["out", "o/r/out", ".artifact-sync/displaced/1/out"])
def test_a_link_out_of_the_mirror_is_not_watched_but_reported(tmp_path, place):
    link = tmp_path / place
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to("/")
    with pytest.raises(Unwatchable, match=f"'{place}' .* is a symbolic link out of it, to '/'"):
        survey(str(tmp_path.resolve()))


def test_a_folder_that_came_later_is_surveyed_as_all_were_before(tmp_path):
    root = tmp_path.resolve()
    (root / "x/deep").mkdir(parents=True)
    (root / "x/in").symlink_to("deep")
    (root / "out").symlink_to("/usr")  # a bare link is not followed by a watch that is in place
    came = {str(root / name) for name in ("x", "x/deep", "out", "gone")}
    survey_added(str(root), came)
    (root / "x/deep/out").symlink_to("/usr")
    with pytest.raises(Unwatchable, match=r"'x/deep/out' .* is a symbolic link out of it"):
        survey_added(str(root), came)


def test_more_folders_than_are_watched_are_noticed_before_the_system_is_asked(tmp_path):
    for number in range(9):
        (tmp_path / str(number)).mkdir()
    assert survey(str(tmp_path), most=10).folders == 10
    with pytest.raises(Unwatchable, match="more than 9 folders, too many"):
        survey(str(tmp_path), most=9)


def test_where_a_path_leads_stays_below_the_root(tmp_path):
    root = tmp_path.resolve() / "root"
    (root / "o/r/42").mkdir(parents=True)
    (root / "o/r/latest").symlink_to("42")
    (root / "out").symlink_to(tmp_path)
    assert real(str(root), "o/r/latest/w") == "o/r/42/w"
    assert real(str(root), "o/r/42/w") == "o/r/42/w"
    assert real(str(root), "out/root2") == "out/root2"


@pytest.mark.parametrize(
    ("error", "says", "again"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "max_user_watches (sysctl)", HOUR),
        (OSError("OS file watch limit reached. about [...]"), "max_user_watches (sysctl)", HOUR),
        (OSError(errno.EMFILE, "Too many open files"), "max_user_instances (sysctl)", HOUR),
        (RuntimeError("... Too many open files (os error 24)"), "max_user_instances", HOUR),
        (Unwatchable("too many"), "too many", HOUR),
        (PermissionError("denied /m/x"), "may not be read: denied /m/x", 300.0),
        (MirrorGone(Path("/m")), "the mirror /m is not there any more", 5.0),
        (RuntimeError("Unable to decode path"), "name in the mirror is no UTF-8", 0.1),
        (RuntimeError("odd"), "RuntimeError: odd", 5.0),
    ],
)
def test_an_error_of_a_watch_says_what_to_do_and_when_to_try_again(error, says, again):
    trouble = failure_of(error)
    assert says in trouble.why
    assert trouble.retry_in == again


_LIMITED = """
import sys
from artifact_sync.daemon.watch.filesystem import TreeWatcher, failure_of
try:
    TreeWatcher(sys.argv[1], True)
except Exception as error:
    print(failure_of(error).why)
"""


@pytest.mark.parametrize(
    ("limit", "says"), [("watches", "max_user_watches"), ("instances", "max_user_instances")]
)
def test_the_systems_own_limits_are_understood(tmp_path, limit, says):
    """In a user namespace of its own, whose limits are nobody else's."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        pytest.skip("needs Linux and its unshare command")
    for number in range(20):
        (tmp_path / str(number)).mkdir()
    count = "5" if limit == "watches" else "0"
    script = f'echo {count} > /proc/sys/user/max_inotify_{limit} && exec "$0" -c "$1" "$2"'
    command = ["unshare", "--user", "--map-root-user", "sh", "-c", script]
    command += [sys.executable, _LIMITED, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    if result.returncode:
        pytest.skip(f"no user namespace with limits of its own: {result.stderr.strip()}")
    assert says in result.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit is Linux's")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be a user without other threads")
def test_with_no_thread_left_it_says_so_and_aborts_nothing():
    nobody = 2_000_000 + os.getpid()  # the limit counts all threads of a user
    limited = ["prlimit", "--nproc=1", "setpriv", f"--reuid={nobody}", "--clear-groups"]
    command = [*limited, sys.executable, "-c", _LIMITED, "/etc"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert result.returncode == 0, result.stderr
    assert "ulimit -u" in result.stdout


def test_a_folder_that_is_not_there_cannot_be_watched(tmp_path):
    with pytest.raises(OSError, match=r"(?i)no such|not found|no path"):
        TreeWatcher(str(tmp_path / "gone"), True)  # noqa: FBT003 - as the watch calls it
