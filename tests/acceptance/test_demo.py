"""``artifact-sync demo``: what somebody sees who tries the program for the first time."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import Page
from shown import matches
from user import User, contents

from artifact_sync.simulator import Simulator

SCRIPT = Path(sys.executable).with_name("artifact-sync")


def test_the_demo_mirrors_shows_checks_and_says_what_to_type_next_and_may_be_run_again(
    tmp_path: Path,
) -> None:
    user = User(tmp_path, "http://127.0.0.1:9")  # the demo brings a service of its own
    first = user.run("demo", "--root", user.root)
    assert first.code == 0, first.err
    expected = contents(Simulator())
    assert user.files() == expected
    runs = user.runs()
    assert len(runs) == 9
    assert re.search(rf"^complete: 9 runs, {len(expected)} artifacts: ", first.out, re.MULTILINE)
    firmware = """
  acme/firmware/
    7/  5 files, 6.7 MiB
    8/
      nightly/image/cross-compile/out/
        partial.log  64.0 KiB
"""
    assert firmware in first.out
    assert "\n    latest -> 8\n    latest-success -> 7\n" in first.out
    assert "\n            Руководство пользователя.pdf  400.0 KiB\n" in first.out
    checked = f"sha256sum -c --quiet SHA256SUMS in 9 runs, {len(expected)} files: all OK\n"
    assert checked in first.out
    assert "\nThat took 5 requests to the API.\n" in first.out
    (shown,) = (it for it in Page("README.md").blocks() if it.mark == "tested by test_demo.py")
    assert matches(shown.text.replace("demo-mirror", str(user.root)), first.out)
    assert first.out.endswith("artifact-sync sync ORG/REPO --root ./mirror --since 7d\n")
    second = user.run("demo", "--root", user.root)
    assert second.code == 0, second.err
    assert f"({user.root} is there already: only what is missing comes." in second.out
    assert f" 0 downloaded (0 B), {len(expected)} kept, " in second.out
    assert checked in second.out
    assert user.files() == expected


@pytest.mark.skipif(not SCRIPT.exists(), reason="the program is not installed beside this Python")
def test_the_commands_that_the_demo_prints_work_as_typed(tmp_path: Path) -> None:
    """Guards against: hints that need a PATH or a folder's name that is not there."""
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}

    def typed(command: str) -> str:
        return subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=tmp_path, env=environ, capture_output=True, text=True, check=True, timeout=60,
        ).stdout  # fmt: skip

    shown = typed(f"'{SCRIPT}' demo --root 'my mirror'")
    commands = re.findall(r"^(?:Look at it:)? +(\S+ (?:status|ls|verify) .*)$", shown, re.MULTILINE)
    assert len(commands) == 3
    told = "".join(typed(command) for command in commands)
    assert "acme/rocket" in told
    assert " ok, 0 missing, 0 changed, 0 extra" in told
