from __future__ import annotations

import os
import socket
import sys
import time
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from artifact_sync.daemon.systemd import supervisor_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from artifact_sync.daemon.systemd import Supervisor

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Unix sockets of datagrams")


class Listener:
    """What systemd is in this: somebody at a datagram socket."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(0)

    @property
    def heard(self) -> list[str]:
        """All messages since the last look."""
        messages = []
        while True:
            try:
                messages.append(self.socket.recv(8192).decode())
            except BlockingIOError:
                return messages


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Listener]:
    listener = Listener(str(tmp_path / "notify"))
    with listener.socket:
        yield listener


def told(systemd: Listener, **environ: str) -> Supervisor:
    return supervisor_of({"NOTIFY_SOCKET": systemd.socket.getsockname(), **environ})


def test_systemd_gets_each_step_of_a_daemons_life(systemd: Listener) -> None:
    supervisor = told(systemd)
    supervisor.extend(90.5)
    supervisor.ready("3 repositories")
    supervisor.status("2 of 5 files")
    supervisor.alive()
    supervisor.stopping("finishing 2 files")
    assert systemd.heard == [
        "EXTEND_TIMEOUT_USEC=90500000",
        "READY=1\nSTATUS=3 repositories",
        "STATUS=2 of 5 files",
        "WATCHDOG=1",
        "STOPPING=1\nSTATUS=finishing 2 files",
    ]


def test_a_reload_says_when_it_began_and_ends_with_ready(systemd: Listener) -> None:
    supervisor = told(systemd)
    before = time.monotonic_ns() // 1000
    supervisor.reloading()
    supervisor.ready("as before")
    begun, done = systemd.heard
    state, _, moment = begun.partition("\nMONOTONIC_USEC=")
    assert state == "RELOADING=1"
    assert before <= int(moment) <= time.monotonic_ns() // 1000
    assert done == "READY=1\nSTATUS=as before"


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
def test_an_abstract_address_is_reached(tmp_path: Path) -> None:
    name = f"artifact-sync-{tmp_path.name}-{os.getpid()}"
    listener = Listener(f"\0{name}")
    with listener.socket:
        supervisor_of({"NOTIFY_SOCKET": f"@{name}"}).alive()
        assert listener.heard == ["WATCHDOG=1"]


def test_a_status_is_one_short_line_whatever_is_in_it(systemd: Listener) -> None:
    supervisor = told(systemd)
    supervisor.status("odd\nREADY=1\r\x1b[2J \udcff\x00end")
    supervisor.status("я" * 5000)
    assert systemd.heard == ["STATUS=odd READY=1 [2J end", "STATUS=" + "я" * 512]


def test_children_inherit_nothing_of_it(systemd: Listener) -> None:
    environ = {
        "NOTIFY_SOCKET": systemd.socket.getsockname(),
        "WATCHDOG_USEC": "1",
        "WATCHDOG_PID": "1",
        "HOME": "/",
    }
    supervisor_of(environ)
    assert environ == {"HOME": "/"}


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        ("60000000", "ours", 60.0),
        ("2500000", "", 2.5),
        ("60000000", "1", None),
        ("0", "", None),
        ("", "", None),
        ("-5", "", None),
        ("soon", "", None),
    ],
)
def test_the_watchdog_is_fed_when_it_is_ours(
    systemd: Listener, usec: str, pid: str, seconds: float | None
) -> None:
    pid = pid.replace("ours", str(os.getpid()))
    assert told(systemd, WATCHDOG_USEC=usec, WATCHDOG_PID=pid).watchdog == seconds


def test_without_a_supervisor_nothing_is_sent() -> None:
    supervisor = supervisor_of({"WATCHDOG_USEC": "1000000"})
    assert supervisor.watchdog is None
    with capture_logs() as logs:
        supervisor.ready("up")
    assert logs == []


def test_an_address_that_is_none_of_ours_costs_one_line() -> None:
    with capture_logs() as logs:
        supervisor_of({"NOTIFY_SOCKET": "vsock:2:1234"}).ready("up")
    assert [entry["address"] for entry in logs] == ["vsock:2:1234"]


def test_a_socket_that_is_gone_costs_one_line_and_is_used_again_when_it_is_back(
    tmp_path: Path,
) -> None:
    path = tmp_path / "notify"
    supervisor = supervisor_of({"NOTIFY_SOCKET": str(path)})
    with capture_logs() as logs:
        supervisor.ready("up")
        supervisor.alive()
    assert [(entry["log_level"], entry["why"]) for entry in logs] == [
        ("warning", "No such file or directory")
    ]
    listener = Listener(str(path))
    with listener.socket:
        supervisor.alive()
        supervisor.alive()
        assert listener.heard == ["READY=1\nSTATUS=up\nWATCHDOG=1", "WATCHDOG=1"]


def test_an_address_that_is_too_long_raises_nothing() -> None:
    with capture_logs() as logs:
        supervisor_of({"NOTIFY_SOCKET": "/" + "x" * 200}).alive()
    assert len(logs) == 1


def test_a_systemd_that_does_not_read_blocks_nothing_and_hears_of_the_state_later(
    systemd: Listener,
) -> None:
    supervisor = told(systemd)
    begun = time.monotonic()
    with capture_logs() as logs:
        for _ in range(10_000):  # more than any queue of datagrams has room for
            supervisor.alive()
        supervisor.stopping("on the way out")
    assert time.monotonic() - begun < 30
    assert logs == []
    assert set(systemd.heard) == {"WATCHDOG=1"}
    supervisor.alive()
    assert systemd.heard == ["STOPPING=1\nSTATUS=on the way out\nWATCHDOG=1"]
