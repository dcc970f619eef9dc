from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from artifact_sync.config.secret_file import read_regular


def test_a_file_is_read_to_its_bound_with_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    file.chmod(0o600)
    content, mode = read_regular(file, 4)
    assert (content, mode & 0o777) == (b"cont", 0o600)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes as POSIX has them")
def test_a_pipe_that_nobody_writes_to_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is no regular file"):
        read_regular(tmp_path / "pipe", 10)


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="the system has no /dev/fd")
def test_what_the_shell_hands_over_may_be_a_pipe() -> None:
    code = "import sys, pathlib; from artifact_sync.config.secret_file import read_regular as read;"
    code += "print(read(pathlib.Path(sys.argv[1]), 100)[0].decode())"
    command = f'{sys.executable} -c "{code}" <(sleep 0.2; echo from a pipe)'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "from a pipe\n\n"
