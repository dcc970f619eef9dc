"""A program that a hook calls ends in time, whatever it does, and leaves nothing behind."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from user import wait_until

from artifact_sync.runtime.command import Command, CommandResult, run_command


@pytest.fixture
def run(tmp_path):
    """Runs a shell script in an empty folder; why it failed."""

    def call(script, content=b"", timeout=30.0, stop=lambda: False):
        command = Command(
            ["/bin/sh", "-c", script], {"PATH": os.environ["PATH"]}, tmp_path, timeout
        )
        return run_command(command, content, stop).why

    return call


def is_running(pid: int) -> bool:
    """Whether the process runs; a zombie that nobody has reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_it_reads_stdin_and_has_the_environment_that_is_given_and_no_other(run, tmp_path):
    assert run("cat > said; env > environ", b"what has happened") == ""
    assert (tmp_path / "said").read_text() == "what has happened"
    names = {line.partition("=")[0] for line in (tmp_path / "environ").read_text().splitlines()}
    assert names <= {"PATH", "PWD", "OLDPWD", "SHLVL", "_"}


def test_a_failure_has_its_code_and_the_last_lines_of_what_it_said(run):
    assert run("exit 3") == "ended with 3"
    said = r"printf 'one\ntwo\nthree\nfour\n\n' >&2; printf 'a\033[31mred\n'; exit 7"
    assert run(said) == r"ended with 7: three | four | a\x1b[31mred"
    assert run("kill -9 $$") == "was killed by signal 9"


def test_only_one_that_ends_by_itself_has_a_code(tmp_path):
    def code(script, timeout=30.0):
        command = Command(["/bin/sh", "-c", script], {}, tmp_path, timeout)
        return run_command(command, b"").code

    assert [code("exit 0"), code("exit 3"), code("kill -9 $$")] == [0, 3, None]
    assert code("trap 'exit 4' TERM; while :; do :; done", timeout=0.2) is None


def test_what_is_not_there_or_cannot_be_run_is_told(tmp_path):
    def call(program):
        result = run_command(Command([program], {}, tmp_path, 5.0), b"")
        assert result.code is None
        return result.why

    assert call(str(tmp_path / "absent")) == "cannot be started: No such file or directory"
    plain = tmp_path / "plain"
    plain.write_text("exit 0\n")
    assert call(str(plain)) == "cannot be started: Permission denied"


def test_one_that_does_not_read_what_it_is_given_holds_nobody_up(run):
    assert run("exec <&-; exit 0", b"x" * 2**20) == ""


def test_one_that_hangs_is_ended_with_its_children(run, tmp_path):
    began = time.monotonic()
    problem = run("sleep 300 & echo $! > child; echo waiting; wait", timeout=0.5)
    assert problem == "took more than 0.5 s: waiting"
    assert time.monotonic() - began < 20
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: not is_running(child))


def test_one_that_ignores_the_signal_is_killed(run, tmp_path):
    script = "trap '' TERM; echo $$ > leader; while :; do sleep 0.1; done"
    assert run(script, timeout=0.5) == "took more than 0.5 s"
    wait_until(lambda: not is_running(int((tmp_path / "leader").read_text())))


def test_what_it_leaves_behind_is_killed_when_it_ends(run, tmp_path):
    assert run("sleep 300 & echo $! > child") == ""
    wait_until(lambda: not is_running(int((tmp_path / "child").read_text())))


def test_a_daemon_that_keeps_its_output_open_holds_nobody_up(tmp_path):
    script = tmp_path / "daemon.py"
    script.write_text(
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    open('daemon', 'w').write(str(os.getpid()))\n"
        "    time.sleep(60)\n"
        "while not os.path.exists('daemon') or not open('daemon').read():\n"
        "    time.sleep(0.01)\n"
    )
    began = time.monotonic()
    command = Command([sys.executable, str(script)], {}, tmp_path, 50.0)
    assert run_command(command, b"") == CommandResult(0)
    assert time.monotonic() - began < 40
    os.kill(int((tmp_path / "daemon").read_text()), 9)


def test_a_flood_is_thrown_away_but_for_its_end(run):
    began = time.process_time()
    line = "$(head -c 1000 /dev/zero | tr '\\0' x)"
    problem = run(f"yes {line} & sleep 1; kill $!; wait; echo; echo last; exit 1")
    assert problem.startswith("ended with 1: ")
    assert problem.endswith("| last")
    assert len(problem) < 400
    assert time.process_time() - began < 0.8


def test_it_can_be_stopped(run):
    began = time.monotonic()
    assert (
        run("echo on; sleep 300", stop=lambda: time.monotonic() > began + 0.2) == "was stopped: on"
    )
