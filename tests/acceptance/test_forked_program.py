"""The program that shells call in tests is as the real one, but for its start."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from forked_program import on_path

if TYPE_CHECKING:
    from user import User

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the script is for Linux")

CONFIG = '[mirror]\nroot = "mirror"\n[[repo]]\nname = "acme/rocket"\n'
SCRIPT = """
artifact-sync nonsense 2>/dev/null; echo $?
artifact-sync nonsense 2>&1 | grep -c nonsense
umask 077
artifact-sync daemon --config config.toml 2>>log & daemon=$!
until [ -e mirror/acme/rocket/latest/run.json ]; do sleep 0.05; done
stat -c %a mirror/acme/rocket/latest/run.json
kill -KILL $daemon; wait $daemon; echo $?
until flock -n mirror/.artifact-sync/lock true; do sleep 0.05; done
rm mirror/acme/rocket/latest/run.json
artifact-sync daemon --config config.toml 2>>log & daemon=$!
until [ -e mirror/acme/rocket/latest/run.json ]; do sleep 0.05; done
kill $daemon; wait $daemon; echo $?
"""
"""The lock is free: the program has gone with what the shell had started."""


def test_a_shell_has_its_exit_codes_streams_signals_and_umask(guest: User) -> None:
    (guest.folder / "config.toml").write_text(CONFIG)
    environ = guest.environ | {"LC_ALL": "C.UTF-8"}
    path = os.pathsep.join([str(on_path(environ)), environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", SCRIPT],
        cwd=guest.folder,
        env=environ | {"PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = done.stdout.split(), done.stderr, (guest.folder / "log").read_text()
    assert said[0] == ["2", "1", "600", "137", "0"], said
