"""The README is true: its commands work, and it leaves no key and no exit code out.

A fenced block ``console`` behind a line ``<!-- tested -->`` is executed: its lines that begin with
``$``, in one shell for all blocks. A command that ends with a backslash goes on in the next line.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from user import TOKEN

from artifact_sync.domain.errors import ExitCode
from artifact_sync.simulator import demo_text, parse_scenario, running_in_thread

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
EXAMPLE = (REPOSITORY / "config.example.toml").read_text(encoding="utf-8")

_BLOCK = re.compile(r"^<!-- tested -->\n+```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)$", re.MULTILINE)
_KEY = re.compile(r"^(?:# )*([a-z_]+) = ", re.MULTILINE)
_EXIT_CODES = re.compile(
    r"^(#+) [^\n]*exit codes?\b[^\n]*\n(.*?)(?=^#|\Z)", re.IGNORECASE | re.MULTILINE | re.DOTALL
)

COMMANDS = [command for block in _BLOCK.findall(README) for command in _COMMAND.findall(block)]


@pytest.mark.skipif(sys.platform == "win32", reason="the README's commands are for a POSIX shell")
def test_its_commands_work_one_after_the_other(tmp_path: Path) -> None:
    assert COMMANDS, "the README has no block that is marked as tested"
    home = tmp_path / "home"
    home.mkdir()
    unhurried = re.sub(r"^(lifetime|bandwidth) = .*$", "", demo_text(), flags=re.MULTILINE)
    scenario = unhurried.replace('"demo-token"', f'"{TOKEN}"')
    with running_in_thread(parse_scenario(scenario, name="demo")) as service:
        environ = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home),
            "SOURCECRAFT_TOKEN": TOKEN,
            "ARTIFACT_SYNC_SOURCE__BASE_URL": service.base_url,
            "PYTHONUTF8": "1",
        }
        done = subprocess.run(
            ["bash", "-c", "\n".join(_checked(command) for command in COMMANDS)],
            cwd=home,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=110,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert TOKEN not in done.stdout + done.stderr


def _checked(command: str) -> str:
    """A command that ends the shell, and is named, when it fails."""
    return (
        f"{command}\ncode=$?; [ $code = 0 ] || {{ cat >&2 <<'EOF'\n$ {command}\nEOF\nexit $code; }}"
    )


def test_every_key_of_the_configuration_is_in_it() -> None:
    keys = set(_KEY.findall(EXAMPLE))
    assert {"base_url", "token_file", "layout", "url", "jobs", "name", "since"} <= keys
    assert {key for key in keys if not re.search(rf"\b{key}\b", README)} == set()


def test_every_exit_code_is_in_it() -> None:
    section = "".join(text for _, text in _EXIT_CODES.findall(README))
    assert section, "the README has no section on exit codes"
    assert {int(code) for code in ExitCode if not re.search(rf"\b{int(code)}\b", section)} == set()
