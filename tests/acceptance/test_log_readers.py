"""Whoever reads the log may stall, leave, or have no room: the program goes on and ends as ever."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from daemon_user import DaemonUser
from user import contents, organisation

from artifact_sync.simulator import running_in_thread as running

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sizes of pipes as Linux has them")

ROCKET = "acme/rocket"


@dataclass
class Log:
    """A pipe of 4 KiB in which the log ends, and what was read from it."""

    reader: int
    text: str = ""

    def find(self, pattern: str, bound: float = 30) -> str:
        """Read on until something has come; the first group of it."""
        end = time.monotonic() + bound
        while (found := re.search(pattern, self.text)) is None:
            assert time.monotonic() < end, self.text[-3000:]
            try:
                self.text += os.read(self.reader, 65536).decode()
            except BlockingIOError:
                time.sleep(0.01)
        return found[1]


@contextmanager
def logged_to_a_pipe(user: DaemonUser, *words: object) -> Iterator[tuple[subprocess.Popen, Log]]:
    """The program, with its log in a small pipe."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(reader, False)
    command: Sequence[str] = user.command(*words)
    with subprocess.Popen(
        command,
        cwd=user.folder,
        env=user.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=writer,
    ) as process:
        os.close(writer)
        try:
            yield process, Log(reader)
        finally:
            process.kill()
            process.wait()


def health(origin: str) -> bytes:
    with urllib.request.urlopen(f"{origin}/healthz", timeout=10) as answer:  # noqa: S310 - ours
        return answer.read()


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_reader_that_stalls_stops_nothing_and_hears_how_much_it_missed(
    tmp_path: Path, form: str
) -> None:
    """Guards against: a write to the log that blocks the event loop, and with it all else."""
    with running(organisation()) as service:
        user = DaemonUser(tmp_path, service)
        user.configure(ROCKET, daemon__interval="1s")
        words = ("daemon", "--config", user.config, "--log-format", form, "-v")
        with logged_to_a_pipe(user, *words) as (process, log):
            origin = log.find(r'(http://127\.0\.0\.1:\d+)["\n]')
            expected = {
                path: content
                for path, content in contents(service.simulator).items()
                if path.startswith(ROCKET)
            }
            end = time.monotonic() + 30
            while user.files() != expected:  # nobody reads any more
                assert time.monotonic() < end
                time.sleep(0.05)
            for _ in range(30):
                assert health(origin) == b"ok\n"
                os.kill(process.pid, signal.SIGHUP)  # more lines than the pipe has room for
            assert len(log.text) < 60_000
            log.find("(nothing has changed in the configuration)")
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0


def test_a_reader_that_stalls_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    """Guards against: a SIGTERM that waits for the log's reader."""
    with running(organisation()) as service:
        user = DaemonUser(tmp_path, service)
        user.configure(ROCKET)
        words = ("daemon", "--config", user.config, "-v")
        with logged_to_a_pipe(user, *words) as (process, log):
            log.find("(listening)")
            for _ in range(200):
                os.kill(process.pid, signal.SIGHUP)
                time.sleep(0.005)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0


def test_a_pass_whose_log_nobody_reads_is_carried_out_and_ends(tmp_path: Path) -> None:
    """Guards against: the same for a single pass."""
    with running(organisation()) as service:
        user = DaemonUser(tmp_path, service)
        user.configure(ROCKET)
        with logged_to_a_pipe(user, "sync", "--config", user.config, "-v") as (process, _):
            assert process.wait(60) == 0
        assert user.files()


@pytest.mark.parametrize("place", ["full", "gone", "closed"])
@pytest.mark.parametrize("command", ["daemon", "sync", "wrong"])
def test_the_exit_code_is_what_it_would_be_with_a_log(
    tmp_path: Path, command: str, place: str
) -> None:
    """Guards against: exit code 120, where Python cannot write what is left for stderr."""
    with running(organisation()) as service:
        user = DaemonUser(tmp_path, service)
        user.configure(ROCKET)
        words = {
            "daemon": ["daemon", "--config", user.config],
            "sync": ["sync", "--config", user.config, "-v"],
            "wrong": ["sync", "--config", user.config, "--no-such-option"],
        }[command]
        redirect = {"full": "2>/dev/full", "gone": "2> >(true)", "closed": "2>&-"}[place]
        script = f'exec "$@" {redirect}'
        with subprocess.Popen(
            ["bash", "-c", script, "-", *map(str, user.command(*words))],
            cwd=user.folder,
            env=user.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        ) as process:
            if command == "daemon":
                end = time.monotonic() + 30
                while not user.files():
                    assert time.monotonic() < end
                    time.sleep(0.05)
                process.send_signal(signal.SIGTERM)
            assert process.wait(60) == (2 if command == "wrong" else 0)


LOSING = """
import sys
from artifact_sync.cli.logs.line_writer import LineWriter
writer = LineWriter(sys.stderr, lambda count: f"{count} lost\\n")
for number in range(3000):
    writer.write(f"{number} {'x' * 1000}\\n")
print("done", flush=True)
sys.stdin.readline()
writer.write("again\\n")
writer.flush()
"""


def test_how_many_lines_were_lost_is_told() -> None:
    """Guards against: a log with a hole that nobody sees."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with subprocess.Popen(
        [sys.executable, "-c", LOSING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=writer,
        text=True,
    ) as process:
        os.close(writer)
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        with os.fdopen(reader) as log:
            words = []
            while not words or words[-1][1] != "lost\n":
                words.append(log.readline().split(" "))
            process.communicate("\n")
            assert log.readlines() == ["again\n"]
    *whole, (lost, _) = words
    assert [number for number, _ in whole] == [str(it) for it in range(len(whole))]
    assert len(whole) + int(lost) == 3000
    assert int(lost) > 1000
