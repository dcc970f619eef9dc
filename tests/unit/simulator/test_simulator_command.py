"""``artifact-sync simulate``, as a program of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from artifact_sync.simulator import demo_text, parse_scenario

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = "from artifact_sync.__main__ import main; raise SystemExit(main())"


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "simulate", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def run(*arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", before + PROGRAM, "simulate", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def welcome(program: subprocess.Popen[str]) -> str:
    assert program.stdout is not None
    said = ""
    while "Ctrl-C" not in said:
        line = program.stdout.readline()
        assert line, program.communicate()
        said += line
    return said


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals as POSIX does")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_what_to_type_and_ends_with_0_on_a_signal(number: signal.Signals) -> None:
    program = start()
    try:
        said = welcome(program)
        found = re.search(
            r"^  SOURCECRAFT_TOKEN=demo-token ARTIFACT_SYNC_SOURCE__BASE_URL=(http://\S+)"
            r" artifact-sync sync acme/rocket --root \./mirror$",
            said,
            re.MULTILINE,
        )
        assert found, said
        answer = httpx.get(
            f"{found[1]}/orgs/acme/repos", headers={"authorization": "Bearer demo-token"}
        )
        assert len(answer.json()["repositories"]) == 4
        program.send_signal(number)
        assert program.communicate(timeout=20) == ("", "")
        assert program.returncode == 0
    finally:
        program.kill()
        program.communicate()


def test_a_port_in_use_is_told_with_exit_code_2() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run("--port", str(port))
    assert result.returncode == 2
    assert f"port {port} is in use: choose another one" in result.stderr


def test_all_mistakes_of_a_scenario_are_told_with_exit_code_2(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("sed = 1\n[files]\nlifetime = 'soon'\n")
    result = run("--scenario", str(file))
    assert result.returncode == 2
    assert f"{file}: sed: is not a key here; did you mean 'seed'?" in result.stderr
    assert f"{file}: files.lifetime: expected a duration" in result.stderr


def test_the_scenario_is_printed_to_start_from() -> None:
    result = run("--print-scenario")
    assert (result.returncode, result.stdout) == (0, demo_text())
    assert len(parse_scenario(result.stdout, name="printed").repos) == 4


def test_what_is_missing_is_named_where_the_extra_is_not_installed() -> None:
    result = run(before="import sys; sys.modules['uvicorn'] = None; ")
    assert result.returncode == 2
    assert "pip install 'artifact-sync[web]'" in result.stderr


def test_the_command_is_known_without_importing_the_server() -> None:
    code = (
        "import sys; import artifact_sync.cli.commands.simulate;"
        " print([name for name in ('starlette', 'uvicorn', 'artifact_sync.simulator')"
        " if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
